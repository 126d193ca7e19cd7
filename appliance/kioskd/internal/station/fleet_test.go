package station

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"mohr.internal/appliance/fleet"
	"mohr.internal/appliance/fleet/entry"
	"mohr.internal/appliance/fleet/fleettest"
	"mohr.internal/kiosk"
	"mohr.internal/kiosk/audit"
	"mohr.internal/kiosk/cmp"
	"mohr.internal/kiosk/cmp/cmptest"
	"mohr.internal/kiosk/receipt"
)

// startCentre is a real cluster of three nodes, with stream and bucket on one of them.
func startCentre(t *testing.T) (*fleettest.Cluster, jetstream.JetStream) {
	t.Helper()
	dir := must[string](t)(os.MkdirTemp("", "centre"))
	t.Cleanup(func() { os.RemoveAll(dir) })
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cluster := must[*fleettest.Cluster](t)(fleettest.StartCluster(ctx, dir, nil))
	t.Cleanup(cluster.Stop)
	conn := must[*nats.Conn](t)(nats.Connect(strings.Join(cluster.URLs(), ","), nats.MaxReconnects(-1)))
	t.Cleanup(conn.Close)
	admin := must[jetstream.JetStream](t)(jetstream.New(conn))
	if err := cluster.Provision(ctx, admin, 1); err != nil { // a replica may lag, and the tests look at once
		t.Fatal(err)
	}
	return cluster, admin
}

// A renewal that kiosk A stored offline and delivered later is loaded at kiosk B, and
// what is owed to the CA goes out through B.
func TestPickUpAtAnotherKiosk(t *testing.T) {
	centre, admin := startCentre(t)
	for _, withhold := range []bool{false, true} {
		t.Run(fmt.Sprint("certConf owed: ", withhold), func(t *testing.T) {
			w := newWorld(t, centre, cmptest.CAOptions{WithholdImplicitConfirm: withhold})
			a, b := newCounter(t, w, "a-"+random()), newCounter(t, w, "b-"+random())
			a.on()
			b.on()
			b.connect()
			b.acknowledged() // so the fleet can be asked
			citizen := w.stick(t, kiosk.RoleCitizen, "citizen")

			a.walk(citizen, "receipt") // no network at A
			a.pull(citizen)
			a.pull(a.officer)
			a.press("ok")
			a.at("idle")

			b.walk(citizen, "elsewhere") // the certificate has not come yet
			b.press("yes")
			if s := b.at("refused"); !strings.Contains(s.Text(), kiosk.RuleFleetPending) {
				t.Errorf("refused:\n%s", s.Text())
			}
			b.walk(citizen, "remove")
			b.pull(citizen)
			b.at("idle")

			a.connect()
			eventually(t, "the certificate at A", func() bool { return a.issued() == 1 })
			a.acknowledged()
			kv := must[jetstream.KeyValue](t)(admin.KeyValue(t.Context(), fleet.Bucket))
			key := entry.KeyIDOf(w.ca.Issued()[0].Cert.RawSubjectPublicKeyInfo).String()
			put := must[jetstream.KeyValueEntry](t)(kv.Get(t.Context(), key))
			t.Logf("a pick-up of %d bytes", len(put.Value()))

			b.walk(citizen, "pickup")
			b.walk(citizen, "accepted")
			b.walk(citizen, "remove")
			b.pull(citizen)
			b.at("idle")
			certs := citizen.certificates(t)
			issued := w.ca.Issued()
			if len(issued) != 1 || len(certs) != 2 || !bytes.Equal(certs[1].Raw, issued[0].Cert.Raw) {
				t.Fatalf("CA issued %d, the token has %d", len(issued), len(certs))
			}
			want := cmptest.Implicit
			if withhold {
				want = cmptest.Accepted
			}
			eventually(t, "the confirmation at the CA", func() bool { return w.ca.Issued()[0].Confirmation == want })
			b.acknowledged()
			if e := must[jetstream.KeyValueEntry](t)(kv.Get(t.Context(), key)); e.Revision() != put.Revision() {
				t.Error("B hung up another pick-up than it found")
			}
			if why := b.fleet.Log.Status().Trouble; why != "" {
				t.Errorf("B's log: %s", why)
			}
			if withhold {
				b.audit()
				return
			}
			a.insert(citizen) // nothing is left to do there
			if s := a.at("refused", "pickup"); !strings.Contains(s.Text(), "WINDOW-EARLY") {
				t.Errorf("back at A:\n%s", s.Text())
			}
			if n := a.issued(); n != 0 {
				t.Error("A still waits for the holder")
			}
			a.audit()
			b.audit()
		})
	}
	t.Run("forged", func(t *testing.T) { forged(t, newWorld(t, centre, cmptest.CAOptions{}), admin) })
}

