package module

// Quirk is one way in which modules differ from the specification or from each
// other, and that this package bears with. The ID is in the comment where it is
// handled and names the test that shows it.
type Quirk struct {
	ID, Seen, Handled string
}

// Quirks lists them. None is tied to a module's name: a module that behaves well
// is not harmed by the handling, and vendors rename their modules.
var Quirks = []Quirk{
	{"Q-BLANK-SLOT", "SoftHSM 2.6 always shows one uninitialised token more", "tokens without CKF_TOKEN_INITIALIZED are not listed"},
	{"Q-CRYPTO-SLOT", "NSS shows its crypto services as a token: no login, write-protected", "such a token is not listed"},
	{"Q-PIN-FLAGS", "SoftHSM sets COUNT_LOW only, OpenSC never COUNT_LOW, NSS none", "flags are passed on as hints; absent is not fine"},
	{"Q-LOCKS-LATE", "openCryptoki answers PIN_INCORRECT at the try that locks the PIN", "the LOCKED flag read after it decides"},
	{"Q-ALREADY", "all modules answer USER_ALREADY_LOGGED_IN to a second login, also with a wrong PIN", "a failure; C_Logout before each C_Login; no second C_Login at all"},
	{"Q-SETPIN-LOGIN", "NSS wants the user logged in for C_SetPIN, others do not", "passed on as ErrNotLoggedIn, a definite answer"},
	{"Q-SETPIN-LOGOUT", "a wrong PIN in C_SetPIN ends the login on the card, whereupon OpenSC closes the session", "a session is opened anew if the token is still there; the login is over"},
	{"Q-GENERAL-ERROR", "OpenSC answers GENERAL_ERROR when the token is pulled during key generation", "any unclear value leads to a look for the token"},
	{"Q-STALE-INFO", "OpenSC answers the first C_GetTokenInfo after a removal from its cache", "presence asks twice, and C_GetSlotList each time"},
	{"Q-INFO-CANCEL", "a Longmai build returns CKR_CANCEL from C_GetTokenInfo with the structure filled", "taken, if initialised and with a serial"},
	{"Q-NOT-SENSITIVE", "OpenSC 0.23 has CKA_SENSITIVE false for a key made on the card, which no command gives out", "the value is asked for and has to be refused"},
	{"Q-EC-POINT", "CKA_EC_POINT is a DER OCTET STRING, or bare", "both are read"},
	{"Q-DUPLICATES", "SoftHSM stores one certificate twice under one CKA_ID", "written only if not there; equal ones are read as one"},
	{"Q-ONE-CERTIFICATE", "OpenSC stores one certificate to a CKA_ID and answers GENERAL_ERROR to a second", "ErrConflict"},
	{"Q-SHARED-ID", "two key pairs may have the same CKA_ID", "keys are matched by public key, if need be by a signature"},
	{"Q-MECHANISMS", "SoftHSM has no ECDSA_SHA256, openCryptoki no SHA256_RSA_PKCS, p11-kit hides some", "only RSA_PKCS and ECDSA are used, hashes are made here"},
	{"Q-INIT-STRING", "NSS softokn needs a parameter string in C_Initialize", "Options.InitString"},
	{"Q-NO-LOCKING", "modules without threads answer CANT_LOCK to OS locking", "initialised again without; all calls are on one thread"},
	{"Q-NUL-PADDING", "some modules pad labels with NUL, not with blanks", "both are trimmed"},
}
