package kiosk

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"mohr.internal/kiosk/cmp"
	"mohr.internal/kiosk/cmp/cmptest"
	"mohr.internal/kiosk/profile"
)

// A CA that lies or fails: nothing is believed, nothing is written to the token, the
// request stays, and when the CA is well again the renewal goes on.
func TestBadAnswers(t *testing.T) {
	for _, row := range []struct {
		kind     cmptest.Kind
		rule     cmp.Rule // in the journal; "" where nothing came that could be judged
		sentence string
	}{
		{cmptest.OtherKey, cmp.RuleKey, "receipt.offline"},
		{cmptest.OtherSubject, cmp.RuleSubject, "receipt.offline"},
		{cmptest.OtherTransaction, cmp.RuleTID, "receipt.offline"},
		{cmptest.WrongNonce, cmp.RuleNonce, "receipt.offline"},
		{cmptest.ForeignSigner, cmp.RuleSigner, "receipt.offline"},
		{cmptest.Garbage, cmp.RuleSyntax, "receipt.offline"},
		{cmptest.Truncated, cmp.RuleSyntax, "receipt.offline"},
		{cmptest.Silence, "", "receipt.offline"},
		{cmptest.Huge, "", "receipt.offline"},
		{cmptest.HTML200, "", "receipt.offline"},
		{cmptest.HTTP500, "", "receipt.offline"},
		{cmptest.HTTP503, "", "receipt.offline"},
		{cmptest.DropAfterIssue, "", "receipt.offline"},
		{cmptest.UnprotectedError, "", "receipt.offline"},
	} {
		t.Run(row.kind.String(), func(t *testing.T) {
			counterTest(t, options{}, func(c *counter) {
				c.ca.Behave(cmptest.Behaviour{Kind: row.kind})
				c.walk("receipt")
				before := len(c.journal.bytes())
				for range 5 { // the same lie many times is one record
					c.sync()
				}
				c.at("receipt")
				c.says(row.sentence)
				c.state(Receipted)
				c.unharmed(2)
				records := c.journal.parsed()[before:]
				if row.rule == "" {
					if len(records) != 0 {
						t.Errorf("%d records of nothing: %v", len(records), c.story())
					}
				} else if len(records) != 1 || records[0].Event != EventBadAnswer || records[0].Rule != RuleCAAnswer ||
					!strings.Contains(strings.Join(records[0].Notes, " "), string(row.rule)) {
					t.Errorf("records %+v, want one with %s", records, row.rule)
				}
				c.ca.Behave(cmptest.Behaviour{})
				c.walk("accepted")
				c.state(Loaded)
				if n := len(c.ca.Issued()); n != 1 {
					t.Errorf("%d certificates were issued", n)
				}
			})
		})
	}
}

// Bytes that the courier would have kept back are refused all the same.
func TestJunkForAnAnswer(t *testing.T) {
	counterTest(t, options{}, func(c *counter) {
		c.walk("receipt")
		p := c.kiosk.Outbox.Pending()[0]
		for _, junk := range [][]byte{nil, {}, []byte("<!DOCTYPE html>"), bytes.Repeat([]byte{0x30}, 10<<20), p.DER} {
			if v := c.kiosk.Outbox.Answer(p.ID, junk); v.Done || v.After < time.Second {
				t.Errorf("%.20q: %+v", junk, v)
			}
		}
		c.state(Receipted)
		c.walk("accepted")
	})
}

// The CA says no: the person hears it, now or at the return.
func TestRejected(t *testing.T) {
	reject := cmptest.Behaviour{Kind: cmptest.Reject, Text: "not in the register"}
	counterTest(t, options{}, func(c *counter) {
		c.ca.Behave(reject)
		c.walk("receipt")
		c.sync()
		c.refused(RuleCARejected)
		n := c.state(Refused)
		if n.Request != nil {
			t.Error("a refused request is kept in memory")
		}
		if r := c.journal.parsed(); !strings.Contains(strings.Join(r[len(r)-1].Notes, " "), "not in the register") {
			t.Errorf("the CA's words are not in the journal: %v", r[len(r)-1].Notes)
		}
		c.unharmed(2)
		if p := c.kiosk.Outbox.Pending(); len(p) != 0 {
			t.Errorf("still pending: %v", p)
		}
	})
	counterTest(t, options{}, func(c *counter) {
		c.ca.Behave(reject)
		c.walk("receipt")
		c.pull(c.citizen)
		c.press(choiceOK)
		c.sync()
		c.state(Refused)
		c.ca.Behave(cmptest.Behaviour{})
		c.walk("token")
		c.says("why.CA-REJECTED") // and may ask once more
		c.walk("accepted")
		c.state(Loaded)
		c.unharmed(2) // with the key that was made before
	})
}

