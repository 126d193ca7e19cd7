package cmp

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
)

// TestParseAll: one message of each kind marshals to the bytes it came in, and
// any byte after it is refused.
func TestParseAll(t *testing.T) {
	w := newWorld(t, seededKey("old"))
	for what, der := range w.allMessages(t) {
		m := mustParse(t, der)
		if again, err := build(m.marshal); err != nil || !bytes.Equal(again, der) {
			t.Errorf("%s: %v", what, err)
		}
		if !strings.HasPrefix(what, m.Kind.String()) {
			t.Errorf("%s: kind %v", what, m.Kind)
		}
		if len(der) > 10<<10 {
			t.Errorf("%s has %d bytes", what, len(der))
		}
		if _, err := Parse(append(bytes.Clone(der), 0)); ruleOf(err) != RuleSyntax {
			t.Errorf("%s and a zero: %v", what, err)
		}
		// The message does not share memory with its input or output.
		in := bytes.Clone(der)
		m = mustParse(t, in)
		clear(in)
		m.Raw()[0] = 0
		if !bytes.Equal(m.Raw(), der) {
			t.Errorf("%s: shares memory", what)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	w := newWorld(t, seededKey("old"))
	s := newScene(t)
	kup := s.der(t)
	edited := func(edit func(m *Message)) []byte {
		m := mustParse(t, kup)
		edit(m)
		return must(t)(build(m.marshal))
	}
	content := func(der string) func(m *Message) {
		raw, err := hex.DecodeString(strings.ReplaceAll(der, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		return func(m *Message) { m.body = rawBody(raw) }
	}
	kind := func(k BodyKind, der string) []byte {
		return edited(func(m *Message) { m.Kind = k; content(der)(m) })
	}
	for what, der := range map[string][]byte{
		"empty sequence":                 {0x30, 0},
		"null":                           {5, 0},
		"indefinite length":              append(append([]byte{0x30, 0x80}, kup[4:]...), 0, 0),
		"length in three bytes":          append([]byte{0x30, 0x83, 0, kup[2], kup[3]}, kup[4:]...),
		"length past the end":            {0x30, 0x84, 0xff, 0xff, 0xff, 0xff},
		"deeper than allowed":            nestedSequences(maxDepth + 1),
		"genm":                           kind(21, ""),
		"p10cr":                          kind(4, ""),
		"body tag 30":                    kind(30, ""),
		"ip without responses":           kind(BodyIP, "30 00"),
		"two responses":                  kind(BodyIP, "30 14 3008 020100 3003 020102 3008 020100 3003 020102"),
		"encrypted certificate":          kind(BodyKUP, "30 10 300e 020100 3003 020100 3004 a102 3000"),
		"private key of the CA":          kind(BodyKUP, "30 14 3012 020100 3003 020100 3008 a002 3000 a002 3000"),
		"caPubs empty":                   kind(BodyKUP, "a102 3000 30 0a 3008 020100 3003 020102"),
		"status text empty":              kind(BodyKUP, "300c 300a 020100 3005 020102 3000"),
		"failInfo with trailing zeros":   kind(BodyKUP, "300e 300c 020100 3007 020102 0302 0040"),
		"failInfo of no bits":            kind(BodyKUP, "300d 300b 020100 3006 020102 0301 00"),
		"status -1":                      kind(BodyKUP, "300a 3008 020100 3003 0201ff"),
		"pollReq of two":                 kind(BodyPollReq, "3003 020100 3003 020101"),
		"pollRep with negative wait":     kind(BodyPollRep, "3006 020100 0201ff"),
		"certConf with hashAlg":          kind(BodyCertConf, "300a 0401aa 020100 a002 3000"),
		"certConf without hash":          kind(BodyCertConf, "3005 0400 020100"),
		"pkiConf with a sequence":        kind(BodyPKIConf, ""),
		"error empty":                    kind(BodyError, ""),
		"kur with two requests":          kind(BodyKUR, "3007 3005 020100 3000 3007 3005 020100 3000"),
		"template with fields twice":     kind(BodyKUR, "300f 300d 020100 3008 a502 3000 a502 3000"),
		"template with fields reversed":  kind(BodyKUR, "300f 300d 020100 3008 a602 3000 a502 3000"),
		"template with a field 10":       kind(BodyKUR, "300b 3009 020100 3004 aa02 3000"),
		"template with subject no name":  kind(BodyKUR, "300b 3009 020100 3004 a502 0500"),
		"empty controls":                 kind(BodyKUR, "3009 3007 020100 3000 3000"),
		"key encipherment proof":         kind(BodyKUR, "300b 3005 020100 3000 a202 8000"),
		"no protection":                  edited(func(m *Message) { m.protection = nil }),
		"protection without algorithm":   edited(func(m *Message) { m.Header.ProtectionAlg = nil }),
		"transactionID of 65 bytes":      edited(func(m *Message) { m.Header.TransactionID = make([]byte, 65) }),
		"transactionID empty":            edited(func(m *Message) { m.Header.TransactionID = []byte{} }),
		"sender an email":                bytes.Replace(kup, []byte{0xa4}, []byte{0x81}, 1),
		"freeText of nine lines":         edited(func(m *Message) { m.Header.FreeText = make([]string, 9) }),
		"freeText of no UTF-8":           edited(func(m *Message) { m.Header.FreeText = []string{"\xff"} }),
		"freeText too long":              edited(func(m *Message) { m.Header.FreeText = []string{strings.Repeat("x", maxText+1)} }),
		"generalInfo of 17":              edited(func(m *Message) { m.Header.GeneralInfo = make17(m.Header.GeneralInfo[0]) }),
		"17 extraCerts":                  edited(func(m *Message) { m.extraCerts = make17(m.extraCerts[0]) }),
		"extraCerts empty":               edited(func(m *Message) { m.extraCerts = [][]byte{} }),
		"extraCerts with something else": edited(func(m *Message) { m.extraCerts = [][]byte{derNull} }),
		"time with a fraction":           bytes.Replace(kup, []byte("\xa0\x11\x18\x0f20260504093000Z"), []byte("\xa0\x11\x18\x0f202605040930.0Z"), 1),
		"65537 bytes":                    make([]byte, MaxMessage+1),
		"nested in nested":               nestedTwice(t, w),
	} {
		if m, err := Parse(der); ruleOf(err) != RuleSyntax || m != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func make17[T any](v T) []T {
	var out []T
	for range 17 {
		out = append(out, v)
	}
	return out
}

func nestedSequences(n int) []byte {
	der := []byte{5, 0}
	for range n {
		der = append([]byte{0x30, byte(len(der))}, der...)
	}
	return der
}

func nestedTwice(t *testing.T, w *world) []byte {
	m := mustParse(t, w.attested(t, must(t)(w.kur(nil).Build(nil))))
	outer := mustParse(t, m.raw)
	outer.body = rawBody(m.raw)
	return resign(t, outer, w.kiosk.key)
}

func TestDER(t *testing.T) {
	for der, good := range map[string]bool{
		"0500":                   true,
		"050100":                 false,
		"0101ff":                 true,
		"010101":                 false,
		"010100":                 true,
		"0100":                   false,
		"020100":                 true,
		"0200":                   false,
		"02020001":               false,
		"02020080":               true,
		"0202ff7f":               true,
		"0202ff80":               false,
		"0a020001":               false,
		"030100":                 true,
		"0300":                   false,
		"030101":                 false,
		"03020780":               true,
		"030207c0":               false,
		"03020800":               false,
		"060100":                 true,
		"0600":                   false,
		"060180":                 false,
		"06028001":               false,
		"0603818001":             true,
		"060381802a":             true,
		"06032a8001":             false,
		"0c02d8a7":               true,
		"0c01ff":                 false,
		"3000":                   true,
		"1000":                   false, // SEQUENCE in primitive form
		"2400":                   false, // OCTET STRING in constructed form
		"2c00":                   false,
		"300102":                 false,
		"30020500":               true,
		"3003050000":             false,
		"1f2000":                 false, // tag in two bytes
		"3081020500":             false, // length not shortest
		"a0800000":               false,
		"8000":                   true,
		"a0020500":               true,
		"a0020501":               false,
		"00":                     false,
		"0000":                   false,
		"30020000":               false,
		"":                       false,
		"05000500":               false,
		"040a05ff0000000000ffff": false,
	} {
		raw, err := hex.DecodeString(der)
		if err != nil {
			t.Fatal(err)
		}
		if err := checkDER(raw); (err == nil) != good {
			t.Errorf("%s: %v", der, err)
		}
	}
	if err := checkDER(nestedSequences(maxDepth)); err != nil {
		t.Error(err)
	}
	if checkDER(nestedSequences(maxDepth+1)) == nil {
		t.Error("deeper than allowed")
	}
}

// TestFailInfo: all single bits and some sets survive.
func TestFailInfo(t *testing.T) {
	sets := []FailInfo{FailBadAlg | FailDuplicateCertReq, 1<<27 - 1, FailBadMessageCheck | FailMissingTimeStamp}
	for n := range failNames {
		sets = append(sets, 1<<n)
	}
	for _, f := range sets {
		der := must(t)(build(StatusInfo{Status: StatusRejection, FailInfo: f}.marshal))
		if err := checkDER(der); err != nil {
			t.Errorf("%v: %v", f, err)
		}
		m := newScene(t).reply
		got := mustParse(t, must(t)(m.Rejected(nil, f))).body.(certRepMessage).status.FailInfo
		if got != f {
			t.Errorf("%b came back as %b", f, got)
		}
		if f&(f-1) == 0 && f.String() == "" {
			t.Errorf("%b has no name", f)
		}
	}
}

func TestTime(t *testing.T) {
	for text, good := range map[string]bool{
		"20260504093000Z":     true,
		"20260504093000+0330": false,
		"20260504093000.5Z":   false,
		"202605040930Z":       false,
		"20260504093000":      false,
		"20261304093000Z":     false,
		"":                    false,
	} {
		s := cryptobyte.String(append([]byte{24, byte(len(text))}, text...))
		var at time.Time
		if ok := readTime(&s, &at); ok != good || good && (!at.Equal(now) || at.Location() != time.UTC) {
			t.Errorf("%q: %t %v", text, ok, at)
		}
	}
}

// TestAlgorithm: NULL and absent parameters are met with RSA, only absent ones
// belong to ECDSA.
func TestAlgorithm(t *testing.T) {
	for der, good := range map[string]bool{
		"300d06092a864886f70d01010b0500":     true,
		"300b06092a864886f70d01010b":         true,
		"300d06092a864886f70d01010b3000":     false,
		"300f06092a864886f70d01010b05000500": false,
		"300a06082a8648ce3d040302":           true,
		"300c06082a8648ce3d0403020500":       false,
		"300d06092a864886f70d0101050500":     false, // SHA-1
		"300d06092a864886f70d01010c0500":     true,  // SHA-384
		"300506032b6570":                     false, // Ed25519
		"3000":                               false,
		"0500":                               false,
		"":                                   false,
	} {
		raw, err := hex.DecodeString(der)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := readAlgorithm(raw); (err == nil) != good || !good && ruleOf(err) != RuleAlgorithm {
			t.Errorf("%s: %v", der, err)
		}
	}
}

func TestErrorText(t *testing.T) {
	err := brokenBy(RuleSigner, brokenBy(RulePOP, errSignature, "b"), "a %x", 10)
	if got := err.Error(); got != "cmp: a a: b: signature is wrong (CMP-SIGNER)" || !errors.Is(err, errSignature) {
		t.Error(got)
	}
	_, err = Parse([]byte("<html>"))
	if got := err.Error(); got != "cmp: not DER: malformed tag or length (CMP-SYNTAX)" {
		t.Error(got)
	}
}
