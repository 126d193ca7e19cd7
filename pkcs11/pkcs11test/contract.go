package pkcs11test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"testing"
	"time"

	"mohr.internal/pkcs11"
)

// Subject is a token under test: initialised, empty, with a user PIN.
type Subject struct {
	// Open starts a new conversation with the token and ends it with the test.
	Open func(tb testing.TB) *pkcs11.Session

	PIN     string
	NewPIN  string // another good PIN
	BadPIN  string // a wrong one, of good length
	Short   string // too short for a new PIN, "" if the token takes one digit
	Locks   int    // wrong tries after which the PIN is locked, 0: not seen to lock
	NoRetry bool   // wrong PINs must not be tried (a real token)

	OneCertificate bool // a key takes one certificate, a second is ErrConflict
	NoEC           bool // RSA only: P-256 is ErrUnsupported, and RSA-2048 takes its place

	known *[]string // deviations that a case has shown, of this run
}

// deviates notes that the token really does otherwise than the case is named.
func (s Subject) deviates(reason string) { *s.known = append(*s.known, reason) }

// shortKey is the kind of key that a case makes where the kind does not matter.
func (s Subject) shortKey() pkcs11.KeyAlgorithm {
	if s.NoEC {
		return pkcs11.RSA2048
	}
	return pkcs11.P256
}

// RunContract runs every case on a token of its own. It is what a backend
// promises; what only one module does has its test beside that module. The
// outcomes are for a table (Table).
func RunContract(t *testing.T, fresh func(t *testing.T) Subject) (outcomes []Outcome) {
	cases := []struct {
		name string
		run  func(*testing.T, Subject)
	}{
		{"tokens", contractTokens},
		{"login", contractLogin},
		{"login is not carried over", contractNewSession},
		{"locks", contractLocks},
		{"without login", contractWithoutLogin},
		{"RSA key", func(t *testing.T, s Subject) { contractKey(t, s, pkcs11.RSA2048, pkcs11.P256) }},
		{"P-256 key", contractEC},
		{"certificate", contractCertificate},
		{"large certificate", contractLarge},
		{"change PIN", contractChangePIN},
		{"retire", contractRetire},
		{"random", contractRandom},
		{"after the end", contractEnd},
		{"in parallel", contractParallel},
	}
	for _, c := range cases {
		outcomes = append(outcomes, Run(t, c.name, func(t *testing.T) []string {
			var known []string
			sub := fresh(t)
			sub.known = &known
			c.run(t, sub)
			return known
		}))
	}
	return outcomes
}

var ctx = context.Background()

func must[T any](v T, err error) func(testing.TB) T {
	return func(tb testing.TB) T {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
		return v
	}
}

