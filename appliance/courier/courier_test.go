package courier

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mohr.internal/appliance/outboxlink"
	"mohr.internal/kiosk/cmp/cmptest"
)

// answerDER is some real CMP message.
func answerDER(t *testing.T) []byte {
	t.Helper()
	pki, err := cmptest.New(cmptest.Options{Time: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	ca, err := cmptest.NewCA(cmptest.CAOptions{PKI: pki, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader("0\x00"))
	r.Header.Set("Content-Type", "application/pkixcmp")
	ca.ServeHTTP(w, r)
	if w.Header().Get("Content-Type") != "application/pkixcmp" {
		t.Fatalf("the CA answers %d %s", w.Code, w.Header())
	}
	return w.Body.Bytes()
}

// patience is how long a busy machine may take.
const patience = time.Minute

func courierFor(url string) *Courier {
	return &Courier{
		URL: url, Client: NewClient(patience, patience, &http.Transport{}), Min: time.Millisecond, Max: 4 * time.Millisecond,
		Jitter: func() float64 { return 0.5 }, InFlight: make(chan struct{}, 4), Now: time.Now,
	}
}

// deliver runs one delivery against a handler and returns the answer and what was
// reported as failed before it.
func deliver(t *testing.T, request time.Duration, h http.HandlerFunc) (answer []byte, failed []string, err error) {
	t.Helper()
	s := httptest.NewServer(h)
	defer s.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c := courierFor(s.URL)
	c.Client = NewClient(patience, request, &http.Transport{})
	answer, err = c.Deliver(ctx, "id", []byte("request"), func(why string, tries int, next time.Duration) {
		if failed = append(failed, why); tries != len(failed) || next < time.Millisecond {
			t.Errorf("try %d reported as %d, next after %v", len(failed), tries, next)
		}
	})
	return answer, failed, err
}

func cmpAnswer(w http.ResponseWriter, der []byte) {
	w.Header().Set("Content-Type", "application/pkixcmp")
	w.Write(der)
}

// Whatever comes back before a CMP message is no answer: it is tried again, with
// the same bytes.
func TestTriesUntilThereIsAnAnswer(t *testing.T) {
	der := answerDER(t)
	tests := []struct {
		name string
		bad  http.HandlerFunc
		why  string
	}{
		{"web page with status 200", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, "<html>log in to the wireless network</html>")
		}, outboxlink.NoCA},
		{"garbage that claims to be CMP", func(w http.ResponseWriter, _ *http.Request) { cmpAnswer(w, []byte("garbage")) }, outboxlink.NoCA},
		{"truncated", func(w http.ResponseWriter, _ *http.Request) { cmpAnswer(w, der[:len(der)-1]) }, "CMP-SYNTAX"},
		{"ten megabytes", func(w http.ResponseWriter, _ *http.Request) { cmpAnswer(w, make([]byte, 10<<20)) }, "larger than"},
		{"error 500", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusInternalServerError) }, "500"},
		{"error 500 with CMP", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/pkixcmp")
			w.WriteHeader(http.StatusInternalServerError)
			w.Write(der)
		}, "500"},
		{"redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }, "302"},
		{"redirect with the body", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		}, "307"},
		{"redirect for ever", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusPermanentRedirect)
		}, "308"},
		{"no content type", func(w http.ResponseWriter, r *http.Request) { w.Header()["Content-Type"] = nil; w.Write(der) }, "not CMP"},
		{"CMP under another name", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/octet-stream")
			w.Write(der)
		}, "not CMP"},
		{"gigabytes, compressed", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/pkixcmp")
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			z.Write(make([]byte, 64<<20))
			z.Close()
		}, "larger than"},
		{"less than announced", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", strconv.Itoa(len(der)+1))
			cmpAnswer(w, der)
		}, "EOF"},
		{"connection cut", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "EOF"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var asked atomic.Int32
			answer, failed, err := deliver(t, patience, func(w http.ResponseWriter, r *http.Request) {
				body := make([]byte, 64)
				n, _ := r.Body.Read(body)
				if r.URL.Path != "/" || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/pkixcmp" || string(body[:n]) != "request" {
					t.Errorf("%s %s %s %q", r.Method, r.URL, r.Header, body[:n])
				}
				if asked.Add(1) <= 2 {
					tt.bad(w, r)
					return
				}
				cmpAnswer(w, der)
			})
			if err != nil || string(answer) != string(der) {
				t.Fatalf("answer of %d bytes, %v", len(answer), err)
			}
			if len(failed) != 2 || !strings.Contains(failed[0], tt.why) {
				t.Errorf("reported %q, want twice %q", failed, tt.why)
			}
		})
	}
}

