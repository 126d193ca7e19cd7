// Package config reads the one configuration file of each program into a
// struct: Kioskd, Syncd and Tokend. A file is one JSON object (RFC 8259),
// read strictly: unknown, misspelt and repeated keys are errors, every key is
// required unless its comment says "optional", and Validate names each bad key.
// There are no defaults that a typing error could fall back on.
//
// Paths are absolute. Durations are strings like "90s". Secrets (PINs, keys)
// never stand in these files; keys are named by the path of their file.
//
// The package opens no device, socket or key file and does not look whether the
// paths exist; the program that uses a path says what is wrong with it.
package config