func ok(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func want(tb testing.TB, err, kind error) {
	tb.Helper()
	if !errors.Is(err, kind) {
		tb.Fatalf("got %v, want %v", err, kind)
	}
}

func wantPIN(tb testing.TB, err error, reason pkcs11.PINReason) pkcs11.PINState {
	tb.Helper()
	var refused *pkcs11.PINError
	if !errors.As(err, &refused) || refused.Reason != reason {
		tb.Fatalf("got %v, want a PIN refused as %v", err, reason)
	}
	return refused.State
}

func login(tb testing.TB, s *pkcs11.Session, pin string) {
	tb.Helper()
	if _, err := s.Login(ctx, []byte(pin)); err != nil {
		tb.Fatal(err)
	}
}

// loggedIn opens a session and logs in.
func (s Subject) loggedIn(tb testing.TB) *pkcs11.Session {
	tb.Helper()
	session := s.Open(tb)
	login(tb, session, s.PIN)
	return session
}

func contractTokens(t *testing.T, sub Subject) {
	s := sub.Open(t)
	tokens := must(s.Tokens(ctx))(t)
	if len(tokens) != 1 {
		t.Fatalf("%d tokens: %+v", len(tokens), tokens)
	}
	tok := tokens[0]
	if tok.Label == "" || tok.Serial == "" || tok.Manufacturer == "" || !tok.Initialised || !tok.RSA || tok.EC == sub.NoEC {
		t.Fatalf("token %+v", tok)
	}
	if tok.PIN.Low || tok.PIN.Final || tok.PIN.Locked {
		t.Fatalf("PIN flags of a fresh token: %+v", tok.PIN)
	}
	other := tok.Name()
	other.Serial += "x"
	want(t, s.Select(ctx, other), pkcs11.ErrNoToken)
	must(s.LoginState(ctx))(t) // the refusal changed nothing
	ok(t, s.Select(ctx, tok.Name()))
	if list := must(s.Objects(ctx))(t); len(list) != 0 {
		t.Fatalf("objects on an empty token: %+v", list)
	}
	if again := must(s.Tokens(ctx))(t); len(again) != 1 || again[0].Name() != tok.Name() {
		t.Fatalf("second reading: %+v", again)
	}
}

func contractLogin(t *testing.T, sub Subject) {
	s := sub.Open(t)
	if st := must(s.LoginState(ctx))(t); st.LoggedIn {
		t.Fatal("logged in before login")
	}
	want(t, s.Logout(ctx), pkcs11.ErrNotLoggedIn)
	pin := []byte(sub.BadPIN)
	if !sub.NoRetry {
		_, err := s.Login(ctx, pin)
		wantPIN(t, err, pkcs11.PINWrong)
		if !bytes.Equal(pin, make([]byte, len(pin))) {
			t.Fatal("PIN not wiped")
		}
		if st := must(s.LoginState(ctx))(t); st.LoggedIn {
			t.Fatal("logged in by a wrong PIN")
		}
	}
	login(t, s, sub.PIN)
	for _, pin := range []string{sub.PIN, sub.BadPIN} { // a wrong PIN must not look right
		_, err := s.Login(ctx, []byte(pin))
		want(t, err, pkcs11.ErrAlreadyLoggedIn)
	}
	if st := must(s.LoginState(ctx))(t); !st.LoggedIn {
		t.Fatal("not logged in after login")
	}
	ok(t, s.Logout(ctx))
	if !sub.NoRetry {
		_, err := s.Login(ctx, []byte(sub.BadPIN))
		wantPIN(t, err, pkcs11.PINWrong)
	}
	login(t, s, sub.PIN)
	_, err := s.Login(ctx, nil)
	want(t, err, pkcs11.ErrInvalid)
}

func contractNewSession(t *testing.T, sub Subject) {
	s := sub.loggedIn(t)
	ok(t, s.Close())
	s = sub.Open(t)
	if st := must(s.LoginState(ctx))(t); st.LoggedIn {
		t.Fatal("login outlived its session")
	}
	login(t, s, sub.PIN)
}

// neverLocks is after how many wrong PINs a token is believed not to lock.
const neverLocks = 12

func contractLocks(t *testing.T, sub Subject) {
	if sub.NoRetry {
		t.Skip("PIN must not be locked")
	}
	if sub.Locks == 0 {
		sub.deviates(fmt.Sprintf("the PIN does not lock: the right one is taken after %d wrong ones", neverLocks))
		s := sub.Open(t)
		for range neverLocks {
			_, err := s.Login(ctx, []byte(sub.BadPIN))
			wantPIN(t, err, pkcs11.PINWrong)
		}
		login(t, s, sub.PIN)
		return
	}
	s := sub.Open(t)
	var err error
	for range sub.Locks {
		_, err = s.Login(ctx, []byte(sub.BadPIN))
	}
	var refused *pkcs11.PINError
	if !errors.As(err, &refused) {
		t.Fatalf("after %d wrong tries: %v", sub.Locks, err)
	}
	_, err = s.Login(ctx, []byte(sub.PIN))
	wantPIN(t, err, pkcs11.PINLocked)
	_, err = sub.Open(t).Login(ctx, []byte(sub.PIN))
	wantPIN(t, err, pkcs11.PINLocked)
}

func contractWithoutLogin(t *testing.T, sub Subject) {
	s := sub.Open(t)
	_, err := s.GenerateKey(ctx, pkcs11.KeySpec{ID: []byte{1}, Algorithm: pkcs11.P256})
	want(t, err, pkcs11.ErrNotLoggedIn)
	_, err = s.Sign(ctx, pkcs11.KeyID{}, crypto.SHA256, make([]byte, 32))
	want(t, err, pkcs11.ErrNotLoggedIn)
	want(t, s.Retire(ctx, pkcs11.Retirement{Old: pkcs11.KeyID{1}}), pkcs11.ErrNotLoggedIn)
	if ders := must(s.ReadCertificate(ctx, pkcs11.KeyID{}))(t); len(ders) != 0 {
		t.Fatalf("%d certificates", len(ders))
	}
}

func contractKey(t *testing.T, sub Subject, alg, other pkcs11.KeyAlgorithm) {
	spec := pkcs11.KeySpec{ID: []byte("renewal-0001"), Label: "کلید", Algorithm: alg}
	s := sub.loggedIn(t)
	spki := must(s.GenerateKey(ctx, spec))(t)
	if again := must(s.GenerateKey(ctx, spec))(t); !bytes.Equal(again, spki) {
		t.Fatal("the same CKA_ID gave a second key")
	}
	s.Close()
	if _, err := sub.Open(t).GenerateKey(ctx, spec); !errors.Is(err, pkcs11.ErrNotLoggedIn) {
		t.Fatal(err)
	}
	s = sub.loggedIn(t)
	if again := must(s.GenerateKey(ctx, spec))(t); !bytes.Equal(again, spki) {
		t.Fatal("a later session made a second key")
	}
	wrong := spec
	wrong.Algorithm = other
	_, err := s.GenerateKey(ctx, wrong)
	want(t, err, pkcs11.ErrConflict)

	signer := must(s.Signer(ctx, spki))(t)
	for _, hash := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512} {
		h := hash.New()
		h.Write([]byte("request"))
		if _, err := signer.Sign(rand.Reader, h.Sum(nil), hash); err != nil {
			t.Fatal(err)
		}
	}
	_, err = s.Sign(ctx, pkcs11.KeyID{9}, crypto.SHA256, make([]byte, 32))
	want(t, err, pkcs11.ErrKeyNotFound)
	_, err = s.Sign(ctx, pkcs11.KeyIDOf(spki), crypto.SHA256, make([]byte, 31))
	want(t, err, pkcs11.ErrInvalid)
	_, err = s.Sign(ctx, pkcs11.KeyIDOf(spki), crypto.SHA1, make([]byte, 20))
	want(t, err, pkcs11.ErrInvalid)

	list := must(s.Objects(ctx))(t)
	if len(list) != 1 || !bytes.Equal(list[0].ID, spec.ID) || list[0].Label != spec.Label || !bytes.Equal(list[0].PublicKeyDER, spki) ||
		!list[0].HasPublic || !list[0].HasPrivate || list[0].CertificateDER != nil || list[0].Problem != "" {
		t.Fatalf("objects: %+v", list)
	}
	if list = must(sub.Open(t).Objects(ctx))(t); len(list) > 1 || (len(list) == 1 && list[0].HasPrivate) {
		t.Fatalf("objects before login: %+v", list)
	}
}

