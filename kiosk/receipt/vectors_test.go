package receipt

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write testdata/vectors.json again")

const vectorsFile = "testdata/vectors.json"

// The file is shared with verifiers in other languages; see testdata/README.
type vectorFile struct {
	Trust json.RawMessage `json:"trust"`
	Cases []vectorCase    `json:"cases"`
}

type vectorCase struct {
	Name    string         `json:"name"`
	Text    string         `json:"text"`
	Want    string         `json:"want"` // "" or the rule of the refusal
	Receipt *vectorReceipt `json:"receipt,omitempty"`
}

// vectorReceipt writes large numbers as text: JSON readers lose digits.
type vectorReceipt struct {
	Time     int64  `json:"time"`
	Clock    int    `json:"clock"`
	State    int    `json:"state"`
	Tracking string `json:"tracking"`
	Request  string `json:"request"`
	OldCert  string `json:"oldCert"`
	Seq      string `json:"seq"`
	Kiosk    uint32 `json:"kiosk"`
	Head     string `json:"head"`
	HeadSeq  string `json:"headSeq"`
	Key      string `json:"key"`
}

func vectorOf(r Receipt, k Key) *vectorReceipt {
	rep := r.Report(k)
	return &vectorReceipt{
		Time: r.Time.Unix(), Clock: int(r.Clock), State: int(r.State), Tracking: strconv.FormatUint(r.Tracking, 10),
		Request: rep.Request, OldCert: rep.OldCert, Seq: strconv.FormatUint(r.Seq, 10), Kiosk: r.Kiosk, Head: rep.Head, HeadSeq: strconv.FormatUint(r.HeadSeq, 10), Key: rep.Key,
	}
}

// vectorTrust has key one, the revoked key two, and three of kiosk 500; key
// four is unknown.
func vectorTrust(t testing.TB) TrustList {
	trust := testTrust(t, "one")
	for kid, k := range testTrust(t, "two") {
		k.Revoked = true
		trust[kid] = k
	}
	for kid, k := range testTrust(t, "three") {
		k.Kiosk = 500
		trust[kid] = k
	}
	return trust
}

// vectors makes all cases. With a nil source of randomness the signatures are
// those of RFC 6979, the same each time.
func vectors(t testing.TB) []vectorCase {
	signed := func(r Receipt, name string) Signed {
		t.Helper()
		s, err := r.Sign(testKey(t, name), nil)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	with := func(f func(*Receipt)) Receipt { r := testReceipt(); f(&r); return r }
	good := signed(testReceipt(), "one")
	list := []vector{
		{"recorded", good.Text, ""},
		{"accepted", signed(with(func(r *Receipt) { r.State, r.Clock = Accepted, ClockTrusted }), "one").Text, ""},
		{"refused, without request", signed(with(func(r *Receipt) { r.State, r.Request, r.OldCert = Refused, [32]byte{}, [16]byte{} }), "one").Text, ""},
		{"with a checkpoint and large numbers", signed(with(func(r *Receipt) {
			r.Tracking, r.Seq, r.Head, r.HeadSeq = 1<<64-1, 1<<53+1, [16]byte{7}, 1<<53+1
		}), "one").Text, ""},
		{"1970 by an unproven clock", signed(with(func(r *Receipt) { r.Time, r.Clock = r.Time.AddDate(-56, 0, 0), ClockUnproven }), "one").Text, ""},
		{"before the key's time", signed(with(func(r *Receipt) { r.Time = r.Time.AddDate(-1, 0, 0) }), "one").Text, "RCPT-VALIDITY"},
		{"after the key's time", signed(with(func(r *Receipt) { r.Time = r.Time.AddDate(2, 0, 0) }), "one").Text, "RCPT-VALIDITY"},
		{"revoked key", signed(testReceipt(), "two").Text, "RCPT-REVOKED"},
		{"key of another kiosk", signed(testReceipt(), "three").Text, "RCPT-KIOSK"},
		{"unknown key", signed(testReceipt(), "four").Text, "RCPT-KEY"},
		{"nothing", "", "RCPT-PREFIX"},
		{"prefix only", Prefix, "RCPT-SIZE"},
		{"prefix in lower case", "kr1:" + good.Text[4:], "RCPT-PREFIX"},
		{"prefix of a later format", "KR2:" + good.Text[4:], "RCPT-PREFIX"},
		{"space before", " " + good.Text, "RCPT-PREFIX"},
		{"a link", "https://example.org/#" + good.Text, "RCPT-PREFIX"},
		{"line end behind", good.Text + "\n", "RCPT-BASE45"},
		{"space behind", good.Text + " ", "RCPT-BASE45"},
		{"lower case", good.Text[:4] + strings.ToLower(good.Text[4:]), "RCPT-BASE45"},
		{"group too large", good.Text[:4] + ":::" + good.Text[7:], "RCPT-BASE45"},
		{"cut by a group", good.Text[:len(good.Text)-2], "RCPT-CBOR"},
	}
	list = append(list, formCases(t)...)
	trust := vectorTrust(t)
	for i := range good.Bytes {
		b := bytes.Clone(good.Bytes)
		b[i] ^= 1 << (i % 8)
		_, _, err := trust.Verify(Encode(b))
		list = append(list, vector{fmt.Sprintf("bit %d of byte %d flipped", i%8, i), Encode(b), rule(t, err)})
	}
	var out []vectorCase
	for _, v := range list {
		c := vectorCase{Name: v.name, Text: v.text, Want: v.want}
		if r, k, err := trust.Verify(v.text); err == nil {
			c.Receipt = vectorOf(r, k)
		}
		out = append(out, c)
	}
	return out
}

func TestVectors(t *testing.T) {
	list, err := vectorTrust(t).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	var compact bytes.Buffer
	json.Compact(&compact, list)
	var want bytes.Buffer
	fmt.Fprintf(&want, "{\"trust\": %s,\n\"cases\": [\n", compact.Bytes())
	cases := vectors(t)
	for i, c := range cases {
		enc := json.NewEncoder(&want)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(c); err != nil {
			t.Fatal(err)
		}
		if i < len(cases)-1 {
			want.Truncate(want.Len() - 1)
			want.WriteString(",\n")
		}
	}
	want.WriteString("]}\n")
	if *update {
		if err := os.WriteFile(vectorsFile, want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(vectorsFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, want.Bytes()) {
		t.Errorf("%s is not what this version makes: run go test -update", vectorsFile)
	}

	// What is in the file is judged by itself, not by what made it.
	var file vectorFile
	if err := json.Unmarshal(have, &file); err != nil {
		t.Fatal(err)
	}
	trust, err := ParseTrustList(file.Trust)
	if err != nil {
		t.Fatal(err)
	}
	counts := map[bool]int{}
	for _, c := range file.Cases {
		r, k, err := trust.Verify(c.Text)
		if rule(t, err) != c.Want {
			t.Errorf("%s: %v, want %q", c.Name, err, c.Want)
		}
		if err == nil && (c.Receipt == nil || *c.Receipt != *vectorOf(r, k)) {
			t.Errorf("%s: reads %+v, want %+v", c.Name, vectorOf(r, k), c.Receipt)
		}
		counts[err == nil]++
	}
	if counts[true] < 5 || counts[false] < 200 {
		t.Errorf("%d good and %d bad cases", counts[true], counts[false])
	}
	t.Logf("%d good, %d bad", counts[true], counts[false])
}
