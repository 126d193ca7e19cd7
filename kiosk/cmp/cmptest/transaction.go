package cmptest

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"io"
	"time"

	"mohr.internal/kiosk/cmp"
)

// transaction is one request and what became of it.
type transaction struct {
	in       *request
	opened   [32]byte // SHA-256 of the message that opened it, nested or not
	rejected bool
	words    string // of the rejection
	issued   *Issued

	held      bool // waits for Release
	pollsLeft int  // waits for that many more questions

	answers map[[32]byte][]byte // final answers, by SHA-256 of the message answered
	ours    map[string]bool     // senderNonces given out
	theirs  map[string]bool     // senderNonces seen
}

func (tx *transaction) waiting() bool {
	return tx.issued == nil && !tx.rejected && (tx.held || tx.pollsLeft > 0)
}

// answer returns the answer to one message in DER.
func (ca *CA) answer(der []byte, b Behaviour) ([]byte, error) {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	msg, err := cmp.Parse(der)
	if err != nil {
		return ca.fail(nil, b, err)
	}
	hash := sha256.Sum256(der)
	tx := ca.transactions[string(msg.Header.TransactionID)]
	if tx != nil && !b.Kind.lies() {
		if done, ok := tx.answers[hash]; ok {
			ca.log(msg, "answered again as before")
			return done, nil
		}
	}
	switch msg.Kind {
	case cmp.BodyPollReq:
		return ca.poll(tx, msg, hash, b)
	case cmp.BodyCertConf:
		return ca.confirm(tx, msg, hash, b)
	default:
		return ca.request(tx, msg, hash, b)
	}
}

// request opens a transaction, or gives the current answer to the one that the
// very same bytes have opened before.
func (ca *CA) request(tx *transaction, msg *cmp.Message, hash [32]byte, b Behaviour) ([]byte, error) {
	if tx == nil || tx.opened != hash {
		in, err := ca.examine(msg)
		if err == nil && tx != nil {
			err = refuse(RuleInUse, "transactionID %x belongs to another request", msg.Header.TransactionID)
		}
		if err != nil {
			return ca.fail(msg, b, err)
		}
		tx = &transaction{
			in: in, opened: hash, held: b.Kind == WaitReleased,
			answers: make(map[[32]byte][]byte),
			ours:    make(map[string]bool),
			theirs:  map[string]bool{string(msg.Header.SenderNonce): true},
		}
		if b.Kind == WaitPolls {
			tx.pollsLeft = b.N
		}
		ca.transactions[string(msg.Header.TransactionID)] = tx
	} else if tx.pollsLeft > 0 {
		tx.pollsLeft--
	}
	return ca.current(tx, tx.in.msg, hash, b)
}

// poll answers a pollReq (RFC 9483, 4.4).
func (ca *CA) poll(tx *transaction, msg *cmp.Message, hash [32]byte, b Behaviour) ([]byte, error) {
	if err := ca.follows(tx, msg); err != nil {
		return ca.fail(msg, b, err)
	}
	if tx.pollsLeft > 0 {
		tx.pollsLeft--
	}
	return ca.current(tx, msg, hash, b)
}

// follows checks a pollReq or certConf: in a transaction we know, protected by
// the certificate that protected the request, answering a nonce of ours with a
// fresh one.
func (ca *CA) follows(tx *transaction, msg *cmp.Message) error {
	if tx == nil {
		return refuse(RuleUnknown, "%v in unknown transaction %x", msg.Kind, msg.Header.TransactionID)
	}
	window := ca.opts.Window
	if s := tx.in.statement; s != nil && s.ClockQuality == clockUnproven {
		window = anyTime
	}
	signer, err := ca.signerOf(msg, window)
	if err != nil {
		return err
	}
	if !signer.Equal(tx.in.signer) {
		return refuse(RuleUnknown, "%v by certificate %x, request by %x", msg.Kind, signer.SerialNumber, tx.in.signer.SerialNumber)
	}
	if !tx.ours[string(msg.Header.RecipNonce)] {
		return refuse(cmp.RuleNonce, "%v answers a nonce that was never sent", msg.Kind)
	}
	if tx.theirs[string(msg.Header.SenderNonce)] {
		return refuse(cmp.RuleNonce, "%v uses a senderNonce again", msg.Kind)
	}
	tx.theirs[string(msg.Header.SenderNonce)] = true
	return nil
}

