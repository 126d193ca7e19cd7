package module

// The modules that were seen, as Quirk.Modules and the table of make test-modules
// name them.
const (
	SoftHSM      = "SoftHSM 2"
	OpenSC       = "OpenSC/MyEID"
	NSS          = "NSS softokn"
	OpenCryptoki = "openCryptoki"
	P11Kit       = "p11-kit remote"
	Longmai      = "Longmai mToken" // by others' reports: never tried here
)

// Quirk is one way in which modules differ from the specification or from each
// other, and that this package bears with. The ID is in the comment where it is
// handled and names the test that shows it.
type Quirk struct {
	ID, Seen, Handled string

	Modules []string // that show it; none: any may
}

// Quirks lists them. No handling is tied to a module's name: a module that behaves
// well is not harmed by it, and vendors rename their modules.
var Quirks = []Quirk{
	{"Q-BLANK-SLOT", "SoftHSM 2.6 always shows one uninitialised token more", "tokens without CKF_TOKEN_INITIALIZED are not listed", []string{SoftHSM}},
	{"Q-CRYPTO-SLOT", "NSS shows its crypto services as a token: no login, write-protected", "such a token is not listed", []string{NSS}},
	{"Q-PIN-FLAGS", "SoftHSM sets COUNT_LOW only, OpenSC never COUNT_LOW, NSS none", "flags are passed on as hints; absent is not fine", []string{SoftHSM, OpenSC, NSS}},
	{"Q-LOCKS-LATE", "openCryptoki answers PIN_INCORRECT at the try that locks the PIN", "the LOCKED flag read after it decides", []string{OpenCryptoki}},
	{"Q-ALREADY", "all modules answer USER_ALREADY_LOGGED_IN to a second login, also with a wrong PIN", "a failure; C_Logout before each C_Login; no second C_Login at all", []string{SoftHSM, OpenSC, NSS, OpenCryptoki}},
	{"Q-SETPIN-LOGIN", "NSS wants the user logged in for C_SetPIN, others do not", "passed on as ErrNotLoggedIn, a definite answer", []string{NSS}},
	{"Q-SETPIN-LOGOUT", "a wrong PIN in C_SetPIN ends the login on the card, whereupon OpenSC closes the session", "a session is opened anew if the token is still there; the login is over", []string{OpenSC}},
	{"Q-GENERAL-ERROR", "OpenSC answers GENERAL_ERROR when the token is pulled during key generation", "any unclear value leads to a look for the token", []string{OpenSC}},
	{"Q-STALE-INFO", "OpenSC answers the first C_GetTokenInfo after a removal from its cache", "presence asks twice, and C_GetSlotList each time", []string{OpenSC}},
	{"Q-INFO-CANCEL", "a Longmai build returns CKR_CANCEL from C_GetTokenInfo with the structure filled", "taken, if initialised and with a serial", []string{Longmai}},
	{"Q-NOT-SENSITIVE", "OpenSC 0.23 has CKA_SENSITIVE false for a key made on the card, which no command gives out", "the value is asked for and has to be refused", []string{OpenSC}},
	{"Q-EC-POINT", "CKA_EC_POINT is a DER OCTET STRING, or bare", "both are read", nil},
	{"Q-DUPLICATES", "SoftHSM stores one certificate twice under one CKA_ID", "written only if not there; equal ones are read as one", []string{SoftHSM}},
	{"Q-ONE-CERTIFICATE", "OpenSC stores one certificate to a CKA_ID and answers GENERAL_ERROR to a second", "ErrConflict", []string{OpenSC}},
	{"Q-SHARED-ID", "two key pairs may have the same CKA_ID", "keys are matched by public key, if need be by a signature", nil},
	{"Q-MECHANISMS", "SoftHSM has no ECDSA_SHA256, openCryptoki no SHA256_RSA_PKCS, p11-kit hides some", "only RSA_PKCS and ECDSA are used, hashes are made here", []string{SoftHSM, OpenCryptoki, P11Kit}},
	{"Q-SAME-SERIAL", "every soft token of openCryptoki has the serial number 123, every database of NSS 0", "a key is found by its public key: one of another token is ErrKeyNotFound", []string{NSS, OpenCryptoki}},
	{"Q-INIT-STRING", "NSS softokn needs a parameter string in C_Initialize", "Options.InitString", []string{NSS}},
	{"Q-LIST-PER-CALL", "p11-kit's client gives a new function list at each C_GetFunctionList, not initialised", "all calls go through one list", []string{P11Kit}},
	{"Q-NO-LOCKING", "modules without threads answer CANT_LOCK to OS locking", "initialised again without; all calls are on one thread", nil},
	{"Q-NUL-PADDING", "some modules pad labels with NUL, not with blanks", "both are trimmed", nil},
}
