package kiosk

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"io"

	"mohr.internal/kiosk/check"
	"mohr.internal/kiosk/cmp"
	"mohr.internal/kiosk/receipt"
	"mohr.internal/pkcs11"
)

// load writes the issued certificate to the token beside its key, reads it back,
// has the new key sign, and only then tells the CA that it is taken and lets the old
// pair go, if the profile wants that. It can be repeated from the start.
func (k *Kiosk) load(ctx context.Context, c *citizen, id RenewalID) error {
	n, ok := k.Ledger.Renewal(id)
	if !ok || n.State != Issued {
		return refuse(RuleInternal, "renewal %v is %v, not issued", id, n.State)
	}
	cert, err := check.ParseCertificate(n.Certificate)
	if err != nil {
		return err
	}
	if err := k.sameToken(ctx, c); err != nil {
		return err
	}
	if err := k.Ledger.note(id, EventLoadIntent, nil); err != nil {
		return err
	}
	key := pkcs11.KeyIDOf(cert.RawSubjectPublicKeyInfo)
	if err := c.session.WriteCertificate(ctx, key, "Mohr", cert.Raw); err != nil {
		return err
	}
	back, err := c.session.ReadCertificate(ctx, key)
	if err != nil {
		return err
	}
	if !contains(back, cert.Raw) {
		return refuse(RuleTokenProof, "certificate %x is not on the token after writing", cert.SerialNumber)
	}
	if err := k.challenge(ctx, c.session, cert); err != nil {
		return err
	}
	if err := k.confirm(ctx, c, n, cert); err != nil {
		return err
	}
	if err := k.retire(ctx, c, key, cert.Raw); err != nil {
		return err
	}
	text, seq, err := k.receipt(n, receipt.Accepted)
	if err != nil {
		return err
	}
	return k.Ledger.advance(id, Loaded, func(r *Record) { r.Receipt, r.ReceiptSeq = text, seq })
}

// confirm signs a certConf with the old key where the CA did not confirm by
// itself (RFC 9483, 4.1.1). The outbox delivers it; the holder need not wait.
func (k *Kiosk) confirm(ctx context.Context, c *citizen, n Renewal, cert *x509.Certificate) error {
	if n.Confirmed || n.Confirm != nil {
		return nil
	}
	if !bytes.Equal(c.oldHash(), n.OldCert) {
		k.Log.Warn("no certConf: the old certificate is not on the token any more", "renewal", n.ID)
		return nil
	}
	answer, err := cmp.Parse(n.Answer)
	if err != nil {
		return refuse(RuleInternal, "stored answer: %v", err)
	}
	old, err := c.session.Signer(ctx, c.spki())
	if err != nil {
		return err
	}
	nonce := make([]byte, 16)
	if _, err := io.ReadFull(k.Rand, nonce); err != nil {
		return err
	}
	conf, err := cmp.CertConf{
		Cert: cert, Signer: old, SignerCert: c.cert, Chain: c.chain, TransactionID: n.ID[:], SenderNonce: nonce,
		RecipNonce: answer.SenderNonce(), Time: k.Clock.Now(), Recipient: k.Recipient,
	}.Build(k.Rand)
	if err != nil {
		return err
	}
	err = k.Ledger.note(n.ID, EventConfirm, func(r *Record) { r.Confirm = conf })
	k.Outbox.Poke()
	return err
}

// retire deletes the old pair if the profile says so. The token layer refuses
// unless the new certificate is on the token and its key signs.
func (k *Kiosk) retire(ctx context.Context, c *citizen, key pkcs11.KeyID, der []byte) error {
	old := pkcs11.KeyIDOf(c.spki())
	if k.Profile.Renewal.Retire != "delete" || old == key {
		return nil
	}
	return c.session.Retire(ctx, pkcs11.Retirement{Old: old, Kept: key, KeptCertificate: sha256.Sum256(der)})
}

func contains(ders [][]byte, want []byte) bool {
	for _, der := range ders {
		if bytes.Equal(der, want) {
			return true
		}
	}
	return false
}
