package module

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"math/big"
	"slices"
	"strconv"
	"testing"

	p11 "github.com/miekg/pkcs11"

	"mohr.internal/pkcs11"
	"mohr.internal/pkcs11/pkcs11test"
)

var ctx = context.Background()

// TestQuirks has one test for each row of the table.
func TestQuirks(t *testing.T) {
	tests := map[string]func(*testing.T){
		"Q-BLANK-SLOT":      testBlankSlot,
		"Q-CRYPTO-SLOT":     testCryptoSlot,
		"Q-PIN-FLAGS":       testPINFlags,
		"Q-LOCKS-LATE":      testLocksLate,
		"Q-ALREADY":         testAlready,
		"Q-SETPIN-LOGIN":    testSetPINLogin,
		"Q-SETPIN-LOGOUT":   testSetPINLogout,
		"Q-GENERAL-ERROR":   testGeneralError,
		"Q-STALE-INFO":      testStaleInfo,
		"Q-INFO-CANCEL":     testInfoCancel,
		"Q-NOT-SENSITIVE":   testNotSensitive,
		"Q-EC-POINT":        testECPoint,
		"Q-DUPLICATES":      testDuplicates,
		"Q-ONE-CERTIFICATE": testOneCertificate,
		"Q-SHARED-ID":       testSharedID,
		"Q-MECHANISMS":      testMechanisms,
		"Q-SAME-SERIAL":     testSameSerial,
		"Q-INIT-STRING":     testInitString,
		"Q-LIST-PER-CALL":   testListPerCall,
		"Q-NO-LOCKING":      testNoLocking,
		"Q-NUL-PADDING":     testNULPadding,
	}
	for _, q := range Quirks {
		test := tests[q.ID]
		if test == nil {
			t.Errorf("%s has no test", q.ID)
			continue
		}
		t.Run(q.ID, test)
		delete(tests, q.ID)
	}
	for id := range tests {
		t.Errorf("%s is not in the table", id)
	}
}

// proxied is SoftHSM behind the proxy.
func proxied(tb testing.TB) (soft, pkcs11test.Proxy) {
	s := newSoft(tb)
	p := pkcs11test.NewProxy(tb, softHSM)
	s.module = p.Path
	return s, p
}

func (s soft) session(tb testing.TB, env []string) *pkcs11.Session {
	return s.start(tb, env...).Session()
}

func login(tb testing.TB, s *pkcs11.Session) {
	tb.Helper()
	if _, err := s.Login(ctx, []byte(softPIN)); err != nil {
		tb.Fatal(err)
	}
}

func generate(tb testing.TB, s *pkcs11.Session, id string, a pkcs11.KeyAlgorithm) []byte {
	tb.Helper()
	spki, err := s.GenerateKey(ctx, pkcs11.KeySpec{ID: []byte(id), Label: id, Algorithm: a})
	if err != nil {
		tb.Fatal(err)
	}
	return spki
}

func certify(tb testing.TB, s *pkcs11.Session, spki []byte, serial int64) []byte {
	tb.Helper()
	signer, err := s.Signer(ctx, spki)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, signer.Public(), signer)
	if err != nil {
		tb.Fatal(err)
	}
	return der
}

func wantErr(tb testing.TB, err, want error) {
	tb.Helper()
	if !errors.Is(err, want) {
		tb.Errorf("got %v, want %v", err, want)
	}
}

// raw is the module itself, in this process, to put on a token what Session
// would not.
func (s soft) raw(tb testing.TB) (*p11.Ctx, p11.SessionHandle) {
	tb.Helper()
	for _, kv := range s.env {
		name, value, _ := bytes.Cut([]byte(kv), []byte("="))
		tb.Setenv(string(name), string(value))
	}
	ctx := p11.New(softHSM)
	if err := ctx.Initialize(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { ctx.Finalize(); ctx.Destroy() })
	slots, err := ctx.GetSlotList(true)
	if err != nil {
		tb.Fatal(err)
	}
	h, err := ctx.OpenSession(slots[0], p11.CKF_SERIAL_SESSION|p11.CKF_RW_SESSION)
	if err != nil {
		tb.Fatal(err)
	}
	if err := ctx.Login(h, p11.CKU_USER, softPIN); err != nil {
		tb.Fatal(err)
	}
	return ctx, h
}