func contractEC(t *testing.T, sub Subject) {
	if !sub.NoEC {
		contractKey(t, sub, pkcs11.P256, pkcs11.RSA2048)
		return
	}
	sub.deviates("no elliptic curves: a key is refused as not supported, and RSA-2048 takes its place in the other cases")
	s := sub.loggedIn(t)
	spec := pkcs11.KeySpec{ID: []byte{1}, Label: "a", Algorithm: pkcs11.P256}
	_, err := s.GenerateKey(ctx, spec)
	want(t, err, pkcs11.ErrUnsupported)
	if list := must(s.Objects(ctx))(t); len(list) != 0 {
		t.Fatalf("left by the refusal: %+v", list)
	}
	spec.Algorithm = pkcs11.RSA2048 // the session goes on
	must(s.GenerateKey(ctx, spec))(t)
}

// makeCertificate has the key certify itself through the token.
func makeCertificate(tb testing.TB, s *pkcs11.Session, spki []byte, serial int64, pad int) []byte {
	tb.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "مریم آزمون", SerialNumber: "0013542419"},
		NotBefore: time.Unix(1.7e9, 0), NotAfter: time.Unix(1.9e9, 0),
	}
	if pad > 0 {
		template.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Value: make([]byte, pad)}}
	}
	signer := must(s.Signer(ctx, spki))(tb)
	return must(x509.CreateCertificate(rand.Reader, template, template, signer.Public(), signer))(tb)
}