// issued is how many certificates wait for their holders at this kiosk.
func (c *counter) issued() int {
	return len(c.kiosk.Ledger.All(func(n kiosk.Renewal) bool { return n.State == kiosk.Issued && !n.Elsewhere }))
}

// forged has the centre put other things into the bucket.
func forged(t *testing.T, w *world, admin jetstream.JetStream) {
	a, b := newCounter(t, w, "a-"+random()), newCounter(t, w, "b-"+random())
	a.on()
	b.on()
	b.connect()
	b.acknowledged()
	citizen := w.stick(t, kiosk.RoleCitizen, "citizen")
	a.walk(citizen, "receipt")
	a.pull(citizen)
	a.connect() // not before: it would be loaded here
	eventually(t, "the certificate at A", func() bool { return a.issued() == 1 })
	a.acknowledged()
	spki := w.ca.Issued()[0].Cert.RawSubjectPublicKeyInfo
	kv := must[jetstream.KeyValue](t)(admin.KeyValue(t.Context(), fleet.Bucket))
	key := entry.KeyIDOf(spki).String()
	right := must[jetstream.KeyValueEntry](t)(kv.Get(t.Context(), key)).Value()
	p := must[entry.Pickup](t)(entry.OpenPickup(right, spki))
	foreign := p
	foreign.Certificate = w.officer.Raw
	for name, row := range map[string]struct {
		value []byte
		page  string
	}{
		"for another key":       {must[[]byte](t)(p.Seal([]byte("another key"), 1)), "refused"},
		"with another's":        {must[[]byte](t)(foreign.Seal(spki, 1)), "refused"},
		"not what syncd passes": {[]byte("junk"), "elsewhere"},
	} {
		must[uint64](t)(kv.Put(t.Context(), key, row.value))
		b.walk(citizen, row.page)
		if s := b.at(row.page); row.page == "refused" && !strings.Contains(s.Text(), kiosk.RuleFleetAnswer) {
			t.Errorf("%s: refused:\n%s", name, s.Text())
		}
		if row.page == "elsewhere" {
			b.press("cancel")
		}
		b.walk(citizen, "idle")
		if n := len(citizen.certificates(t)); n != 1 {
			t.Fatalf("%s: %d certificates on the token", name, n)
		}
	}
	must[uint64](t)(kv.Put(t.Context(), key, right))
	b.walk(citizen, "accepted")
}

// A card that was put back to an earlier image: alarm, restart, alarm, an officer, and
// the kiosk serves again; the centre sees who left what.
func TestRolledBackCard(t *testing.T) {
	centre, admin := startCentre(t)
	w := newWorld(t, centre, cmptest.CAOptions{})
	c := newCounter(t, w, "kiosk-"+random())
	c.on()
	c.connect()
	c.acknowledged()
	c.off()
	image := c.config.Journal.Dir + ".image"
	if err := os.CopyFS(image, os.DirFS(c.config.Journal.Dir)); err != nil {
		t.Fatal(err)
	}
	c.on()
	c.connect()
	c.walk(w.stick(t, kiosk.RoleCitizen, "first"), "accepted")
	c.acknowledged()
	theirs, _ := c.fleet.Log.Head()
	c.off()

	c.config.Journal.Dir = image
	c.on()
	c.at("idle") // without a network nobody can know
	c.connect()
	s := c.at("fork")
	if !strings.Contains(s.Text(), kiosk.LogEnd(theirs).String()) || !strings.Contains(s.Text(), kiosk.RuleFleetFork) {
		t.Errorf("alarm:\n%s\nwant %v", s.Text(), theirs)
	}
	before := len(entries(t, admin, c.config.Kiosk.ID))
	c.off()
	c.on()
	c.at("fork") // without a network, too
	second := w.stick(t, kiosk.RoleCitizen, "second")
	c.insert(second)
	c.press("ok") // an officer tries all the same
	c.walk(nil, "fork-asking")
	c.disconnect()
	c.connect()
	c.walk(nil, "fork-clear")
	if n := len(entries(t, admin, c.config.Kiosk.ID)); n != before {
		t.Errorf("%d entries, %d before the alarm", n, before)
	}
	c.press("ok")
	c.acted = -1
	c.pull(c.officer)
	c.walk(second, "accepted") // the token was in all the time
	c.acknowledged()
	got := entries(t, admin, c.config.Kiosk.ID)
	head, _ := c.fleet.Log.Head()
	if len(got) != before+int(head.Seq) {
		t.Fatalf("%d entries, want %d and then %d", len(got), before, head.Seq)
	}
	first := got[before]
	if first.Seq != 1 || first.After == nil || *first.After != theirs {
		t.Errorf("after the alarm came %v behind %v, want 1 behind %v", first.Head(), first.After, theirs)
	}
	said := 0
	for _, e := range got[before:] {
		if e.Public.Event == kiosk.EventFork || e.Public.Event == kiosk.EventForkCleared {
			said++
		}
	}
	if said != 2 {
		t.Errorf("the centre sees %d of 2 records about the alarm", said)
	}
	if r := c.audit(); !slices.ContainsFunc(r.Findings, func(f audit.Finding) bool { return f.Rule == audit.NoteFork }) {
		t.Errorf("the audit says nothing of the alarm: %v", r.Findings)
	}
}