func testBlankSlot(t *testing.T) {
	s := newSoft(t)
	raw, _ := s.raw(t)
	if slots, err := raw.GetSlotList(true); err != nil || len(slots) != 2 {
		t.Fatalf("SoftHSM shows %d slots, %v: the quirk is gone", len(slots), err)
	}
	if list, err := s.open(t).Tokens(ctx); err != nil || len(list) != 1 {
		t.Errorf("%d tokens, %v", len(list), err)
	}
}

func testPINFlags(t *testing.T) {
	s := newSoft(t).open(t)
	for i := range 4 {
		state, err := s.Login(ctx, []byte("9999"))
		if want := (pkcs11.PINState{Low: true, TriesLeft: -1}); state != want || err == nil {
			t.Errorf("wrong try %d: %+v, %v", i+1, state, err)
		}
	}
	login(t, s)
}

func testLocksLate(t *testing.T) {
	s, p := proxied(t)
	_, err := s.session(t, p.Env("C_GetTokenInfo:flags=0x40000")).Login(ctx, []byte("9999"))
	var refused *pkcs11.PINError
	if !errors.As(err, &refused) || refused.Reason != pkcs11.PINLocked || !refused.State.Locked {
		t.Errorf("got %v", err)
	}
}

func testAlready(t *testing.T) {
	s, p := proxied(t)
	session := s.session(t, p.Env())
	login(t, session)
	for _, pin := range []string{softPIN, "9999"} {
		_, err := session.Login(ctx, []byte(pin))
		wantErr(t, err, pkcs11.ErrAlreadyLoggedIn)
	}
	calls := p.Calls(t)
	at := slices.Index(calls, "C_Login")
	if at < 1 || calls[at-1] != "C_Logout" || slices.Contains(calls[at+1:], "C_Login") {
		t.Errorf("not one C_Login, right after C_Logout: %v", calls)
	}
	// What the module says by itself is a failure too.
	session = s.session(t, p.Env("C_Login:rv=0x100"))
	_, err := session.Login(ctx, []byte(softPIN))
	wantErr(t, err, pkcs11.ErrAlreadyLoggedIn)
	if state, err := session.LoginState(ctx); err != nil || state.LoggedIn {
		t.Errorf("%+v, %v", state, err)
	}
}

// The session handle is invalid once the wrong PIN is refused, as with OpenSC,
// where the card has ended the login. With it gone for good the token is gone.
func testSetPINLogout(t *testing.T) {
	s, p := proxied(t)
	session := s.session(t, p.Env("C_GetSessionInfo:rv=0xb3@2"))
	login(t, session) // reads the flags once
	var refused *pkcs11.PINError
	err := session.ChangePIN(ctx, []byte("9999"), []byte("567890"))
	if !errors.As(err, &refused) || refused.Reason != pkcs11.PINWrong || !refused.State.Low {
		t.Errorf("got %v", err)
	}
	if state, err := session.LoginState(ctx); err != nil || state.LoggedIn {
		t.Errorf("%+v, %v", state, err)
	}
	if n := slices.Index(p.Calls(t), "C_OpenSession"); n < 0 {
		t.Error("no session opened")
	}
	login(t, session)
	generate(t, session, "id", pkcs11.P256)
}

func testOneCertificate(t *testing.T) {
	s, p := proxied(t)
	session := s.session(t, p.Env("C_CreateObject:rv=0x5@1", "C_CreateObject:rv=0x5@3"))
	login(t, session)
	spki := generate(t, session, "id", pkcs11.P256)
	write := func(serial int64) error {
		return session.WriteCertificate(ctx, pkcs11.KeyIDOf(spki), "c", certify(t, session, spki, serial))
	}
	wantErr(t, write(1), pkcs11.ErrDevice) // nothing there: some other reason
	if err := write(2); err != nil {
		t.Fatal(err)
	}
	wantErr(t, write(3), pkcs11.ErrConflict)
}

