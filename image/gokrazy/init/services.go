package main

import "os"

// service is one program that is kept running.
type service struct {
	path string
	args []string
	dir  string // working directory, made if it can be; else /tmp
	mute bool   // what it prints is of no use
}

// services is the whole list. The system's own come first, but nothing waits for
// anything: each program copes with the others being late.
func services() []service {
	return []service{
		{path: "/gokrazy/randomd"},
		{path: "/gokrazy/dhcp"},
		{path: "/gokrazy/ntp", dir: "/perm/home/ntp", mute: true}, // complains each second without a network
		{path: "/user/tokend", args: []string{"-config", "/perm/mohr/tokend.json", "-appliance"}},
		{path: "/user/syncd", args: []string{"-config", "/perm/mohr/syncd.json", "-appliance"}},
		{path: "/user/kioskd", args: []string{"-config", "/perm/mohr/kioskd.json", "-appliance"}},
	}
}

// environ is all that a program inherits. TZ and SSL_CERT_FILE because gokrazy copies
// the building machine's time zone and certification authorities into the image.
func environ() []string {
	return []string{"PATH=/user:/gokrazy", "HOME=/tmp", "TMPDIR=/tmp", "TZ=UTC", "SSL_CERT_FILE=/usr/share/mohr/ca-certificates.pem"}
}

func workdir(s service) string {
	if s.dir != "" && os.MkdirAll(s.dir, 0o700) == nil {
		return s.dir
	}
	return "/tmp"
}
