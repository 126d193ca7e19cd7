package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"mohr.internal/appliance/desk"
	"mohr.internal/kiosk/cmp/cmptest"
	"mohr.internal/usb/usbtest/card"
	"mohr.internal/usb/usbtest/vscard"
)

// hostFromGuest is this machine in the network that QEMU makes for a guest.
const hostFromGuest = "10.0.2.2"

// Bench is what is round a kiosk: its site, the CA on this machine, the tokens.
type Bench struct {
	Place *desk.Place
	CA    *cmptest.CA

	server     *http.Server
	cards      map[desk.Kind]*card.Token
	log        *os.File
	generating atomic.Int32 // slow key generations that have begun on any card
}

// Write takes one record of the log of cards and CA.
func (b *Bench) Write(record []byte) (int, error) {
	if bytes.Contains(record, []byte("key generation is slow")) {
		b.generating.Add(1)
	}
	return b.log.Write(record)
}

// NewBench makes a site in dir and serves its CA.
func NewBench(ctx context.Context, dir, logFile string, kinds ...desk.Kind) (*Bench, error) {
	// QEMU's user network reaches this machine's loopback address as hostFromGuest.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	b := &Bench{cards: map[desk.Kind]*card.Token{}}
	url := fmt.Sprintf("http://%s:%d/cmp", hostFromGuest, l.Addr().(*net.TCPAddr).Port)
	b.Place, err = desk.ProvisionSite(ctx, desk.SiteOptions{
		Dir: dir, Time: time.Now(), CA: url, Kinds: kinds, RSA: true, IdleTimeout: 5 * time.Minute,
	})
	if err != nil {
		return nil, err
	}
	if b.log, err = os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644); err != nil {
		return nil, err
	}
	logger := slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if b.CA, err = cmptest.NewCA(cmptest.CAOptions{PKI: b.Place.PKI, Now: time.Now, Log: logger.With("who", "ca"), SilenceLimit: 30 * time.Second}); err != nil {
		return nil, err
	}
	for _, d := range b.Place.Devices {
		c, err := card.Load(d.Card.State, nil)
		if err != nil {
			return nil, err
		}
		b.cards[d.Kind] = card.NewToken(c, d.Card.State, logger.With("who", string(d.Kind)))
	}
	b.server = &http.Server{Handler: b.CA, ReadHeaderTimeout: 30 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	go b.server.Serve(l)
	return b, nil
}

// Close ends the CA.
func (b *Bench) Close() {
	b.server.Close()
	b.log.Close()
}

// NewCitizen adds a citizen who has come with a good token of their own.
func (b *Bench) NewCitizen(n int) (desk.Kind, error) {
	kind := desk.Kind(fmt.Sprintf("citizen-%d", n))
	d := &desk.Device{
		Kind: kind, Role: "citizen", Title: string(kind),
		Card:   &desk.Card{State: b.Place.Path("tokens", string(kind)+".card"), Label: string(kind), PIN: fmt.Sprintf("%06d", 135790+n)},
		Person: cmptest.Person{Given: "Test", Family: fmt.Sprintf("Person %d", n), GivenFa: "آزمون", FamilyFa: "نمونه", NationalID: nationalID(n)},
	}
	c := card.New(card.Options{Serial: [10]byte{9, byte(n)}})
	if err := c.Initialise(card.Profile{Label: d.Card.Label, PIN: d.Card.PIN}); err != nil {
		return "", err
	}
	_, err := c.Issue(d.Card.PIN, d.Person.CommonName(), func(spki []byte) ([]byte, error) {
		key, err := x509.ParsePKIXPublicKey(spki)
		if err != nil {
			return nil, err
		}
		if d.Certificate, err = b.Place.PKI.Citizen(key, cmptest.CertOptions{Person: d.Person}); err != nil {
			return nil, err
		}
		return d.Certificate.Raw, nil
	})
	if err != nil {
		return "", err
	}
	b.Place.Devices = append(b.Place.Devices, d)
	b.cards[kind] = card.NewToken(c, "", slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug})).With("who", string(kind)))
	return kind, nil
}

// nationalID makes a number with a right check digit (weights 10 to 2, modulo 11).
func nationalID(n int) string {
	nine := fmt.Sprintf("0499%05d", n)
	sum := 0
	for i, d := range nine {
		sum += int(d-'0') * (10 - i)
	}
	check := sum % 11
	if check >= 2 {
		check = 11 - check
	}
	return nine + strconv.Itoa(check)
}

// Device is a token of the site.
func (b *Bench) Device(k desk.Kind) *desk.Device { return b.Place.Device(k) }

// Card is a token's chip.
func (b *Bench) Card(k desk.Kind) *card.Token { return b.cards[k] }

// Hand is somebody's hand with a token at one machine's port.
type Hand struct {
	machine *Machine
	role    string
	stop    context.CancelFunc
	served  sync.WaitGroup
}

// Insert plugs a token into the port of its role.
func (b *Bench) Insert(m *Machine, k desk.Kind) (*Hand, error) {
	d, chip := b.Device(k), b.cards[k]
	ctx, stop := context.WithCancel(context.Background())
	h := &Hand{machine: m, role: d.Role, stop: stop}
	chip.Insert()
	h.served.Go(func() { vscard.Serve(ctx, m.CardSocket(d.Role), chip, nil) })
	if err := m.Plug(d.Role); err != nil {
		stop()
		h.served.Wait()
		return nil, fmt.Errorf("insert %s: %w", k, err)
	}
	return h, nil
}

// Remove pulls it out. The card lets go first: an answer of it that reaches a reader
// which is gone is the end of QEMU 7.2 (ccid_card_send_apdu_to_guest).
func (h *Hand) Remove() error {
	h.drop()
	if err := h.machine.Cut("card-" + h.role); err != nil {
		return err
	}
	return h.machine.Unplug(h.role)
}

// drop lets go of a token whose machine is gone.
func (h *Hand) drop() {
	h.stop()
	h.served.Wait()
}

// freshDisk copies an image and puts the site into it.
func (b *Bench) freshDisk(ctx context.Context, image, disk string, arch Arch) error {
	if err := copyDisk(ctx, image, disk); err != nil {
		return err
	}
	if arch == ARM64 {
		if err := serialInVirt(ctx, disk); err != nil {
			return err
		}
	}
	return putSite(ctx, disk, b.Place.Site())
}

func makeOut(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return os.MkdirAll(filepath.Join(dir), 0o755)
}