func testGeneralError(t *testing.T) {
	s, p := proxied(t)
	for _, rv := range []string{"0x5", "0x6", "0x30", "0x90", "0x80000001"} {
		session := s.session(t, p.Env("C_GenerateKeyPair:rv="+rv))
		login(t, session)
		_, err := session.GenerateKey(ctx, pkcs11.KeySpec{ID: []byte{1}, Algorithm: pkcs11.P256})
		wantErr(t, err, pkcs11.ErrDevice) // still there
		generateAgain(t, session, pkcs11.ErrDevice)

		session = s.session(t, p.Env("C_GenerateKeyPair:rv="+rv, "C_GetSlotList:empty@3", "C_GetSlotList:empty@4", "C_GetSlotList:empty@5", "C_GetSlotList:empty@6"))
		login(t, session) // lists the slots once: two calls
		_, err = session.GenerateKey(ctx, pkcs11.KeySpec{ID: []byte{1}, Algorithm: pkcs11.P256})
		wantErr(t, err, pkcs11.ErrRemoved)
	}
}

func generateAgain(t *testing.T, s *pkcs11.Session, want error) {
	t.Helper()
	_, err := s.GenerateKey(ctx, pkcs11.KeySpec{ID: []byte{1}, Algorithm: pkcs11.P256})
	wantErr(t, err, want)
}

func testStaleInfo(t *testing.T) {
	s, p := proxied(t)
	session := s.session(t, p.Env())
	login(t, session)
	before := 0
	for _, c := range p.Calls(t) {
		if c == "C_GetTokenInfo" {
			before++
		}
	}
	// The look for the token goes round twice over SoftHSM's two slots: good
	// answers the first time, none the second.
	faults := []string{"C_GenerateKeyPair:rv=0x5"}
	for n := before + 3; n < before+5; n++ {
		faults = append(faults, "C_GetTokenInfo:rv=0xe0@"+strconv.Itoa(n))
	}
	session = s.session(t, p.Env(faults...))
	login(t, session)
	_, err := session.GenerateKey(ctx, pkcs11.KeySpec{ID: []byte{1}, Algorithm: pkcs11.P256})
	wantErr(t, err, pkcs11.ErrRemoved)
}

func testInfoCancel(t *testing.T) {
	s, p := proxied(t)
	session := s.session(t, p.Env("C_GetTokenInfo:after=1"))
	if list, err := session.Tokens(ctx); err != nil || len(list) != 1 || list[0].Label != "Citizen" {
		t.Errorf("%+v, %v", list, err)
	}
	login(t, session)
	if list, err := s.session(t, p.Env("C_GetTokenInfo:after=5")).Tokens(ctx); err != nil || len(list) != 0 {
		t.Errorf("any other error: %+v, %v", list, err)
	}
}

// What a key says of itself, and whether SoftHSM then gives its value out.
func testNotSensitive(t *testing.T) {
	raw, h := newSoft(t).raw(t)
	m := &Module{ctx: raw, session: h, open: true, loggedIn: true}
	a := p11.NewAttribute
	for _, kind := range []struct {
		mech   uint
		public *p11.Attribute
	}{
		{p11.CKM_RSA_PKCS_KEY_PAIR_GEN, a(p11.CKA_MODULUS_BITS, 2048)},
		{p11.CKM_EC_KEY_PAIR_GEN, a(p11.CKA_EC_PARAMS, []byte("\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07"))},
	} {
		for _, tt := range []struct{ sensitive, extractable, guarded bool }{
			{true, false, true}, {false, false, true}, {false, true, false}, {true, true, false},
		} {
			_, priv, err := raw.GenerateKeyPair(h, []*p11.Mechanism{p11.NewMechanism(kind.mech, nil)}, []*p11.Attribute{kind.public},
				[]*p11.Attribute{a(p11.CKA_PRIVATE, true), a(p11.CKA_SENSITIVE, tt.sensitive), a(p11.CKA_EXTRACTABLE, tt.extractable)})
			if err != nil {
				t.Fatal(err)
			}
			if guarded, err := m.guards(priv); guarded != tt.guarded || err != nil {
				t.Errorf("%+v: %t, %v", tt, guarded, err)
			}
		}
	}
}

