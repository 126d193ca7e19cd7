package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"runtime"
	"sync"
	"time"

	"filippo.io/age"

	"mohr.internal/kiosk"
	"mohr.internal/kiosk/cmp"
	"mohr.internal/kiosk/cmp/cmptest"
)

// backlogDays is how long the kiosks were offline.
const backlogDays = 29 // the CA takes requests of 30 days; the run needs some minutes

// world is what all kiosks share.
type world struct {
	now        time.Time
	pki        *cmptest.PKI
	officerKey crypto.Signer
	officer    *x509.Certificate
	centre     *age.X25519Identity
}

func newWorld() (*world, error) {
	w := &world{now: time.Now().UTC().Truncate(time.Second)}
	var err error
	if w.pki, err = cmptest.New(cmptest.Options{Time: w.now, Seed: "load"}); err != nil {
		return nil, err
	}
	if w.officerKey, err = w.pki.NewKey(); err != nil {
		return nil, err
	}
	if w.officer, err = w.pki.Officer(w.officerKey.Public(), cmptest.CertOptions{}); err != nil {
		return nil, err
	}
	if w.centre, err = age.GenerateX25519Identity(); err != nil {
		return nil, err
	}
	return w, nil
}

// raised is one request as a kiosk has it on disk after weeks offline.
type raised struct {
	id      kiosk.RenewalID
	old     *x509.Certificate
	newKey  []byte // SubjectPublicKeyInfo
	der     []byte
	at      time.Time
	records []kiosk.Record
}

// everybody makes the kiosks with their backlogs, on all processors.
func (w *world) everybody(ctx context.Context, p plan, dir string) ([]*simulated, error) {
	out := make([]*simulated, p.Kiosks)
	next := make(chan int)
	errs := make(chan error, runtime.NumCPU())
	var workers sync.WaitGroup
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for range runtime.NumCPU() {
		workers.Go(func() {
			for i := range next {
				k, err := w.one(i, p, dir)
				if err != nil {
					errs <- err
					cancel()
					return
				}
				out[i] = k
			}
		})
	}
	for i := 0; i < p.Kiosks && ctx.Err() == nil; i++ {
		select {
		case next <- i:
		case <-ctx.Done():
		}
	}
	close(next)
	workers.Wait()
	select {
	case err := <-errs:
		return nil, err
	default:
		return out, ctx.Err()
	}
}

func (w *world) one(i int, p plan, dir string) (*simulated, error) {
	id := fmt.Sprintf("kiosk-%04d", i)
	key, err := w.pki.NewKey()
	if err != nil {
		return nil, err
	}
	ra, err := w.pki.KioskRA(id, key.Public(), cmptest.CertOptions{})
	if err != nil {
		return nil, err
	}
	var backlog []raised
	for n := range p.Requests {
		at := w.now.Add(-backlogDays * 24 * time.Hour).Add(time.Duration(n) * backlogDays * 24 * time.Hour / time.Duration(p.Requests))
		r, err := w.raise(id, key, ra, at)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", id, err)
		}
		backlog = append(backlog, r)
	}
	return newSimulated(w, id, uint64(i), key, backlog, dir)
}

// raise makes one citizen's request as the ceremony does: kur, attestation, nested.
func (w *world) raise(kioskID string, key crypto.Signer, ra *x509.Certificate, at time.Time) (raised, error) {
	r := raised{at: at}
	oldKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return r, err
	}
	newKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return r, err
	}
	if r.newKey, err = x509.MarshalPKIXPublicKey(&newKey.PublicKey); err != nil {
		return r, err
	}
	if r.old, err = w.pki.Citizen(oldKey.Public(), cmptest.CertOptions{}); err != nil {
		return r, err
	}
	nonce := make([]byte, 16)
	rand.Read(r.id[:])
	rand.Read(nonce)
	chain := []*x509.Certificate{w.pki.Issuing}
	kur, err := cmp.KUR{
		OldCert: r.old, Chain: chain, OldKey: oldKey, NewKey: newKey, TransactionID: r.id[:], SenderNonce: nonce, Time: at,
		Recipient: w.pki.Issuing.RawSubject, ImplicitConfirm: true,
	}.Build(rand.Reader)
	if err != nil {
		return r, err
	}
	s, err := cmp.NewStatement(kur)
	if err != nil {
		return r, err
	}
	s.Profile, s.ProfileVersion, s.Renewal, s.Signal = "demo", 1, cmp.RenewalFirst, "unknown"
	s.Office, s.Kiosk, s.Time, s.ClockQuality = "دفتر ۱۲", kioskID, at, kiosk.ClockTrusted
	attestation, err := cmp.Attest(s, w.officerKey, w.officer, chain, rand.Reader)
	if err != nil {
		return r, err
	}
	r.der, err = cmp.Nested{
		Inner: kur, Key: key, Cert: ra, Chain: chain, Attestation: attestation, Time: at, Recipient: w.pki.Issuing.RawSubject,
	}.Build(rand.Reader)
	if err != nil {
		return r, err
	}
	r.records = r.history(w)
	return r, nil
}

// history is what the ceremony has journaled up to the receipt.
func (r *raised) history(w *world) []kiosk.Record {
	old, newKey, officer := sha256.Sum256(r.old.Raw), sha256.Sum256(r.newKey), sha256.Sum256(w.officer.Raw)
	var out []kiosk.Record
	for s := kiosk.TokenRead; s <= kiosk.Receipted; s++ {
		e := kiosk.Record{Renewal: r.id, Time: r.at.Unix(), Clock: kiosk.ClockTrusted, State: s.String()}
		switch s {
		case kiosk.TokenRead:
			e.OldCert = old[:]
		case kiosk.OfficerApproved:
			e.Officer = officer[:]
		case kiosk.KeyReady:
			e.KeyID, e.NewKey = newKey[:20], newKey[:]
		case kiosk.RequestSigned:
			e.Request = r.der
		case kiosk.Receipted:
			e.Receipt = "KR1:LOAD"
		}
		out = append(out, e)
	}
	return out
}