// The CA waits; the terminal asks again in the CA's time while the token is in.
func TestWaitingThenIssued(t *testing.T) {
	counterTest(t, options{ca: cmptest.CAOptions{CheckAfter: 10 * time.Second}}, func(c *counter) {
		c.ca.Behave(cmptest.Behaviour{Kind: cmptest.WaitPolls, N: 3})
		c.walk("receipt")
		c.sync()
		c.state(Delivered)
		c.says("receipt.waiting")
		if p := c.kiosk.Outbox.Pending(); len(p) != 0 {
			t.Errorf("pending while nobody may ask: %v", p[0].ID)
		}
		var seen []string
		for range 6 {
			time.Sleep(11 * time.Second)
			for _, p := range c.kiosk.Outbox.Pending() {
				if !strings.Contains(p.ID, "."+parcelPoll+".") || slices.Contains(seen, p.ID) {
					t.Errorf("parcel %s, after %v", p.ID, seen)
				}
				seen = append(seen, p.ID)
			}
			c.sync()
			if c.glass.now().ID == "accepted" {
				break
			}
		}
		c.at("accepted")
		c.state(Loaded)
		if len(seen) != 3 {
			t.Errorf("%d polls: %v", len(seen), seen)
		}
		if n := c.citizen.PINTries(); n != 1 {
			t.Errorf("%d PINs", n)
		}
	})
}

// Without the token nobody can sign a poll: the request itself is sent again.
func TestWaitingWithTokenOut(t *testing.T) {
	counterTest(t, options{ca: cmptest.CAOptions{CheckAfter: time.Hour}}, func(c *counter) {
		c.ca.Behave(cmptest.Behaviour{Kind: cmptest.WaitPolls, N: 2})
		c.walk("receipt")
		c.sync()
		c.state(Delivered)
		c.pull(c.citizen) // at once, not after the CA's hour
		p := c.kiosk.Outbox.Pending()
		if len(p) != 1 || !strings.HasSuffix(p[0].ID, "."+parcelRequest) {
			t.Fatalf("pending %v", p)
		}
		for range 3 {
			for _, v := range c.sync() {
				if !v.Done && v.After < time.Minute {
					t.Errorf("asks again after %v", v.After)
				}
			}
		}
		c.state(Issued)
		c.walk("idle")
		c.walk("pickup")
		c.walk("accepted")
		c.state(Loaded)
	})
}

// An answer that comes when the poll it answers has been given up.
func TestLateAnswerToAPoll(t *testing.T) {
	counterTest(t, options{}, func(c *counter) {
		c.ca.Behave(cmptest.Behaviour{Kind: cmptest.WaitReleased})
		c.walk("receipt")
		c.sync()
		time.Sleep(2 * time.Second)
		p := c.kiosk.Outbox.Pending()[0]
		c.ca.Release()
		c.ca.Behave(cmptest.Behaviour{})
		body, _ := c.post(p.DER)
		c.pull(c.citizen)
		if v := c.kiosk.Outbox.Answer(p.ID, body); !v.Done {
			t.Errorf("%+v", v)
		}
		c.state(Delivered)
		c.sync() // the request again: the CA answers it with the certificate
		c.state(Issued)
	})
}

// An unprotected error in the middle of waiting changes nothing: not the answer that
// the next poll belongs to, not the state.
func TestHintWhileWaiting(t *testing.T) {
	counterTest(t, options{}, func(c *counter) {
		c.ca.Behave(cmptest.Behaviour{Kind: cmptest.WaitPolls, N: 2})
		c.walk("receipt")
		c.sync()
		before, _ := c.kiosk.Outbox.look(c.last().ID)
		time.Sleep(2 * time.Second)
		c.ca.Queue(cmptest.Behaviour{Kind: cmptest.UnprotectedError})
		if v := c.sync(); len(v) != 1 || v[0].Done {
			t.Errorf("verdicts %+v", v)
		}
		after, _ := c.kiosk.Outbox.look(c.last().ID)
		if after.answer.Kind != cmp.Waiting || !bytes.Equal(after.nonce, before.nonce) {
			t.Errorf("a hint replaced the answer: %+v", after)
		}
		c.state(Delivered)
		c.walk("accepted")
	})
}