// clone is another box with a copy of the card as it is now.
func (c *counter) clone() *counter {
	c.t.Helper()
	other := newCounter(c.t, c.w, c.config.Kiosk.ID)
	other.keys, other.config.Keys = c.keys, c.config.Keys
	other.config.Journal.Dir = c.config.Journal.Dir + ".clone"
	if err := os.CopyFS(other.config.Journal.Dir, os.DirFS(c.config.Journal.Dir)); err != nil {
		c.t.Fatal(err)
	}
	return other
}

// Of a card and its copy one goes on and the other raises the alarm, which cannot be
// cleared while the first is at work.
func TestClonedCard(t *testing.T) {
	centre, _ := startCentre(t)
	w := newWorld(t, centre, cmptest.CAOptions{})
	c := newCounter(t, w, "kiosk-"+random())
	c.on()
	c.connect()
	c.acknowledged()
	c.off()
	other := c.clone()
	c.on()
	c.connect()
	citizen := w.stick(t, kiosk.RoleCitizen, "first")
	c.walk(citizen, "token")
	c.acknowledged()
	other.on()
	other.connect()
	other.at("fork")
	c.walk(citizen, "document") // meanwhile
	c.acknowledged()
	other.walk(nil, "refused", "fork-clear")
	if s := other.at("refused"); !strings.Contains(s.Text(), kiosk.RuleFleetClone) {
		t.Errorf("refused:\n%s", s.Text())
	}
	c.walk(citizen, "accepted") // which never saw anything
	c.acknowledged()
	if _, forked := c.kiosk.Ledger.Fork(); forked {
		t.Error("alarm at the first, too")
	}
	c.off()
	other.press("ok")
	other.at("fork")
	other.walk(nil, "refused", "fork-clear") // it has grown since the last try
	if s := other.at("refused"); !strings.Contains(s.Text(), kiosk.RuleFleetClone) {
		t.Errorf("refused:\n%s", s.Text())
	}
	other.press("ok")
	other.at("fork")
	other.walk(nil, "fork-clear")
	other.press("ok")
	other.at("idle")
	other.pull(other.officer)
	other.acted = -1
	other.walk(w.stick(t, kiosk.RoleCitizen, "second"), "accepted")
	other.acknowledged()
	other.audit()
}

// audit turns the kiosk off and examines its journal as an auditor would.
func (c *counter) audit() audit.Report {
	c.t.Helper()
	c.off()
	public := c.keys.Receipt.Public().(*ecdsa.PublicKey)
	kid := must[receipt.KeyID](c.t)(receipt.KeyIDOf(public))
	a := audit.New(audit.Options{
		Anchors: c.w.pki.Roots(), Intermediates: []*x509.Certificate{c.w.pki.Issuing}, Officer: cmp.OfficerList(c.w.officer),
		Receipts: receipt.TrustList{kid: {Public: public, Kiosk: 7, Name: "7", NotBefore: time.Now().AddDate(0, 0, -1), NotAfter: time.Now().AddDate(1, 0, 0)}},
	})
	s := must[*Storage](c.t)(OpenStorage(c.config, c.quiet))
	defer s.Close()
	err := s.Replay(func(seq uint64, payload []byte) error {
		stored, err := s.Journal.Journal.Read(seq)
		if err != nil {
			return err
		}
		r, err := kiosk.ParseRecord(payload)
		if err == nil {
			a.Record(seq, stored.Hash, r)
		}
		return err
	})
	if err != nil {
		c.t.Error(err)
	}
	if r := a.Report(); r.Failed() > 0 || r.Receipts == 0 {
		c.t.Errorf("audit of %s: %d receipts, %v", c.config.Kiosk.ID, r.Receipts, r.Findings)
	}
	return a.Report()
}

// entries are what the centre has of one kiosk.
func entries(t *testing.T, admin jetstream.JetStream, id string) (out []entry.Entry) {
	t.Helper()
	stream := must[jetstream.Stream](t)(admin.Stream(t.Context(), fleet.Stream))
	info := must[*jetstream.StreamInfo](t)(stream.Info(t.Context()))
	for seq := info.State.FirstSeq; seq <= info.State.LastSeq; seq++ {
		var m *jetstream.RawStreamMsg
		eventually(t, fmt.Sprint("message ", seq), func() (ok bool) {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			got, err := stream.GetMsg(ctx, seq) // a replica may lag
			m = got
			return err == nil
		})
		if m.Subject == fleet.Subject(id) {
			out = append(out, must[entry.Entry](t)(entry.Parse(m.Data)))
		}
	}
	return out
}
