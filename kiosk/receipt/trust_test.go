package receipt

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"strings"
	"testing"
	"time"
)

// The rules that look at the list, each at both sides of its boundary.
func TestVerifyRules(t *testing.T) {
	from, to := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2027, 12, 31, 23, 59, 59, 0, time.UTC)
	at := func(when time.Time, c Clock) func(*Receipt) {
		return func(r *Receipt) { r.Time, r.Clock = when, c }
	}
	for _, c := range []struct {
		name    string
		receipt func(*Receipt)
		key     func(*Key)
		signer  string
		want    string
	}{
		{"good", nil, nil, "one", ""},
		{"key not on the list", nil, nil, "two", "RCPT-KEY"},
		{"key on the list without a key", nil, func(k *Key) { k.Public = nil }, "one", "RCPT-KEY"},
		{"other key under this name", nil, func(k *Key) { k.Public = &testKey(t, "two").PublicKey }, "one", "RCPT-SIGNATURE"},
		{"revoked", nil, func(k *Key) { k.Revoked = true }, "one", "RCPT-REVOKED"},
		{"another kiosk", func(r *Receipt) { r.Kiosk = 418 }, nil, "one", "RCPT-KIOSK"},
		{"first second", at(from, ClockTrusted), nil, "one", ""},
		{"a second early", at(from.Add(-time.Second), ClockTrusted), nil, "one", "RCPT-VALIDITY"},
		{"last second", at(to, ClockKept), nil, "one", ""},
		{"a second late", at(to.Add(time.Second), ClockKept), nil, "one", "RCPT-VALIDITY"},
		{"1970 by an unproven clock", at(time.Unix(0, 0), ClockUnproven), nil, "one", ""},
		{"1970 by a trusted clock", at(time.Unix(0, 0), ClockTrusted), nil, "one", "RCPT-VALIDITY"},
		{"2099 by an unproven clock", at(time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC), ClockUnproven), nil, "one", ""},
	} {
		r := testReceipt()
		if c.receipt != nil {
			c.receipt(&r)
		}
		trust := testTrust(t, "one")
		for kid, k := range trust {
			if c.key != nil {
				c.key(&k)
			}
			trust[kid] = k
		}
		got, _, err := trust.Verify(sign(t, r, c.signer).Text)
		if rule(t, err) != c.want {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		if want := (Receipt{}); c.want != "" && got != want {
			t.Errorf("%s: a receipt beside the error", c.name)
		}
	}
	if _, _, err := (TrustList)(nil).Verify(sign(t, testReceipt(), "one").Text); rule(t, err) != "RCPT-KEY" {
		t.Errorf("no list: %v", err)
	}
	if _, _, err := testTrust(t, "one").Verify("https://example.org/"); rule(t, err) != "RCPT-PREFIX" {
		t.Errorf("a link: %v", err)
	}
}