func contractCertificate(t *testing.T, sub Subject) {
	s := sub.loggedIn(t)
	spki := must(s.GenerateKey(ctx, pkcs11.KeySpec{ID: []byte{1}, Label: "a", Algorithm: sub.shortKey()}))(t)
	spki2 := must(s.GenerateKey(ctx, pkcs11.KeySpec{ID: []byte{2}, Label: "b", Algorithm: sub.shortKey()}))(t)
	key, key2 := pkcs11.KeyIDOf(spki), pkcs11.KeyIDOf(spki2)
	first, second := makeCertificate(t, s, spki, 1, 0), makeCertificate(t, s, spki, 2, 0)

	want(t, s.WriteCertificate(ctx, key2, "x", first), pkcs11.ErrInvalid)
	want(t, s.WriteCertificate(ctx, key, "x", append(bytes.Clone(first), 0)), pkcs11.ErrInvalid)
	for range 2 {
		ok(t, s.WriteCertificate(ctx, key, "cert", first))
		if ders := must(s.ReadCertificate(ctx, key))(t); len(ders) != 1 || !bytes.Equal(ders[0], first) {
			t.Fatalf("%d certificates read back", len(ders))
		}
	}
	number := 2
	if sub.OneCertificate {
		number = 1
		sub.deviates("a key takes one certificate: a second is refused as a conflict")
		want(t, s.WriteCertificate(ctx, key, "cert 2", second), pkcs11.ErrConflict)
	} else {
		ok(t, s.WriteCertificate(ctx, key, "cert 2", second))
	}
	s.Close()

	s = sub.Open(t) // certificates are read without login
	ders := must(s.ReadCertificate(ctx, key))(t)
	if len(ders) != number || number == 2 && bytes.Equal(ders[0], ders[1]) {
		t.Fatalf("%d certificates after reopening", len(ders))
	}
	login(t, s, sub.PIN)
	certs, keys := 0, 0
	for _, o := range must(s.Objects(ctx))(t) {
		id, known := o.Key()
		switch {
		case !known || !o.HasPrivate || !o.HasPublic:
			t.Fatalf("object %+v", o)
		case o.CertificateDER != nil && id == key && bytes.Equal(o.ID, []byte{1}):
			certs++
		case o.CertificateDER == nil && id == key2:
			keys++
		default:
			t.Fatalf("object %+v", o)
		}
	}
	if certs != number || keys != 1 {
		t.Fatalf("%d certificates, %d keys without", certs, keys)
	}
}

func contractLarge(t *testing.T, sub Subject) {
	s := sub.loggedIn(t)
	var spki []byte
	var key pkcs11.KeyID
	for serial := range int64(3) { // together more than a frame holds
		if spki == nil || sub.OneCertificate {
			spki = must(s.GenerateKey(ctx, pkcs11.KeySpec{ID: []byte{byte(serial + 1)}, Algorithm: sub.shortKey()}))(t)
			key = pkcs11.KeyIDOf(spki)
		}
		ok(t, s.WriteCertificate(ctx, key, "large", makeCertificate(t, s, spki, serial+1, 25<<10)))
	}
	if list := must(s.Objects(ctx))(t); len(list) != 3 || len(list[2].CertificateDER) < 25<<10 {
		t.Fatalf("%d objects", len(list))
	}
	if !sub.OneCertificate {
		_, err := s.ReadCertificate(ctx, key)
		want(t, err, pkcs11.ErrTooLarge)
	}
	want(t, s.WriteCertificate(ctx, key, "too large", makeCertificate(t, s, spki, 9, pkcs11.MaxCertificate)), pkcs11.ErrInvalid)
}

func contractChangePIN(t *testing.T, sub Subject) {
	s := sub.loggedIn(t)
	if !sub.NoRetry {
		wantPIN(t, s.ChangePIN(ctx, []byte(sub.BadPIN), []byte(sub.NewPIN)), pkcs11.PINWrong)
	}
	if sub.Short != "" {
		wantPIN(t, s.ChangePIN(ctx, []byte(sub.PIN), []byte(sub.Short)), pkcs11.PINLength)
	} else {
		sub.deviates("a new PIN of one digit is taken")
		ok(t, s.ChangePIN(ctx, []byte(sub.PIN), []byte("1")))
		ok(t, s.ChangePIN(ctx, []byte("1"), []byte(sub.PIN)))
	}
	if st := must(s.LoginState(ctx))(t); !st.LoggedIn { // a token may take a wrong PIN for a logout
		login(t, s, sub.PIN)
	}
	old, new := []byte(sub.PIN), []byte(sub.NewPIN)
	ok(t, s.ChangePIN(ctx, old, new))
	if !bytes.Equal(old, make([]byte, len(old))) || !bytes.Equal(new, make([]byte, len(new))) {
		t.Fatal("PINs not wiped")
	}
	if st := must(s.LoginState(ctx))(t); !st.LoggedIn {
		t.Fatal("logged out by a change of PIN")
	}
	s.Close()
	s = sub.Open(t)
	if !sub.NoRetry {
		_, err := s.Login(ctx, []byte(sub.PIN))
		wantPIN(t, err, pkcs11.PINWrong)
	}
	// Without login a token may refuse; if so, it has tried nothing.
	if err := s.ChangePIN(ctx, []byte(sub.NewPIN), []byte(sub.PIN)); errors.Is(err, pkcs11.ErrNotLoggedIn) {
		login(t, s, sub.NewPIN)
	} else {
		ok(t, err)
		login(t, s, sub.PIN)
	}
}