// current answers to, a request or pollReq, with the state of its transaction.
func (ca *CA) current(tx *transaction, to *cmp.Message, hash [32]byte, b Behaviour) ([]byte, error) {
	if b.Kind == Reject && tx.issued == nil && !tx.rejected {
		tx.rejected, tx.words = true, b.Text
	}
	r, err := ca.reply(to, b)
	if err != nil {
		return nil, err
	}
	r.Body = tx.in.msg.Kind + 1 // ir 0 ip 1, cr 2 cp 3, kur 7 kup 8
	tx.ours[string(r.SenderNonce)] = true
	var der []byte
	switch {
	case tx.rejected:
		ca.log(to, "rejected")
		der, err = r.Rejected(ca.opts.Rand, cmp.FailBadRequest, rejectWords(tx.words)...)
	case tx.waiting() && to.Kind == cmp.BodyPollReq:
		ca.log(to, "still waiting")
		return r.PollRep(ca.opts.Rand, ca.opts.CheckAfter)
	case tx.waiting():
		ca.log(to, "waiting")
		return r.Waiting(ca.opts.Rand)
	default:
		der, err = ca.grant(tx, r, b)
	}
	if err == nil && !b.Kind.lies() {
		tx.answers[hash] = der
	}
	return der, err
}

// grant answers with the certificate, which is made when first needed.
func (ca *CA) grant(tx *transaction, r cmp.Reply, b Behaviour) ([]byte, error) {
	r.GrantImplicit = tx.in.msg.ImplicitConfirm() && !ca.opts.WithholdImplicitConfirm
	if b.Kind == OtherKey || b.Kind == OtherSubject {
		cert, err := ca.wrongCertificate(tx.in, b.Kind)
		if err != nil {
			return nil, err
		}
		ca.log(tx.in.msg, "answered with a wrong certificate", "behaviour", b)
		return r.Issued(ca.opts.Rand, cert, false)
	}
	if tx.issued == nil {
		cert, err := ca.certify(tx.in, tx.in.ask.PublicKey, tx.in.subject)
		if err != nil {
			return nil, err
		}
		tx.issued = &Issued{
			TransactionID: tx.in.msg.TransactionID(), Cert: cert, Old: tx.in.old,
			Kiosk: tx.in.kiosk, Officer: tx.in.officer, Statement: tx.in.statement,
			At: ca.opts.Now(), Confirmation: Unconfirmed,
		}
		if r.GrantImplicit {
			tx.issued.Confirmation = Implicit
		}
		ca.issued = append(ca.issued, tx.issued)
		ca.log(tx.in.msg, "issued", "serial", cert.SerialNumber.Text(16), "behaviour", b)
	}
	return r.Issued(ca.opts.Rand, tx.issued.Cert, false)
}

// certify issues for a year what the old certificate allowed, or what people
// get if there is none.
func (ca *CA) certify(in *request, spki, subject []byte) (*x509.Certificate, error) {
	key, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return nil, err
	}
	now := ca.opts.Now().UTC().Truncate(time.Second)
	t := &x509.Certificate{
		RawSubject: subject,
		NotBefore:  now.Add(-ca.opts.Skew), NotAfter: now.Add(validity),
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageEmailProtection},
	}
	if old := in.old; old != nil {
		t.KeyUsage, t.ExtKeyUsage, t.UnknownExtKeyUsage, t.Policies = old.KeyUsage, old.ExtKeyUsage, old.UnknownExtKeyUsage, old.Policies
	}
	return ca.opts.PKI.issue(t, key)
}

