package check

import (
	"crypto/x509"
	"encoding/asn1"
	"math/big"
	"testing"

	"mohr.internal/kiosk/profile"
)

var (
	laterPolicy = mustOID("2.999.1.2")
	firstPolicy = mustOID("2.999.1.1")
)

func mustOID(s string) x509.OID {
	o, err := x509.ParseOID(s)
	if err != nil {
		panic(err)
	}
	return o
}

// TestSignals: each signal by itself, what it may say, and that the first in
// the profile's order that knows decides.
func TestSignals(t *testing.T) {
	for _, tt := range []struct {
		why     string
		signals []string
		change  func(w *world)
		first   bool
		signal  string
	}{
		{"no signals", nil, asIs, true, Unknown},
		{"register: first", []string{profile.SignalRegister}, asIs, true, profile.SignalRegister},
		{"register: later", []string{profile.SignalRegister}, func(w *world) { w.renewals = 1 }, false, profile.SignalRegister},
		{"register does not know it", []string{profile.SignalRegister}, func(w *world) { w.renewals = -1 }, true, Unknown},
		{"no register", []string{profile.SignalRegister}, func(w *world) { w.register = nil }, true, Unknown},
		{"policy: later", []string{profile.SignalPolicy}, func(w *world) { w.leaf.Policies = []x509.OID{laterPolicy} }, false, profile.SignalPolicy},
		{"policy: first", []string{profile.SignalPolicy}, func(w *world) { w.leaf.Policies = []x509.OID{firstPolicy} }, true, profile.SignalPolicy},
		{"both policies: first", []string{profile.SignalPolicy}, func(w *world) { w.leaf.Policies = []x509.OID{laterPolicy, firstPolicy} }, true, profile.SignalPolicy},
		{"other policy", []string{profile.SignalPolicy}, func(w *world) { w.leaf.Policies = []x509.OID{mustOID("2.999.1.3")} }, true, Unknown},
		{"in the list", []string{profile.SignalRenewed}, inList, false, profile.SignalRenewed},
		{"not in the list", []string{profile.SignalRenewed}, func(w *world) { w.profile.Renewal.Renewed = []profile.Digest{{1}} }, true, Unknown},
		{"older on the token", []string{profile.SignalOlder}, older(asIs), false, profile.SignalOlder},
		{"younger on the token", []string{profile.SignalOlder}, older(func(w *world) { w.leaf.NotBefore = now }), true, Unknown},
		{"older of another person", []string{profile.SignalOlder}, older(func(w *world) { w.set(oidSerial, "0790419904") }), true, Unknown},
		{"older, self-made", []string{profile.SignalOlder}, older(func(w *world) { w.issuer = otherKey }), true, Unknown},
		{"before renewals began", []string{profile.SignalNotBefore}, func(w *world) { w.profile.Renewal.Began = now.Add(-345*day + 1) }, true, profile.SignalNotBefore},
		{"since renewals began", []string{profile.SignalNotBefore}, func(w *world) { w.profile.Renewal.Began = now.Add(-345 * day) }, true, Unknown},
		{"order: register before list", []string{profile.SignalRegister, profile.SignalRenewed}, inList, true, profile.SignalRegister},
		{"order: list before register", []string{profile.SignalRenewed, profile.SignalRegister}, inList, false, profile.SignalRenewed},
		{"the next one is asked", []string{profile.SignalPolicy, profile.SignalRenewed}, inList, false, profile.SignalRenewed},
		{"a signal nobody knows", []string{"guess"}, asIs, true, Unknown},
	} {
		w := newWorld(t)
		w.profile.Renewal.Signals = tt.signals
		tt.change(w)
		d := w.certificate().Decision
		if d.First != tt.first || d.Signal != tt.signal || (d.Kind() == "first") != tt.first {
			t.Errorf("%s: %+v", tt.why, d)
		}
	}
}

func inList(w *world) {
	_, _, leaf := w.build()
	w.profile.Renewal.Renewed = []profile.Digest{{1}, CertificateID(leaf)}
}

// older puts a certificate on the token that is a year older, then changed.
func older(change func(w *world)) func(w *world) {
	return func(w *world) {
		w.build() // pins the CA
		old := *w
		old.leaf.NotBefore, old.leaf.SerialNumber = now.Add(-700*day), big.NewInt(5)
		change(&old)
		_, _, leaf := old.build()
		w.holders = []*x509.Certificate{leaf}
	}
}

func TestCertificateID(t *testing.T) {
	w := newWorld(t)
	_, _, a := w.build()
	w.set(oidTitle, "x")
	_, _, b := w.build()
	w.leaf.SerialNumber = big.NewInt(99)
	_, _, c := w.build()
	if CertificateID(a) != CertificateID(b) || CertificateID(a) == CertificateID(c) {
		t.Error("the ID is not that of issuer and serial number")
	}
	w.issuing.Subject.CommonName = "Another"
	w.leaf.SerialNumber = leafSerial
	_, _, d := w.build()
	if CertificateID(a) == CertificateID(d) {
		t.Error("the ID does not depend on the issuer")
	}
	if !laterPolicy.EqualASN1OID(asn1.ObjectIdentifier{2, 999, 1, 2}) {
		t.Error("test policy differs from the demo profile's")
	}
}