// The CA knows the transaction already: our request came through and its answer was
// lost. That is no refusal of the person; the request is delivered, and its answer
// fetched.
func TestTransactionInUse(t *testing.T) {
	counterTest(t, options{}, func(c *counter) {
		c.walk("receipt")
		n := c.last()
		p := c.kiosk.Outbox.Pending()[0]
		m, err := cmp.Parse(n.Request)
		c.must(err)
		inner, err := m.Inner()
		c.must(err)
		for i, row := range []struct {
			fail cmp.FailInfo
			want State
		}{
			{cmp.FailSystemUnavail, Receipted}, {cmp.FailSystemFailure, Receipted},
			{cmp.FailTransactionIDInUse, Delivered}, {cmp.FailDuplicateCertReq, Delivered}, {cmp.FailSystemFailure, Delivered},
		} {
			der, err := cmp.Reply{
				To: inner, Key: c.pki.ResponderKey, Cert: c.pki.Responder, Chain: c.pki.Chain(), SenderNonce: make([]byte, 16), Time: c.clock.Now(),
			}.Error(c.rand, row.fail, "later")
			c.must(err)
			if v := c.kiosk.Outbox.Answer(p.ID, der); v.Done || v.After != retryBad<<i {
				t.Errorf("%v: %+v", row.fail, v)
			}
			c.state(row.want)
			if again := c.kiosk.Outbox.Pending(); len(again) != 1 || again[0].ID != p.ID || !bytes.Equal(again[0].DER, p.DER) {
				t.Errorf("%v: pending %v", row.fail, ids(again))
			}
		}
		c.walk("accepted")
	})
}

// Without implicitConfirm the old key signs a certConf once the certificate is
// proven, and it is delivered after the holder has gone.
func TestCertConf(t *testing.T) {
	for _, back := range []bool{false, true} {
		t.Run(fmt.Sprint("at the return: ", back), func(t *testing.T) {
			counterTest(t, options{ca: cmptest.CAOptions{WithholdImplicitConfirm: true}}, func(c *counter) {
				c.walk("receipt")
				if back {
					c.pull(c.citizen)
					c.sync()
					c.state(Issued)
					c.walk("idle")
				}
				c.walk("accepted")
				n := c.state(Loaded)
				story := c.story()
				if i, j := slices.Index(story, "confirm"), slices.Index(story, "load-intent"); i < j || j < 0 {
					t.Errorf("journal %v", story)
				}
				p := c.kiosk.Outbox.Pending()
				if len(p) != 1 || !strings.HasSuffix(p[0].ID, "."+parcelConfirm) {
					t.Fatalf("pending %v", p)
				}
				c.walk("idle")
				c.ca.Queue(cmptest.Behaviour{Kind: cmptest.Garbage}, cmptest.Behaviour{Kind: cmptest.UnprotectedError})
				c.sync() // neither is a pkiConf
				c.sync()
				if p := c.kiosk.Outbox.Pending(); len(p) != 1 {
					t.Fatalf("pending %v", p)
				}
				c.halt() // and a restart does not lose it
				c.start()
				c.sync()
				if p := c.kiosk.Outbox.Pending(); len(p) != 0 {
					t.Errorf("still pending after pkiConf: %v", p[0].ID)
				}
				if issued := c.ca.Issued(); issued[0].Confirmation != cmptest.Accepted {
					t.Errorf("CA: %v", issued[0].Confirmation)
				}
				if n, _ := c.kiosk.Ledger.Renewal(n.ID); !n.Confirmed || n.Confirm != nil || n.Request != nil {
					t.Errorf("ledger keeps confirmed: %v, certConf: %v, request: %v", n.Confirmed, n.Confirm != nil, n.Request != nil)
				}
			})
		})
	}
}

// The pkiConf got lost and the CA says that the certificate is confirmed: it is.
func TestCertConfirmedAlready(t *testing.T) {
	counterTest(t, options{ca: cmptest.CAOptions{WithholdImplicitConfirm: true}}, func(c *counter) {
		c.walk("accepted")
		p := c.kiosk.Outbox.Pending()[0]
		m, err := cmp.Parse(p.DER)
		c.must(err)
		der, err := cmp.Reply{
			To: m, Key: c.pki.ResponderKey, Cert: c.pki.Responder, Chain: c.pki.Chain(), SenderNonce: make([]byte, 16), Time: c.clock.Now(),
		}.Error(c.rand, cmp.FailCertConfirmed, "confirmed before")
		c.must(err)
		if v := c.kiosk.Outbox.Answer(p.ID, der); !v.Done {
			t.Errorf("%+v", v)
		}
		if n := c.last(); !n.Confirmed {
			t.Error("not confirmed")
		}
	})
}