func TestTrustFile(t *testing.T) {
	trust := testTrust(t, "one")
	for kid, k := range testTrust(t, "two") {
		k.Kiosk, k.Name, k.Revoked = 9, `"<&> A"`, true
		trust[kid] = k
	}
	b, err := trust.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseTrustList(b)
	if err != nil {
		t.Fatal(err)
	}
	if len(again) != 2 {
		t.Fatalf("%d keys", len(again))
	}
	for kid, k := range trust {
		g := again[kid]
		if !g.Public.Equal(k.Public) || g.Kiosk != k.Kiosk || g.Name != k.Name || g.Revoked != k.Revoked || !g.NotBefore.Equal(k.NotBefore) || !g.NotAfter.Equal(k.NotAfter) {
			t.Errorf("%s: %+v, want %+v", kid, g, k)
		}
	}
	if none, err := (TrustList{}).Marshal(); err != nil {
		t.Error(err)
	} else if l, err := ParseTrustList(none); err != nil || len(l) != 0 {
		t.Errorf("empty list: %v", err)
	}
	text := string(b)
	key, _ := KeyIDOf(&testKey(t, "one").PublicKey)
	spki, _ := SPKI(&testKey(t, "one").PublicKey)
	b64 := base64.StdEncoding.EncodeToString(spki)
	bent := bytes.Clone(spki)
	bent[len(bent)-1] ^= 1
	p384, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	for name, c := range map[string][2]string{
		"another version":      {`"version": 1`, `"version": 2`},
		"no version":           {`"version": 1,`, ``},
		"unknown key":          {`"version": 1,`, `"version": 1, "more": 1,`},
		"key in another case":  {`"version"`, `"Version"`},
		"version twice":        {`"version": 1,`, `"version": 1, "version": 1,`},
		"name twice":           {`"kiosk": 417,`, `"kiosk": 418, "kiosk": 417,`},
		"other order":          {`"kiosk": 417,`, ``},
		"kiosk 0":              {`"kiosk": 417`, `"kiosk": 0`},
		"kiosk negative":       {`"kiosk": 417`, `"kiosk": -1`},
		"kiosk as float":       {`"kiosk": 417`, `"kiosk": 417.0`},
		"no name":              {`"دفتر پیشخوان ۷۲۱۶"`, `""`},
		"long name":            {`"دفتر پیشخوان ۷۲۱۶"`, `"` + strings.Repeat("n", 201) + `"`},
		"not UTF-8":            {`"دفتر پیشخوان ۷۲۱۶"`, "\"\xff\""},
		"kid of another key":   {key.String(), "0011223344556677"},
		"kid in capitals":      {key.String(), strings.ToUpper(key.String())},
		"point off the curve":  {b64, base64.StdEncoding.EncodeToString(bent)},
		"short spki":           {b64, base64.StdEncoding.EncodeToString(spki[:90])},
		"trailing spki":        {b64, base64.StdEncoding.EncodeToString(append(spki, 0))},
		"no spki":              {b64, ""},
		"date without zone":    {`"2026-01-01T00:00:00Z"`, `"2026-01-01T00:00:00"`},
		"date with an offset":  {`"2026-01-01T00:00:00Z"`, `"2026-01-01T00:00:00+00:00"`},
		"date with fractions":  {`"2026-01-01T00:00:00Z"`, `"2026-01-01T00:00:00.5Z"`},
		"ends before it began": {`"notAfter": "2027-12-31T23:59:59Z"`, `"notAfter": "2025-12-31T23:59:59Z"`},
		"revoked as text":      {`"revoked": false`, `"revoked": "no"`},
		"revoked left out":     {",\n      \"revoked\": false", ``},
		"null":                 {`"revoked": false`, `"revoked": null`},
	} {
		bad := strings.Replace(text, c[0], c[1], 1)
		if bad == text {
			t.Errorf("%s: nothing changed", name)
		}
		if l, err := ParseTrustList([]byte(bad)); rule(t, err) != "RCPT-TRUST" || l != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	half := strings.Index(text, `"keys": [`) + len(`"keys": [`)
	entries := strings.SplitAfter(strings.TrimSuffix(strings.TrimSpace(text[half:]), "]\n}"), "}")
	swapped := text[:half] + strings.TrimPrefix(strings.TrimSpace(entries[1]), ",") + "," + entries[0] + "]}"
	twice := text[:half] + entries[0] + "," + entries[0] + "]}"
	for name, bad := range map[string]string{
		"swapped": swapped, "twice": twice, "trailing": text + "{}", "empty": "", "array": "[]", "null": "null",
		"too long": text + strings.Repeat(" ", maxTrust),
	} {
		if l, err := ParseTrustList([]byte(bad)); rule(t, err) != "RCPT-TRUST" || l != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ParseTrustList([]byte("  " + strings.ReplaceAll(text, "\n", " \r\n\t"))); err != nil {
		t.Errorf("white space: %v", err)
	}
	for name, bad := range map[string]TrustList{
		"no key": {KeyID{}: {}}, "P-384": {KeyID{}: {Public: &p384.PublicKey, Kiosk: 1, Name: "x"}},
		"no kiosk":           {key: {Public: &testKey(t, "one").PublicKey, Name: "x"}},
		"under another name": {KeyID{1}: trust[key]},
	} {
		if _, err := bad.Marshal(); err == nil {
			t.Errorf("%s written", name)
		}
	}
}

func TestReport(t *testing.T) {
	trust := testTrust(t, "one")
	promise := testReceipt()
	accepted := testReceipt()
	accepted.State, accepted.Clock, accepted.Head, accepted.HeadSeq = Accepted, ClockTrusted, [16]byte{1}, 9
	refused := Receipt{Time: promise.Time, Clock: ClockUnproven, State: Refused, Tracking: 12, Seq: 1, Kiosk: 417}
	for _, c := range []struct {
		r                 Receipt
		promise, proven   bool
		fa, en, tracking  string
		lines             int
		mustHave, mustNot string
	}{
		{promise, true, false, "هنوز پذیرفته نشده", "not yet accepted", "481-516-234", 9, "promises", "has received"},
		{accepted, false, true, "پذیرفته شد", "Accepted.", "481-516-234", 10, "in step with a source", "promises"},
		{refused, false, false, "رد شد", "Refused.", "12", 7, "Unproven", "promises"},
	} {
		r, k, err := trust.Verify(sign(t, c.r, "one").Text)
		if err != nil {
			t.Fatal(err)
		}
		rep := r.Report(k)
		if rep.Promise != c.promise || rep.Proven != c.proven || rep.Tracking != c.tracking || rep.Kiosk != 417 || rep.Name != k.Name {
			t.Errorf("%+v", rep)
		}
		var en, fa strings.Builder
		for _, l := range rep.Lines("en") {
			en.WriteString(l.ID + "|" + l.Label + ": " + l.Value + "\n")
		}
		for _, l := range rep.Lines("fa") {
			if l.Label == "" {
				t.Errorf("%s has no Persian label", l.ID)
			}
			fa.WriteString(l.Label + ": " + l.Value + "\n")
		}
		if len(rep.Lines("en")) != c.lines || !strings.Contains(en.String(), c.en) || !strings.Contains(fa.String(), c.fa) ||
			!strings.Contains(en.String(), c.mustHave) || strings.Contains(en.String(), c.mustNot) || !strings.Contains(en.String(), rep.Key) {
			t.Errorf("report:\n%s%s", en.String(), fa.String())
		}
	}
	for id := range words["en"] {
		if words["fa"][id] == "" || len(words["fa"]) != len(words["en"]) {
			t.Errorf("%q is not in both languages", id)
		}
	}
	for n, want := range map[uint64]string{0: "0", 999: "999", 1000: "100-0", 123456789: "123-456-789"} {
		if got := FormatTracking(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}
