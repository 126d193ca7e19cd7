package cmptest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"mohr.internal/kiosk/cmp"
)

// After every misbehaviour the CA behaves again, and the same bytes get the one
// good certificate.
func TestLyingAnswers(t *testing.T) {
	for _, tc := range []struct {
		kind   Kind
		rule   Rule
		issues bool
	}{
		{OtherKey, cmp.RuleKey, false},
		{OtherSubject, cmp.RuleSubject, false},
		{OtherTransaction, cmp.RuleTID, true},
		{WrongNonce, cmp.RuleNonce, true},
		{ForeignSigner, cmp.RuleSigner, true},
		{Garbage, cmp.RuleSyntax, false},
		{Truncated, cmp.RuleSyntax, true},
	} {
		t.Run(tc.kind.String(), func(t *testing.T) {
			d := newDesk(t, nil)
			d.ca.Behave(Behaviour{Kind: tc.kind})
			request := d.nest(d.kur())
			for range 2 {
				a, err := d.expect(request).Check(d.post(request))
				if check := (*cmp.CheckError)(nil); !errors.As(err, &check) || check.Rule != tc.rule {
					t.Fatalf("%v, %v, want %s", a.Kind, err, tc.rule)
				}
			}
			if tc.issues {
				d.issued(1)
			} else {
				d.issued(0)
			}
			d.ca.Behave(Behaviour{})
			if a := d.ask(request); a.Kind != cmp.Issued || !a.Cert.Equal(d.issued(1)[0].Cert) {
				t.Errorf("afterwards: %v", a.Kind)
			}
		})
	}
}

// A lying answer to a request that has its good answer already changes nothing.
func TestLieAfterTheTruth(t *testing.T) {
	d := newDesk(t, nil)
	request := d.nest(d.kur())
	first := d.post(request)
	for _, kind := range []Kind{OtherKey, OtherSubject, OtherTransaction, WrongNonce, ForeignSigner} {
		d.ca.Queue(Behaviour{Kind: kind})
		if bytes.Equal(first, d.post(request)) {
			t.Errorf("%s: the truth", kind)
		}
	}
	if !bytes.Equal(first, d.post(request)) {
		t.Error("another answer to the same bytes")
	}
	d.issued(1)
}

func TestReject(t *testing.T) {
	d := newDesk(t, nil)
	d.ca.Queue(Behaviour{Kind: Reject, Text: "مدارک ناقص است"})
	request := d.nest(d.kur())
	first := d.post(request)
	a := d.check(d.expect(request), first)
	if a.Kind != cmp.Rejected || len(a.Text) != 1 || a.Text[0] != "مدارک ناقص است" {
		t.Fatalf("%v %v", a.Kind, a.StatusInfo)
	}
	if !bytes.Equal(first, d.post(request)) {
		t.Error("a rejection is not final")
	}
	if a := d.ask(d.nest(d.kur())); a.Kind != cmp.Issued {
		t.Errorf("a new request: %v", a.Kind)
	}
	d.issued(1)
}

// A long or broken text must not keep the CA from answering.
func TestRejectText(t *testing.T) {
	for _, text := range []string{"", strings.Repeat("ش", 1000), "a\xffb"} {
		d := newDesk(t, nil)
		d.ca.Behave(Behaviour{Kind: Reject, Text: text})
		if a := d.ask(d.nest(d.kur())); a.Kind != cmp.Rejected || (len(a.Text) == 0) != (text == "") {
			t.Errorf("%.10q: %v %q", text, a.Kind, a.Text)
		}
	}
}

func TestRejectAfterWaiting(t *testing.T) {
	d := newDesk(t, nil)
	d.ca.Queue(Behaviour{Kind: WaitReleased})
	request := d.nest(d.kur())
	a := d.ask(request)
	d.ca.Behave(Behaviour{Kind: Reject})
	poll, e := d.pollReq(request, a)
	if a = d.check(e, d.post(poll)); a.Kind != cmp.Rejected || d.ca.Waiting() != 0 {
		t.Errorf("%v, %d waiting", a.Kind, d.ca.Waiting())
	}
	d.issued(0)
}

func TestUnprotectedErrorIsAHint(t *testing.T) {
	d := newDesk(t, nil)
	d.ca.Queue(Behaviour{Kind: UnprotectedError})
	request := d.nest(d.kur())
	answer := d.post(request)
	if a := d.check(d.expect(request), answer); a.Kind != cmp.Hint {
		t.Errorf("%v %v", a.Kind, a.StatusInfo)
	}
	if m := must[*cmp.Message](t)(cmp.Parse(answer)); m.Protected() || !bytes.Equal(m.TransactionID(), d.expect(request).TransactionID) {
		t.Errorf("protected %t, transaction %x", m.Protected(), m.TransactionID())
	}
	if a := d.ask(request); a.Kind != cmp.Issued {
		t.Errorf("afterwards: %v", a.Kind)
	}
	d.issued(1)
}

func TestDropAfterIssue(t *testing.T) {
	d := newDesk(t, nil)
	d.ca.Queue(Behaviour{Kind: DropAfterIssue})
	request := d.nest(d.kur())
	// A client that sends by itself again after a broken connection is fine too.
	if response, err := http.Post(d.url, ContentType, io.NopCloser(bytes.NewReader(request))); err == nil {
		response.Body.Close()
		t.Errorf("answered with %s", response.Status)
	}
	want := d.issued(1)[0].Cert
	if a := d.ask(request); a.Kind != cmp.Issued || !a.Cert.Equal(want) {
		t.Errorf("afterwards: %v", a.Kind)
	}
	d.issued(1)
}