func contractRetire(t *testing.T, sub Subject) {
	s := sub.loggedIn(t)
	old := must(s.GenerateKey(ctx, pkcs11.KeySpec{ID: []byte{1}, Label: "old", Algorithm: pkcs11.RSA2048}))(t)
	oldCert := makeCertificate(t, s, old, 1, 0)
	r := pkcs11.Retirement{Old: pkcs11.KeyIDOf(old), Kept: pkcs11.KeyID{7}}
	ok(t, s.WriteCertificate(ctx, r.Old, "old", oldCert))
	want(t, s.Retire(ctx, r), pkcs11.ErrKeepsLast) // nothing else there

	kept := must(s.GenerateKey(ctx, pkcs11.KeySpec{ID: []byte{2}, Label: "new", Algorithm: sub.shortKey()}))(t)
	r.Kept = pkcs11.KeyIDOf(kept)
	keptCert := makeCertificate(t, s, kept, 2, 0)
	r.KeptCertificate = sha256.Sum256(keptCert)
	want(t, s.Retire(ctx, r), pkcs11.ErrKeepsLast) // certificate not written yet
	ok(t, s.WriteCertificate(ctx, r.Kept, "new", keptCert))
	for _, bad := range []pkcs11.Retirement{
		{Old: r.Old, Kept: r.Kept, KeptCertificate: sha256.Sum256(oldCert)},
		{Old: r.Old, Kept: r.Old, KeptCertificate: sha256.Sum256(oldCert)},
		{Old: r.Kept, Kept: r.Old, KeptCertificate: r.KeptCertificate},
	} {
		want(t, s.Retire(ctx, bad), pkcs11.ErrKeepsLast)
	}
	if list := must(s.Objects(ctx))(t); len(list) != 2 {
		t.Fatalf("a refusal deleted something: %d objects", len(list))
	}
	ok(t, s.Retire(ctx, r))
	want(t, s.Retire(ctx, r), pkcs11.ErrKeyNotFound)
	list := must(s.Objects(ctx))(t)
	if len(list) != 1 || !bytes.Equal(list[0].CertificateDER, keptCert) || !list[0].HasPrivate || !list[0].HasPublic {
		t.Fatalf("left: %+v", list)
	}
	_, err := s.Sign(ctx, r.Old, crypto.SHA256, make([]byte, 32))
	want(t, err, pkcs11.ErrKeyNotFound)
	want(t, s.Retire(ctx, pkcs11.Retirement{Old: r.Kept, Kept: r.Old, KeptCertificate: sha256.Sum256(oldCert)}), pkcs11.ErrKeepsLast)
}

func contractRandom(t *testing.T, sub Subject) {
	s := sub.Open(t)
	a, err := s.Random(ctx, 32)
	if errors.Is(err, pkcs11.ErrUnsupported) {
		sub.deviates("no random numbers")
		return
	}
	ok(t, err)
	if b := must(s.Random(ctx, 32))(t); bytes.Equal(a, b) || len(b) != 32 {
		t.Fatal("not random")
	}
}

func contractEnd(t *testing.T, sub Subject) {
	s := sub.Open(t)
	stopped, cancel := context.WithCancel(ctx)
	cancel()
	_, err := s.Tokens(stopped)
	want(t, err, context.Canceled)
	must(s.Tokens(ctx))(t) // nothing was sent, the session goes on
	ok(t, s.Close())
	ok(t, s.Close())
	_, err = s.Tokens(ctx)
	want(t, err, pkcs11.ErrRemoved)
	_, err = s.Login(ctx, []byte(sub.PIN)) // never sent, so the outcome is known
	want(t, err, pkcs11.ErrRemoved)
}

func contractParallel(t *testing.T, sub Subject) {
	s := sub.loggedIn(t)
	spki := must(s.GenerateKey(ctx, pkcs11.KeySpec{ID: []byte{1}, Algorithm: sub.shortKey()}))(t)
	signer := must(s.Signer(ctx, spki))(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			digest := sha256.Sum256([]byte{byte(i)})
			if _, err := signer.Sign(rand.Reader, digest[:], crypto.SHA256); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}
