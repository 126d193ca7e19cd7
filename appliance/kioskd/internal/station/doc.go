// Package station fills in what the ceremony (package kiosk) leaves open: the
// panel as its surface, tokend as its tokens, the two-copy journal, the clock, the
// keys and the profile from files. It opens no network socket; outbox.sock, for
// syncd, is a Unix socket.
package station
