// Package canary looks in raw bytes, a disk or a log, for words that were planted
// where people's names, numbers and PINs would be, in every form in which a
// program may have written them unawares.
//
// # Forms
//
// A word is looked for with Latin, Persian and Arabic digits, with Persian and
// Arabic ye and kaf, in upper and lower case; each of these in UTF-8 and UTF-16,
// and those in base64 (at each of the three places in a group), hex, base45 (at
// both), with \u escapes and per-cent signs. Strings of ASN.1 and CBOR hold the
// same bytes, so these are found as well. A number is looked for as an INTEGER in
// DER, an unsigned integer in CBOR and in memory, and in packed decimals too.
//
// # What it cannot find
//
// What is compressed, encrypted, cut by a page of a file that lies elsewhere, or
// drawn as pixels. A form of less than five bytes is left out: chance would find it.
package canary
