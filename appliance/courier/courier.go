// Package courier brings CMP messages to the CA over HTTP or HTTPS (RFC 9811):
// POST application/pkixcmp, one message each way.
//
// A message is sent again, byte for byte, until the CA answers with something
// that is a CMP message at all: a captive portal's HTML with status 200 is not an
// answer. Waits grow to a maximum with full jitter; Retry-After is obeyed.
// Redirects and proxies are not followed. What an answer means is not judged
// here.
package courier

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"time"

	"mohr.internal/appliance/outboxlink"
	"mohr.internal/kiosk/cmp"
)

// MaxAnswer bounds the CA's answer in bytes.
const MaxAnswer = 64 << 10

// Courier posts to one CA. All fields must be set.
type Courier struct {
	URL      string
	Client   *http.Client
	Min, Max time.Duration    // of the wait between two tries
	Jitter   func() float64   // uniform in [0, 1)
	InFlight chan struct{}    // capacity = exchanges at one time
	Now      func() time.Time // for an HTTP date in Retry-After
}

// NewClient is an http.Client with bounds on everything and no redirects, proxy
// or cookies.
func NewClient(connect, request time.Duration, transport *http.Transport) *http.Client {
	transport.Proxy = nil
	transport.ResponseHeaderTimeout = request
	transport.TLSHandshakeTimeout = connect
	transport.MaxResponseHeaderBytes = 16 << 10
	return &http.Client{
		Transport:     transport,
		Timeout:       request,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Deliver posts der until there is a CMP message in answer or ctx ends. failed is
// told of each try without one: why, the how manieth in a row, and the wait before
// the next.
func (c *Courier) Deliver(ctx context.Context, id string, der []byte, failed func(why string, tries int, next time.Duration)) ([]byte, error) {
	for n := 0; ; n++ {
		answer, after, err := c.post(ctx, der)
		if err == nil {
			return answer, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		pause := c.wait(n)
		if after > pause {
			pause = c.later(after)
		}
		failed(err.Error(), n+1, pause)
		if err := sleep(ctx, pause); err != nil {
			return nil, err
		}
	}
}

// Again waits before a parcel is sent once more although the CA answered.
func (c *Courier) Again(ctx context.Context, _ string, after time.Duration) error {
	return sleep(ctx, c.later(after))
}

// later is after and up to half as much again: a fleet that was told the same by a
// CA does not come back all at once.
func (c *Courier) later(after time.Duration) time.Duration {
	after = max(after, c.Min)
	return after + time.Duration(c.Jitter()*float64(min(after, c.Max))/2)
}

// wait is the pause after the n-th failure: full jitter under a limit that doubles
// from Min to Max, and never less than Min.
func (c *Courier) wait(n int) time.Duration {
	limit := c.Max
	if n < 30 && c.Min<<n < c.Max {
		limit = c.Min << n
	}
	return max(c.Min, time.Duration(c.Jitter()*float64(limit)))
}

// post makes one exchange. after is what the CA asked us to wait.
func (c *Courier) post(ctx context.Context, der []byte) (answer []byte, after time.Duration, err error) {
	select {
	case c.InFlight <- struct{}{}:
		defer func() { <-c.InFlight }()
	case <-ctx.Done():
		return nil, 0, ctx.Err()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL, bytes.NewReader(der))
	if err != nil {
		return nil, 0, fmt.Errorf("courier: %w", err)
	}
	req.Header.Set("Content-Type", "application/pkixcmp")
	req.Header.Set("Accept", "application/pkixcmp")
	res, err := c.Client.Do(req)
	if err != nil {
		return nil, 0, fmt.Errorf("courier: %w", err)
	}
	defer res.Body.Close()
	after = retryAfter(res.Header.Get("Retry-After"), c.Now())
	if kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type")); kind != "application/pkixcmp" {
		return nil, after, fmt.Errorf("courier: %s: %s with content type %q, not CMP", outboxlink.NoCA, res.Status, kind)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, MaxAnswer+1))
	if err != nil {
		return nil, after, fmt.Errorf("courier: read answer: %w", err)
	}
	if len(body) > MaxAnswer {
		return nil, after, fmt.Errorf("courier: answer larger than %d bytes", MaxAnswer)
	}
	if _, err := cmp.Parse(body); err != nil {
		return nil, after, fmt.Errorf("courier: %s: %s: %w", outboxlink.NoCA, res.Status, err)
	}
	if res.StatusCode >= 500 {
		return nil, after, fmt.Errorf("courier: CA answered %s", res.Status)
	}
	return body, after, nil
}

// retryAfter reads the header (RFC 9110, 10.2.3): seconds or a date, at most a day.
func retryAfter(value string, now time.Time) time.Duration {
	var d time.Duration
	if n, err := strconv.Atoi(value); err == nil {
		d = time.Duration(min(max(n, 0), 86400)) * time.Second
	} else if t, err := http.ParseTime(value); err == nil {
		d = t.Sub(now)
	}
	return min(max(d, 0), 24*time.Hour)
}

// errStopped is returned by sleep when the context ends first.
var errStopped = errors.New("courier: stopped")

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return errStopped
	case <-t.C:
		return nil
	}
}