// A CA that says nothing, or one byte now and then, is given up on after a bounded
// time, and asked again.
func TestSilence(t *testing.T) {
	der := answerDER(t)
	for name, slow := range map[string]func(http.ResponseWriter, *http.Request){
		"silence": func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
		},
		"one byte now and then": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/pkixcmp")
			for i := 0; r.Context().Err() == nil && i < len(der)-1; i++ {
				w.Write(der[i : i+1])
				http.NewResponseController(w).Flush()
				time.Sleep(10 * time.Millisecond)
			}
			<-r.Context().Done()
		},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int32
			answer, failed, err := deliver(t, 300*time.Millisecond, func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body) // only then does the server notice that the client has gone
				if asked.Add(1) == 1 {
					slow(w, r)
					return
				}
				cmpAnswer(w, der)
			})
			if err != nil || string(answer) != string(der) || len(failed) == 0 || !strings.Contains(failed[0], "Timeout") {
				t.Fatalf("answer of %d bytes, reported %q, %v", len(answer), failed, err)
			}
		})
	}
}

func TestNobodyListens(t *testing.T) {
	s := httptest.NewServer(nil)
	s.Close()
	ctx, cancel := context.WithCancel(context.Background())
	tries := 0
	_, err := courierFor(s.URL).Deliver(ctx, "id", nil, func(string, int, time.Duration) {
		if tries++; tries == 5 {
			cancel()
		}
	})
	if err == nil || tries != 5 {
		t.Errorf("%d tries, %v", tries, err)
	}
}

func TestWait(t *testing.T) {
	c := &Courier{Min: time.Second, Max: time.Minute, Jitter: func() float64 { return 1 }}
	for n, want := range map[int]time.Duration{0: time.Second, 1: 2 * time.Second, 5: 32 * time.Second, 6: time.Minute, 1000: time.Minute} {
		if got := c.wait(n); got != want {
			t.Errorf("wait(%d) = %v, want %v", n, got, want)
		}
	}
	c.Jitter = func() float64 { return 0 }
	if got := c.wait(9); got != time.Second {
		t.Errorf("without luck %v", got)
	}
}

// What was asked for is waited for, and a little longer, not by all the same.
func TestLater(t *testing.T) {
	c := &Courier{Min: time.Second, Max: time.Minute}
	for _, row := range []struct {
		after  time.Duration
		jitter float64
		want   time.Duration
	}{{0, 0, time.Second}, {0, 1, 1500 * time.Millisecond}, {time.Minute, 0.5, 75 * time.Second}, {time.Hour, 1, time.Hour + 30*time.Second}} {
		c.Jitter = func() float64 { return row.jitter }
		if got := c.later(row.after); got != row.want {
			t.Errorf("later(%v) with %v = %v, want %v", row.after, row.jitter, got, row.want)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	for header, want := range map[string]time.Duration{
		"": 0, "x": 0, "-5": 0, "0": 0, "120": 2 * time.Minute, "99999999999": 24 * time.Hour,
		"Sun, 01 Nov 2026 12:01:00 GMT": time.Minute, "Sun, 01 Nov 2026 11:00:00 GMT": 0, "Sun, 01 Nov 2099 11:00:00 GMT": 24 * time.Hour,
	} {
		if got := retryAfter(header, now); got != want {
			t.Errorf("%q = %v, want %v", header, got, want)
		}
	}
}

// The CA says when to come back, and is not asked earlier.
func TestObeysRetryAfter(t *testing.T) {
	der := answerDER(t)
	var first time.Time
	var asked atomic.Int32
	_, _, err := deliver(t, patience, func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) == 1 {
			first = time.Now()
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		if waited := time.Since(first); waited < time.Second {
			t.Errorf("asked again after %v", waited)
		}
		cmpAnswer(w, der)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Over HTTPS only the configured CA is believed.
func TestForeignTLSServer(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the request was sent") }))
	defer s.Close()
	ctx, cancel := context.WithCancel(context.Background())
	var why string
	courierFor(s.URL).Deliver(ctx, "id", nil, func(w string, _ int, _ time.Duration) {
		why = w
		cancel()
	})
	if !strings.Contains(why, "certificate") {
		t.Errorf("reported %q", why)
	}
}
