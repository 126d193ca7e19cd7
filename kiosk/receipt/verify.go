package receipt

import (
	"fmt"
	"math/big"
	"strings"

	"github.com/veraison/go-cose"
)

// Prefix begins the text of every receipt of this format.
const Prefix = "KR1:"

// Refusal says by which rule a receipt, or a list of keys, is not accepted.
type Refusal struct {
	Rule string // RCPT-…, see the package comment
	Why  string
	Err  error // may be nil
}

func (r *Refusal) Error() string {
	s := "receipt: " + r.Rule + ": " + r.Why
	if r.Err != nil {
		s += ": " + r.Err.Error()
	}
	return s
}

func (r *Refusal) Unwrap() error { return r.Err }

// Encode writes a receipt's bytes as text.
func Encode(b []byte) string { return Prefix + encode45(b) }

// Decode reads the text back: RCPT-PREFIX, RCPT-SIZE, RCPT-BASE45.
func Decode(text string) ([]byte, error) {
	rest, ok := strings.CutPrefix(text, Prefix)
	if !ok {
		return nil, &Refusal{Rule: "RCPT-PREFIX", Why: fmt.Sprintf("%.8q does not begin with %q", text, Prefix)}
	}
	if n := len(rest); n < minBytes/2*3 || n > (maxBytes+1)/2*3 {
		return nil, &Refusal{Rule: "RCPT-SIZE", Why: fmt.Sprintf("%d characters", len(text))}
	}
	b, err := decode45(rest)
	if err != nil {
		return nil, &Refusal{Rule: "RCPT-BASE45", Why: "not base45", Err: err}
	}
	return b, nil
}

// Verify judges a receipt's text and says whose key vouches for it. The
// signature is checked before anything the receipt says is looked at. On an
// error the other results are zero.
func (t TrustList) Verify(text string) (Receipt, Key, error) {
	b, err := Decode(text)
	if err != nil {
		return Receipt{}, Key{}, err
	}
	r, kid, msg, err := parse(b)
	if err != nil {
		return Receipt{}, Key{}, err
	}
	key, ok := t[kid]
	if !ok || key.Public == nil {
		return Receipt{}, Key{}, &Refusal{Rule: "RCPT-KEY", Why: fmt.Sprintf("key %s is not on the list", kid)}
	}
	if err := verifySignature(msg, key); err != nil {
		return Receipt{}, Key{}, err
	}
	switch {
	case key.Revoked:
		return Receipt{}, Key{}, &Refusal{Rule: "RCPT-REVOKED", Why: fmt.Sprintf("key %s of %s (kiosk %d) is revoked", kid, key.Name, key.Kiosk)}
	case key.Kiosk != r.Kiosk:
		return Receipt{}, Key{}, &Refusal{Rule: "RCPT-KIOSK", Why: fmt.Sprintf("kiosk %d in the receipt, but key %s is of kiosk %d", r.Kiosk, kid, key.Kiosk)}
	case r.Clock != ClockUnproven && (r.Time.Before(key.NotBefore) || r.Time.After(key.NotAfter)):
		return Receipt{}, Key{}, &Refusal{Rule: "RCPT-VALIDITY", Why: fmt.Sprintf("%s is outside the time of key %s", r.Time.Format("2006-01-02 15:04:05Z"), kid)}
	}
	return r, key, nil
}

// verifySignature is RCPT-SIGNATURE.
func verifySignature(msg *cose.Sign1Message, key Key) error {
	if n := len(msg.Signature); n != 64 {
		return &Refusal{Rule: "RCPT-SIGNATURE", Why: fmt.Sprintf("%d bytes, want 64", n)}
	}
	if new(big.Int).SetBytes(msg.Signature[32:]).Cmp(halfOrder) > 0 {
		return &Refusal{Rule: "RCPT-SIGNATURE", Why: "s is in the upper half"}
	}
	v, err := cose.NewVerifier(cose.AlgorithmES256, key.Public)
	if err == nil {
		err = msg.Verify(nil, v)
	}
	if err != nil {
		return &Refusal{Rule: "RCPT-SIGNATURE", Why: "does not verify", Err: err}
	}
	return nil
}