func TestSilence(t *testing.T) {
	for name, limit := range map[string]time.Duration{"client gives up": time.Hour, "limit": time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, func(o *CAOptions) { o.SilenceLimit = limit })
			d.ca.Queue(Behaviour{Kind: Silence})
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			request, err := http.NewRequestWithContext(ctx, http.MethodPost, d.url, bytes.NewReader(d.nest(d.kur())))
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Content-Type", ContentType)
			if response, err := http.DefaultClient.Do(request); err == nil {
				response.Body.Close()
				t.Errorf("answered with %s", response.Status)
			}
			d.issued(0)
		})
	}
}

// While one client waits in silence others are served.
func TestSilenceBlocksNobody(t *testing.T) {
	d := newDesk(t, func(o *CAOptions) { o.SilenceLimit = time.Hour })
	d.ca.Queue(Behaviour{Kind: Silence})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, d.url, strings.NewReader("x"))
		if err != nil {
			t.Error(err)
			return
		}
		request.Header.Set("Content-Type", ContentType)
		if response, err := http.DefaultClient.Do(request); err == nil {
			response.Body.Close()
		}
	}()
	for d.ca.Behaviour().Kind == Silence {
		time.Sleep(time.Millisecond)
	}
	if a := d.ask(d.nest(d.kur())); a.Kind != cmp.Issued {
		t.Error(a.Kind)
	}
	cancel()
	<-done
}

func TestTransport(t *testing.T) {
	for _, tc := range []struct {
		b      Behaviour
		status int
		kind   string
		length int
		header string
	}{
		{Behaviour{Kind: HTML200}, 200, "text/html; charset=utf-8", len(portalPage), ""},
		{Behaviour{Kind: HTTP500}, 500, "text/plain; charset=utf-8", -1, ""},
		{Behaviour{Kind: HTTP503, N: 7}, 503, "text/plain; charset=utf-8", -1, "7"},
		{Behaviour{Kind: Huge}, 200, ContentType, 10 << 20, ""},
		{Behaviour{Kind: Garbage}, 200, ContentType, 1500, ""},
	} {
		t.Run(tc.b.String(), func(t *testing.T) {
			d := newDesk(t, nil)
			d.ca.Behave(tc.b)
			response, err := http.Post(d.url, ContentType, bytes.NewReader(d.nest(d.kur())))
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			body := must[[]byte](t)(io.ReadAll(response.Body))
			if response.StatusCode != tc.status || response.Header.Get("Content-Type") != tc.kind ||
				response.Header.Get("Retry-After") != tc.header || tc.length >= 0 && len(body) != tc.length {
				t.Errorf("%s, %v, %d bytes", response.Status, response.Header, len(body))
			}
			if _, err := cmp.Parse(body); err == nil {
				t.Error("the answer is a message")
			}
			d.issued(0)
		})
	}
}

func TestDoor(t *testing.T) {
	d := newDesk(t, nil)
	big := make([]byte, cmp.MaxMessage+1)
	for _, tc := range []struct {
		method, kind string
		body         []byte
		want         int
	}{
		{http.MethodGet, ContentType, nil, http.StatusMethodNotAllowed},
		{http.MethodPut, ContentType, nil, http.StatusMethodNotAllowed},
		{http.MethodPost, "", nil, http.StatusUnsupportedMediaType},
		{http.MethodPost, "application/octet-stream", nil, http.StatusUnsupportedMediaType},
		{http.MethodPost, ContentType, big, http.StatusRequestEntityTooLarge},
		{http.MethodPost, ContentType + "; charset=x", big[:cmp.MaxMessage], http.StatusOK},
	} {
		r := httptest.NewRequest(tc.method, "/.well-known/cmp", bytes.NewReader(tc.body))
		r.Header.Set("Content-Type", tc.kind)
		w := httptest.NewRecorder()
		d.ca.ServeHTTP(w, r)
		if w.Code != tc.want {
			t.Errorf("%s %q, %d bytes: %d, want %d", tc.method, tc.kind, len(tc.body), w.Code, tc.want)
		}
	}
}

func TestQueueThenBehaviour(t *testing.T) {
	d := newDesk(t, nil)
	d.ca.Behave(Behaviour{Kind: Garbage})
	d.ca.Queue(Behaviour{Kind: HTML200}, Behaviour{Kind: HTTP500})
	var got []Kind
	for range 4 {
		got = append(got, d.ca.Behaviour().Kind)
		d.ca.next()
	}
	if fmt.Sprint(got) != "[html-200 http-500 garbage garbage]" {
		t.Error(got)
	}
}

func TestParseBehaviour(t *testing.T) {
	for _, k := range Kinds() {
		b := Behaviour{Kind: k}
		if got, err := ParseBehaviour(b.String()); err != nil || got != b {
			t.Errorf("%s: %v, %v", b, got, err)
		}
	}
	for _, tc := range []struct {
		text string
		want Behaviour
	}{
		{"wait-polls=2", Behaviour{Kind: WaitPolls, N: 2}},
		{"http-503=120", Behaviour{Kind: HTTP503, N: 120}},
		{"reject=a=b", Behaviour{Kind: Reject, Text: "a=b"}},
	} {
		got, err := ParseBehaviour(tc.text)
		if err != nil || got != tc.want || got.String() != tc.text {
			t.Errorf("%s: %+v, %v", tc.text, got, err)
		}
	}
	for _, bad := range []string{"", "Issue", "issue=1", "wait-polls=-1", "wait-polls=x", "http-503=1000001", "nonsense"} {
		if b, err := ParseBehaviour(bad); err == nil {
			t.Errorf("%q: %+v", bad, b)
		}
	}
	if got := Kind(99).String(); got != "Kind(99)" {
		t.Error(got)
	}
	if len(kindNames) != int(DropAfterIssue)+1 {
		t.Errorf("%d names for %d kinds", len(kindNames), DropAfterIssue+1)
	}
}