func testECPoint(t *testing.T) {
	s, p := proxied(t)
	wrapped := s.session(t, p.Env())
	login(t, wrapped)
	spki := generate(t, wrapped, "id", pkcs11.P256)
	wrapped.Close()
	bare := s.session(t, p.Env("C_GetAttributeValue:bare"))
	login(t, bare)
	if got := generate(t, bare, "id", pkcs11.P256); !bytes.Equal(got, spki) {
		t.Error("a bare point is another key")
	}
	certify(t, bare, spki, 1)

	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	der, err := asn1.Marshal(point)
	if err != nil {
		t.Fatal(err)
	}
	off := bytes.Clone(point)
	off[64] ^= 1
	for _, tt := range []struct {
		name string
		in   []byte
		good bool
	}{{"bare", point, true}, {"DER", der, true}, {"nothing", nil, false}, {"DER and more", append(bytes.Clone(der), 0), false},
		{"off the curve", off, false}, {"short", point[:64], false}, {"DER of nothing", []byte{4, 0}, false}, {"infinity", []byte{0}, false}} {
		if got := parsePoint(elliptic.P256(), tt.in); (got != nil) != tt.good || (got != nil && !got.Equal(&key.PublicKey)) {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

func testDuplicates(t *testing.T) {
	s, p := proxied(t)
	session := s.session(t, p.Env())
	login(t, session)
	spki := generate(t, session, "id", pkcs11.P256)
	key, der := pkcs11.KeyIDOf(spki), certify(t, session, spki, 1)
	for range 2 {
		if err := session.WriteCertificate(ctx, key, "c", der); err != nil {
			t.Fatal(err)
		}
	}
	writes := 0
	for _, c := range p.Calls(t) {
		if c == "C_CreateObject" {
			writes++
		}
	}
	if writes != 1 {
		t.Errorf("written %d times", writes)
	}
	session.Close()

	raw, h := s.raw(t)
	if _, err := raw.CreateObject(h, []*p11.Attribute{
		p11.NewAttribute(p11.CKA_CLASS, p11.CKO_CERTIFICATE), p11.NewAttribute(p11.CKA_CERTIFICATE_TYPE, p11.CKC_X_509),
		p11.NewAttribute(p11.CKA_TOKEN, true), p11.NewAttribute(p11.CKA_PRIVATE, false), p11.NewAttribute(p11.CKA_ID, []byte("id")),
		p11.NewAttribute(p11.CKA_SUBJECT, []byte{0x30, 0}), p11.NewAttribute(p11.CKA_VALUE, der),
	}); err != nil {
		t.Fatalf("SoftHSM refuses a second copy: %v: the quirk is gone", err)
	}
	s.module = softHSM
	ders, err := s.open(t).ReadCertificate(ctx, key)
	if err != nil || len(ders) != 1 {
		t.Errorf("%d certificates, %v", len(ders), err)
	}
}

// Two EC pairs and two RSA pairs, all with one CKA_ID, and a certificate for
// each: every key signs as itself, and retire takes only what is its own.
func testSharedID(t *testing.T) {
	s := newSoft(t)
	raw, h := s.raw(t)
	m := &Module{ctx: raw, session: h, open: true, loggedIn: true}
	var spkis [][]byte
	for _, a := range []pkcs11.KeyAlgorithm{pkcs11.P256, pkcs11.RSA2048, pkcs11.P256, pkcs11.RSA2048} {
		spki, err := m.make(pkcs11.KeySpec{ID: []byte("one"), Label: "l", Algorithm: a})
		if err != nil {
			t.Fatal(err)
		}
		spkis = append(spkis, spki)
	}
	session := s.open(t)
	if list, err := session.Objects(ctx); err != nil || len(list) != 4 || list[0].HasPrivate {
		t.Fatalf("before login: %+v, %v", list, err)
	}
	login(t, session)
	var ders [][]byte
	for i, spki := range spkis {
		der := certify(t, session, spki, int64(i+1)) // signed and verified with this very key
		if err := session.WriteCertificate(ctx, pkcs11.KeyIDOf(spki), "c", der); err != nil {
			t.Fatal(err)
		}
		ders = append(ders, der)
	}
	list, err := session.Objects(ctx)
	if err != nil || len(list) != 4 {
		t.Fatalf("%d objects, %v", len(list), err)
	}
	for i := range 3 {
		if err := session.Retire(ctx, pkcs11.Retirement{Old: pkcs11.KeyIDOf(spkis[i]), Kept: pkcs11.KeyIDOf(spkis[3]), KeptCertificate: sha256.Sum256(ders[3])}); err != nil {
			t.Fatal(err)
		}
		for j, spki := range spkis {
			_, err := session.Sign(ctx, pkcs11.KeyIDOf(spki), crypto.SHA256, make([]byte, 32))
			if j <= i {
				wantErr(t, err, pkcs11.ErrKeyNotFound)
			} else if err != nil {
				t.Errorf("key %d after %d was retired: %v", j, i, err)
			}
		}
	}
	if list, err := session.Objects(ctx); err != nil || len(list) != 1 || !bytes.Equal(list[0].CertificateDER, ders[3]) {
		t.Errorf("left: %+v, %v", list, err)
	}
}

func testMechanisms(t *testing.T) {
	s := newSoft(t)
	raw, _ := s.raw(t)
	slots, err := raw.GetSlotList(true)
	if err != nil {
		t.Fatal(err)
	}
	list, err := raw.GetMechanismList(slots[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, mech := range list {
		if mech.Mechanism == p11.CKM_ECDSA_SHA256 {
			t.Error("SoftHSM has ECDSA_SHA256: the quirk is gone")
		}
	}
	// That signatures work all the same is in the contract suite.
}

// Two tokens that call themselves the same: the key of one is not on the other.
func testSameSerial(t *testing.T) {
	s, p := proxied(t)
	a := s.session(t, p.Env())
	login(t, a)
	spki := generate(t, a, "id", pkcs11.P256)
	name, err := a.Tokens(ctx)
	if err != nil || len(name) != 1 {
		t.Fatal(name, err)
	}
	other, p := proxied(t)
	b := other.session(t, p.Env("C_GetTokenInfo:serial="+name[0].Serial))
	login(t, b)
	if same, err := b.Tokens(ctx); err != nil || len(same) != 1 || same[0].Name() != name[0].Name() {
		t.Errorf("%+v and %+v: not the same name; %v", name, same, err)
	}
	_, err = b.Sign(ctx, pkcs11.KeyIDOf(spki), crypto.SHA256, make([]byte, 32))
	wantErr(t, err, pkcs11.ErrKeyNotFound)
}

// The second list is dead: nobody asks for one.
func testListPerCall(t *testing.T) {
	s, p := proxied(t)
	session := s.session(t, p.Env("C_GetFunctionList:other@2", "C_GetFunctionList:other@3"))
	login(t, session)
	wantErr(t, session.ChangePIN(ctx, []byte(softPIN), []byte("567890")), nil)
	_, err := s.session(t, p.Env("C_GetFunctionList:other@1")).Tokens(ctx)
	wantErr(t, err, pkcs11.ErrModule)
}

func testInitString(t *testing.T) {
	testNSSInit(t)
}

func testNoLocking(t *testing.T) {
	s, p := proxied(t)
	login(t, s.session(t, p.Env("C_Initialize:rv=0xa@1")))
	if calls := p.Calls(t); len(calls) < 2 || calls[0] != "C_Initialize" || calls[1] != "C_Initialize" {
		t.Errorf("calls: %v", calls)
	}
	_, err := s.session(t, p.Env("C_Initialize:rv=0xa")).Tokens(ctx)
	wantErr(t, err, pkcs11.ErrModule)
}

func testNULPadding(t *testing.T) {
	for in, want := range map[string]string{"a": "a", "a  ": "a", "a\x00\x00": "a", "a b \x00 ": "a b", "  ": "", "": ""} {
		if got := trim(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
