package config

import (
	"net/url"
	"time"
)

// Syncd is the configuration of the program that talks to the CA.
type Syncd struct {
	Outbox   string   `json:"outbox"` // kioskd's socket; syncd dials it
	CA       CAServer `json:"ca"`
	Timeouts Timeouts `json:"timeouts"`
	Backoff  Backoff  `json:"backoff"`
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
	return c.err()
}
