package pkcs11

// Token is what C_GetTokenInfo and C_GetMechanismList say about a token.
// Strings are trimmed of padding and valid UTF-8.
type Token struct {
	Label        string
	Manufacturer string
	Model        string
	Serial       string

	// MinPIN and MaxPIN are the PIN's length in bytes as the module claims; both
	// are 0 when it claims nothing useful.
	MinPIN, MaxPIN int

	// FreePublic and FreePrivate are bytes of free memory, -1 when unknown.
	FreePublic, FreePrivate int64

	PIN PINState

	// Initialised is CKF_TOKEN_INITIALIZED. Session.Tokens lists no others.
	Initialised    bool
	WriteProtected bool

	// RSA and EC say whether keys of that kind can be made and used for signing.
	RSA, EC bool
}

// Name is how a token is told from another: slots move, labels repeat.
func (t Token) Name() TokenName {
	return TokenName{Serial: t.Serial, Label: t.Label, Manufacturer: t.Manufacturer}
}

// TokenName names a token across sessions and slots.
type TokenName struct {
	Serial, Label, Manufacturer string
}

// String gives the name as logs and errors show it.
func (n TokenName) String() string {
	return n.Manufacturer + "/" + n.Label + "/" + n.Serial
}

// PINState is the state of the user PIN. The flags are the token's hints
// (CKF_USER_PIN_COUNT_LOW, _FINAL_TRY, _LOCKED, _TO_BE_CHANGED): some modules
// set none of them, some only the first. Absent is not "fine".
type PINState struct {
	Low         bool
	Final       bool
	Locked      bool
	ToBeChanged bool

	// TriesLeft is -1 when the module does not tell, which is the rule.
	TriesLeft int
}

// LoginState is the answer to Session.LoginState.
type LoginState struct {
	LoggedIn bool
	PIN      PINState
}

// Object is one certificate with the key it belongs to, or one key without a
// certificate. Two certificates for one key are two Objects. Certificate and key
// are matched by public key, not by CKA_ID.
type Object struct {
	ID    []byte // CKA_ID as it is on the token, possibly empty
	Label string // of the certificate, else of the key

	CertificateDER []byte // nil: no certificate
	PublicKeyDER   []byte // SubjectPublicKeyInfo, of the certificate if there is one; nil if unreadable

	HasPublic bool // a public key object with this key is there

	// HasPrivate says that the private key is there. Before login, false means
	// "not visible".
	HasPrivate bool

	// Problem says why an object is listed but cannot be used: "certificate of
	// 1048576 bytes", "unknown curve".
	Problem string
}

// Key gives the name of the object's key; ok is false if the public key could
// not be read.
func (o Object) Key() (id KeyID, ok bool) {
	if len(o.PublicKeyDER) == 0 {
		return KeyID{}, false
	}
	return KeyIDOf(o.PublicKeyDER), true
}

// KeySpec describes a key pair to be made.
type KeySpec struct {
	// ID becomes CKA_ID. It is derived from the renewal, so that making the same
	// key twice finds the first one.
	ID        []byte
	Label     string
	Algorithm KeyAlgorithm
}

// Retirement names what Session.Retire deletes and what makes that safe.
type Retirement struct {
	Old KeyID // deleted: private key, public key, all its certificates

	// Kept must be another key that signs, and KeptCertificate the SHA-256 of the
	// certificate for it that was written and read back.
	Kept            KeyID
	KeptCertificate [32]byte
}
