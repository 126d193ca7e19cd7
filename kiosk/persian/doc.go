// Package persian holds what the terminal has to know about Persian text:
// digits, the Jalali calendar, the spelling of names, and how foreign or
// invisible characters in a displayed name are made visible.
//
// Digits follow Unicode: U+06F0..U+06F9 (Persian) and U+0660..U+0669 (Arabic)
// are accepted on input, U+06F0..U+06F9 are shown. Serial numbers, PINs and QR
// payloads stay ASCII and are wrapped by LTR.
//
// Iran has kept UTC+03:30 all the year since 2023. Times before 2022-09-21 may
// have been an hour ahead in summer; this package does not know that, so such
// a date is wrong by a day for one hour of the night.
//
// Shaping and line breaking are the display's business, not done here.
package persian
