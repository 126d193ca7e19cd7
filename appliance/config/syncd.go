package config

import (
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"
)

// Syncd is the configuration of the program that talks to the CA.
type Syncd struct {
	Outbox   string   `json:"outbox"` // kioskd's socket; syncd dials it
	CA       CAServer `json:"ca"`
	Timeouts Timeouts `json:"timeouts"`
	Backoff  Backoff  `json:"backoff"`
	Fleet    *Fleet   `json:"fleet,omitempty"` // optional: an office by itself has none
}

// Fleet is the centre that keeps the logs of many kiosks, three NATS servers. Over
// tls the servers are checked against Anchors; who we are is said by a client
// certificate, by a file of NATS credentials, or both. Plain nats is for loopback.
type Fleet struct {
	Socket      string   `json:"socket"` // kioskd's socket for the journal; syncd dials it
	Kiosk       string   `json:"kiosk"`  // as in kioskd's file
	URLs        []string `json:"urls"`
	Anchors     string   `json:"anchors,omitempty"`     // PEM file; required with tls, refused without
	Certificate string   `json:"certificate,omitempty"` // PEM file, with key
	Key         string   `json:"key,omitempty"`         // PEM file
	Credentials string   `json:"credentials,omitempty"` // JWT and seed, as nsc writes them
	Recheck     Duration `json:"recheck"`               // how often the end of the log is read although nothing is new
}

// CAServer is where CMP messages are posted (RFC 9811). Over http the messages
// still protect themselves; over https the server is checked against Anchors.
type CAServer struct {
	URL     string `json:"url"`
	Anchors string `json:"anchors,omitempty"` // PEM file; required with https, refused with http
}

// Timeouts bound one exchange with the CA.
type Timeouts struct {
	Connect Duration `json:"connect"`
	Request Duration `json:"request"` // from the first byte sent to the last byte of the answer
}

// Backoff bounds the wait between two attempts; it doubles from Min to Max.
type Backoff struct {
	Min Duration `json:"min"`
	Max Duration `json:"max"`
}

// Validate names every bad key.
func (s *Syncd) Validate() error {
	var c checker
	c.socket("outbox", s.Outbox)
	u, err := url.Parse(s.CA.URL)
	switch {
	case s.CA.URL == "":
		c.bad("ca.url", "missing or empty")
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		c.bad("ca.url", "%q is not an http or https URL", s.CA.URL)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		c.bad("ca.url", "user, query and fragment are not allowed")
	case u.Scheme == "https":
		c.path("ca.anchors", s.CA.Anchors)
	case s.CA.Anchors != "":
		c.bad("ca.anchors", "only allowed with an https URL")
	}
	c.duration("timeouts.connect", s.Timeouts.Connect, 100*time.Millisecond, 5*time.Minute)
	c.duration("timeouts.request", s.Timeouts.Request, 100*time.Millisecond, 30*time.Minute)
	c.duration("backoff.min", s.Backoff.Min, 10*time.Millisecond, time.Hour)
	c.duration("backoff.max", s.Backoff.Max, 10*time.Millisecond, 24*time.Hour)
	if s.Backoff.Max < s.Backoff.Min {
		c.bad("backoff.max", "%v is less than backoff.min", s.Backoff.Max.Std())
	}
	if s.Fleet != nil {
		s.Fleet.check(&c)
	}
	return c.err()
}

// maxServers bounds the list of servers.
const maxServers = 9

func (f *Fleet) check(c *checker) {
	c.socket("fleet.socket", f.Socket)
	c.name("fleet.kiosk", f.Kiosk)
	if strings.Contains(f.Kiosk, ".") {
		c.bad("fleet.kiosk", "%q: a dot is not allowed in a fleet, where the name is a part of a subject", f.Kiosk)
	}
	if len(f.URLs) == 0 || len(f.URLs) > maxServers {
		c.bad("fleet.urls", "%d servers, want 1 to %d", len(f.URLs), maxServers)
	}
	secure := 0
	for i, text := range f.URLs {
		key := fmt.Sprintf("fleet.urls[%d]", i)
		u, err := url.Parse(text)
		switch {
		case err != nil || u.Hostname() == "" || u.Port() == "" || u.Scheme != "tls" && u.Scheme != "nats":
			c.bad(key, "%q is not like tls://host:port", text)
		case u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Path != "":
			c.bad(key, "user, path, query and fragment are not allowed")
		case u.Scheme == "tls":
			secure++
		case !net.ParseIP(u.Hostname()).IsLoopback():
			c.bad(key, "%q: without tls only a loopback address is allowed", text)
		}
	}
	switch {
	case secure > 0 && secure < len(f.URLs):
		c.bad("fleet.urls", "some with tls, some without")
	case secure > 0:
		c.path("fleet.anchors", f.Anchors)
		if f.Certificate == "" && f.Credentials == "" {
			c.bad("fleet.credentials", "neither credentials nor a certificate: the centre cannot know who we are")
		}
	case f.Anchors != "" || f.Certificate != "" || f.Key != "":
		c.bad("fleet.anchors", "anchors, certificate and key are only allowed with tls")
	}
	if (f.Certificate == "") != (f.Key == "") {
		c.bad("fleet.key", "certificate and key go together")
	}
	for key, path := range map[string]string{"fleet.certificate": f.Certificate, "fleet.key": f.Key, "fleet.credentials": f.Credentials} {
		if path != "" {
			c.path(key, path)
		}
	}
	c.duration("fleet.recheck", f.Recheck, 100*time.Millisecond, 24*time.Hour)
}