func (ca *CA) wrongCertificate(in *request, kind Kind) (*x509.Certificate, error) {
	spki, subject := in.ask.PublicKey, in.subject
	if kind == OtherSubject {
		name, err := Person{Given: "Somebody", Family: "Else", GivenFa: "کسی", FamilyFa: "دیگر", NationalID: "0963695398"}.RawSubject()
		if err != nil {
			return nil, err
		}
		return ca.certify(in, spki, name)
	}
	key, err := ca.opts.PKI.NewKey()
	if err != nil {
		return nil, err
	}
	if spki, err = x509.MarshalPKIXPublicKey(key.Public()); err != nil {
		return nil, err
	}
	return ca.certify(in, spki, subject)
}

// confirm takes a certConf (RFC 9483, 4.1.1). A certificate that is declined is
// revoked.
func (ca *CA) confirm(tx *transaction, msg *cmp.Message, hash [32]byte, b Behaviour) ([]byte, error) {
	err := ca.follows(tx, msg)
	if err == nil && (tx.issued == nil || tx.issued.Confirmation != Unconfirmed) {
		err = refuse(RuleConfirmed, "transaction %x has nothing to confirm", msg.Header.TransactionID)
	}
	if err != nil {
		return ca.fail(msg, b, err)
	}
	verdict := Accepted
	if err := msg.Confirmation(tx.issued.Cert); err != nil {
		if check := (*cmp.CheckError)(nil); !errors.As(err, &check) || check.Rule != cmp.RuleStatus {
			return ca.fail(msg, b, err)
		}
		verdict = Declined
		ca.opts.PKI.Revoke(tx.issued.Cert, ca.opts.Now())
	}
	tx.issued.Confirmation = verdict
	ca.log(msg, "certificate "+string(verdict))
	r, err := ca.reply(msg, b)
	if err != nil {
		return nil, err
	}
	der, err := r.PKIConf(ca.opts.Rand)
	if err == nil && !b.Kind.lies() {
		tx.answers[hash] = der
	}
	return der, err
}

// fail answers with an error message, protected like any other answer.
func (ca *CA) fail(to *cmp.Message, b Behaviour, cause error) ([]byte, error) {
	fail, words := refusal(cause)
	ca.log(to, "refused", "fail", fail, "err", cause)
	r, err := ca.reply(to, b)
	if err != nil {
		return nil, err
	}
	return r.Error(ca.opts.Rand, fail, words)
}

// unprotectedError is an error message anybody could have made.
func (ca *CA) unprotectedError(der []byte) ([]byte, error) {
	r := cmp.Reply{Unprotected: true, Time: ca.opts.Now()}
	if msg, err := cmp.Parse(der); err == nil {
		r.To = msg
	}
	return r.Error(ca.opts.Rand, cmp.FailSystemFailure, "something went wrong")
}

// reply prepares an answer to a message, bent by the behaviour.
func (ca *CA) reply(to *cmp.Message, b Behaviour) (cmp.Reply, error) {
	p := ca.opts.PKI
	if b.Kind == ForeignSigner {
		other, err := p.Impostor()
		if err != nil {
			return cmp.Reply{}, err
		}
		p = other
	}
	random := make([]byte, 16*3)
	if _, err := io.ReadFull(ca.opts.Rand, random); err != nil {
		return cmp.Reply{}, err
	}
	r := cmp.Reply{
		To: to, Key: p.ResponderKey, Cert: p.Responder, Chain: p.Chain(),
		SenderNonce: random[:16], Time: ca.opts.Now(),
	}
	switch b.Kind {
	case OtherTransaction:
		r.TransactionID = random[16:32]
	case WrongNonce:
		r.RecipNonce = random[32:]
	}
	return r, nil
}

func rejectWords(text string) []string {
	if text == "" {
		return nil
	}
	return []string{statusLine(text)}
}

func (ca *CA) log(msg *cmp.Message, what string, args ...any) {
	if msg != nil {
		args = append(args, "kind", msg.Kind.String(), "transaction", hex.EncodeToString(msg.Header.TransactionID))
	}
	ca.opts.Log.Info(what, args...)
}