// A CA that refuses the certConf for good: it is put aside after some tries, with the
// reason in the journal and in sight, and tried again at the next start.
func TestCertConfRefusedForGood(t *testing.T) {
	counterTest(t, options{ca: cmptest.CAOptions{WithholdImplicitConfirm: true}}, func(c *counter) {
		c.walk("accepted")
		c.walk("idle")
		id := c.last().ID
		p := c.kiosk.Outbox.Pending()[0]
		m, err := cmp.Parse(p.DER)
		c.must(err)
		no := func(fail cmp.FailInfo) []byte {
			der, err := cmp.Reply{
				To: m, Key: c.pki.ResponderKey, Cert: c.pki.Responder, Chain: c.pki.Chain(), SenderNonce: make([]byte, 16), Time: c.clock.Now(),
			}.Error(c.rand, fail, "not like this")
			c.must(err)
			return der
		}
		refusals := []cmp.FailInfo{cmp.FailBadRequest, cmp.FailTransactionIDInUse, cmp.FailBadMessageCheck, 0, cmp.FailBadCertID}
		records := len(c.journal.bytes())
		for i, fail := range refusals {
			if v := c.kiosk.Outbox.Answer(p.ID, no(fail)); v.Done || v.After != retryWaiting<<i {
				t.Errorf("refusal %d: %+v", i+1, v)
			}
		}
		if v := c.kiosk.Outbox.Answer(p.ID, no(cmp.FailSystemUnavail)); v.Done {
			t.Errorf("a CA that is unwell has not refused: %+v", v)
		}
		if v := c.kiosk.Outbox.Answer(p.ID, no(cmp.FailBadRequest)); !v.Done {
			t.Errorf("the last refusal: %+v", v)
		}
		if p := c.kiosk.Outbox.Pending(); len(p) != 0 {
			t.Errorf("still pending: %v", ids(p))
		}
		all := c.journal.parsed()[records:]
		if len(all) != 1 || all[0].Event != EventConfirmRefused || all[0].Rule != RuleCAConfirm || !strings.Contains(strings.Join(all[0].Notes, " "), "not like this") {
			t.Errorf("records %+v", all)
		}
		if n, _ := c.kiosk.Ledger.Renewal(id); n.State != Loaded || n.Trouble != RuleCAConfirm || n.Confirm == nil {
			t.Errorf("renewal %v, trouble %q, certConf %v", n.State, n.Trouble, n.Confirm != nil)
		}
		c.halt()
		c.start()
		if n, _ := c.kiosk.Ledger.Renewal(id); n.Trouble != RuleCAConfirm {
			t.Errorf("after a restart trouble %q", n.Trouble)
		}
		again := c.kiosk.Outbox.Pending()
		if len(again) != 1 || again[0].ID != p.ID || !bytes.Equal(again[0].DER, p.DER) {
			t.Fatalf("after a restart pending %v", ids(again))
		}
		c.sync() // meanwhile somebody has talked to the CA
		if n, _ := c.kiosk.Ledger.Renewal(id); !n.Confirmed || len(c.kiosk.Outbox.Pending()) != 0 {
			t.Errorf("confirmed: %v", n.Confirmed)
		}
	})
}

// Weeks offline: the request stays as it is, byte for byte, and goes when it can.
func TestWeeksOffline(t *testing.T) {
	counterTest(t, options{cert: cmptest.CertOptions{DaysLeft: 50}}, func(c *counter) {
		c.walk("receipt")
		first := c.kiosk.Outbox.Pending()[0]
		c.kiosk.Outbox.Failed(first.ID, "no route to host")
		c.at("receipt")
		c.says("receipt.offline")
		c.pull(c.citizen)
		c.pull(c.officer)
		c.clock.add(20 * 24 * time.Hour)
		c.halt()
		c.start()
		again := c.kiosk.Outbox.Pending()
		if len(again) != 1 || again[0].ID != first.ID || !bytes.Equal(again[0].DER, first.DER) {
			t.Fatal("another parcel after a restart")
		}
		c.sync()
		c.state(Issued)
		c.walk("pickup")
		c.walk("accepted")
	})
}

// ir-gica, from the template with what an office fills in, all the way: its CA wants
// RSA and no same-key renewal, and its officer takes time over the face.
func TestProfileIrGica(t *testing.T) {
	o := options{profile: "ir-gica", rsa: true, cert: cmptest.CertOptions{Person: cmptest.Staff},
		change: func(p *profile.Profile) {
			if p.CA.SameKeyRenewal || p.Identity.FaceSeconds == 0 {
				t.Errorf("profile %+v", p.CA)
			}
		}}
	counterTest(t, o, func(c *counter) {
		c.ca.Behave(cmptest.Behaviour{Kind: cmptest.WaitPolls, N: 1})
		c.walk("accepted")
		c.state(Loaded)
		c.unharmed(2)
		if s := c.ca.Issued()[0].Statement; s.Profile != "ir-gica" || s.Renewal != "first" || s.Signal != "unknown" {
			t.Errorf("statement %+v", s)
		}
		c.walk("idle")
	})
}
