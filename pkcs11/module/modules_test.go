package module

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"mohr.internal/pkcs11/pkcs11test"
	"mohr.internal/usb/usbtest/card"
	"mohr.internal/usb/usbtest/pcsc"
)

var (
	modules = flag.Bool("modules", false, "the contract suite on every module installed")
	table   = flag.String("table", "", "file for the table of TestModules")
)

// TestModules is make test-modules: the contract suite on every module, and the
// quirks that the real thing shows. OpenSC's are in usb/usbtest/pcsc, where a card
// can be pulled.
func TestModules(t *testing.T) {
	if !*modules {
		t.Skip("SKIPPED: five modules and their daemons; make test-modules")
	}
	var columns []pkcs11test.Column
	for _, m := range []struct {
		name    string
		missing string
		run     func(*testing.T) []pkcs11test.Outcome
		quirks  map[string]func(*testing.T)
	}{
		{SoftHSM, absent("softhsm2, libsofthsm2", softHSM), contractOn(newSoft, pkcs11test.Subject{Short: "12"}), map[string]func(*testing.T){
			"Q-BLANK-SLOT": testBlankSlot, "Q-PIN-FLAGS": testPINFlags, "Q-DUPLICATES": testDuplicates, "Q-MECHANISMS": testMechanisms}},
		{OpenSC, absent("opensc-pkcs11, opensc, pcscd, vsmartcard-vpcd", pcsc.Module(), "/usr/sbin/pcscd"), contractOpenSC, nil},
		{NSS, absent("libnss3", softokn), contractOn(newNSS, pkcs11test.Subject{}), map[string]func(*testing.T){
			"Q-CRYPTO-SLOT": testCryptoSlot, "Q-INIT-STRING": testNSSInit, "Q-SETPIN-LOGIN": testSetPINLogin, "Q-SAME-SERIAL": sameSerial(newNSS)}},
		{OpenCryptoki, noOpenCryptoki(), contractOn(newOpenCryptoki, pkcs11test.Subject{Short: "12", Locks: 3, NoEC: true}), map[string]func(*testing.T){
			"Q-LOCKS-LATE": openCryptokiLocksLate, "Q-MECHANISMS": openCryptokiMechanisms, "Q-SAME-SERIAL": sameSerial(newOpenCryptoki)}},
		{P11Kit, noP11Kit(), contractOn(newP11Kit, pkcs11test.Subject{Short: "12"}), map[string]func(*testing.T){"Q-MECHANISMS": p11kitMechanisms, "Q-LIST-PER-CALL": p11kitLists}},
	} {
		c := pkcs11test.Column{Module: m.name, Skipped: m.missing}
		if m.missing == "" {
			t.Run(m.name, func(t *testing.T) {
				c.Outcomes = m.run(t)
				for _, q := range Quirks {
					if test := m.quirks[q.ID]; test != nil {
						if !slices.Contains(q.Modules, m.name) {
							t.Errorf("%s is shown on %s, and the table of quirks does not say so", q.ID, m.name)
						}
						c.Outcomes = append(c.Outcomes, pkcs11test.Run(t, q.ID, func(t *testing.T) []string { test(t); return nil }))
					}
				}
			})
		}
		columns = append(columns, c)
	}
	var b strings.Builder
	pkcs11test.Table(&b, columns)
	if *table == "" {
		t.Log("\n" + b.String())
	} else if err := os.WriteFile(*table, []byte(b.String()), 0o644); err != nil {
		t.Error(err)
	}
}

// absent says which Debian packages are missing if one of the files is.
func absent(packages string, files ...string) string {
	for _, f := range files {
		if _, err := os.Stat(f); err != nil {
			return fmt.Sprintf("not installed (packages %s)", packages)
		}
	}
	return ""
}

// contractOn runs the suite on new tokens of a module that has these limits.
func contractOn(fresh func(testing.TB) soft, limits pkcs11test.Subject) func(*testing.T) []pkcs11test.Outcome {
	return func(t *testing.T) []pkcs11test.Outcome {
		return pkcs11test.RunContract(t, func(t *testing.T) pkcs11test.Subject {
			sub := limits
			sub.Open, sub.PIN, sub.NewPIN, sub.BadPIN = fresh(t).open, softPIN, "567890", "9999"
			return sub
		})
	}
}

// contractOpenSC runs it on a virtual MyEID card. The daemon is one for all cases.
func contractOpenSC(t *testing.T) []pkcs11test.Outcome {
	blank := func(tb testing.TB) *card.Card {
		c := card.New(card.Options{Serial: [10]byte{9: 1}})
		if err := c.Initialise(card.Profile{Label: "Citizen"}); err != nil {
			tb.Fatal(err)
		}
		return c
	}
	r := pcsc.Start(t, card.NewToken(blank(t), "", nil))
	return pkcs11test.RunContract(t, func(t *testing.T) pkcs11test.Subject {
		if err := r.Token.Replace(blank(t)); err != nil {
			t.Fatal(err)
		}
		return pkcs11test.Subject{Open: soft{module: pcsc.Module(), env: r.Env}.open, PIN: card.UserPIN, NewPIN: "567890", BadPIN: "9999",
			Short: "12", Locks: 3, OneCertificate: true}
	})
}

// sameSerial has two tokens with one serial number.
func sameSerial(fresh func(testing.TB) soft) func(*testing.T) {
	return func(t *testing.T) {
		if a, b := fresh(t).probe(t), fresh(t).probe(t); a.Serial != b.Serial {
			t.Errorf("serials %q and %q: the quirk is gone", a.Serial, b.Serial)
		}
	}
}
