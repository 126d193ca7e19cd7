package carrier

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"mohr.internal/appliance/config"
	"mohr.internal/appliance/courier"
	"mohr.internal/appliance/fleet"
	"mohr.internal/appliance/fleet/fleettest"
	"mohr.internal/appliance/fleetlink"
	"mohr.internal/appliance/fleetlog"
	"mohr.internal/appliance/outboxlink"
	"mohr.internal/kiosk"
	"mohr.internal/kiosk/cmp/cmptest"
)

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// box has one parcel, and notes what comes back for it.
type box struct {
	mu     sync.Mutex
	answer []byte
	failed []string
}

func (b *box) Pending() []outboxlink.Parcel {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.answer != nil {
		return nil
	}
	return []outboxlink.Parcel{{ID: "a", DER: []byte("0\x00")}}
}

func (b *box) Changed() <-chan struct{} { return nil }

func (b *box) Answer(_ string, der []byte) (bool, time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answer = der
	return true, 0
}

func (b *box) Failed(_ string, f outboxlink.Failure) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failed = append(b.failed, f.Why)
}

// office is kioskd's side of both sockets, and a CA.
type office struct {
	config *config.Syncd
	box    *box
	log    *fleetlog.Log
}

func newOffice(t *testing.T) *office {
	t.Helper()
	dir := must[string](t)(os.MkdirTemp("", "carrier"))
	t.Cleanup(func() { os.RemoveAll(dir) })
	pki := must[*cmptest.PKI](t)(cmptest.New(cmptest.Options{Time: time.Now()}))
	ca := httptest.NewServer(must[*cmptest.CA](t)(cmptest.NewCA(cmptest.CAOptions{PKI: pki, Now: time.Now})))
	t.Cleanup(ca.Close)
	second, minute := config.Duration(time.Second), config.Duration(time.Minute)
	o := &office{box: &box{}, config: &config.Syncd{
		Outbox: filepath.Join(dir, "outbox"), CA: config.CAServer{URL: ca.URL},
		Timeouts: config.Timeouts{Connect: minute, Request: minute},
		Backoff:  config.Backoff{Min: second / 50, Max: second / 5},
		Fleet:    &config.Fleet{Socket: filepath.Join(dir, "fleet"), Kiosk: "desk-7", URLs: []string{"nats://127.0.0.1:1"}, Recheck: second},
	}}
	j := fleettest.NewJournal([8]byte{1})
	must[uint64](t)(j.Append(must[[]byte](t)(kiosk.Record{Clock: kiosk.ClockTrusted, Event: kiosk.EventStart}.Marshal())))
	o.log = must[*fleetlog.Log](t)(fleetlog.New(fleetlog.Options{
		Kiosk: "desk-7", Journal: j, Changed: j.Changed, Rand: rand.Reader, Key: newKey(t),
		Recipients: []string{must[*age.X25519Identity](t)(age.GenerateX25519Identity()).Recipient().String()},
	}))
	quiet := slog.New(slog.DiscardHandler)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	t.Cleanup(func() { cancel(); running.Wait() })
	for path, serve := range map[string]func(net.Listener){
		o.config.Outbox:       func(l net.Listener) { outboxlink.Serve(ctx, l, o.box, quiet) },
		o.config.Fleet.Socket: func(l net.Listener) { fleetlink.NewServer(o.log, quiet).Serve(ctx, l) },
	} {
		l := must[net.Listener](t)(net.Listen("unix", path))
		running.Go(func() { serve(l) })
	}
	return o
}

// run starts the carrier until the test ends.
func (o *office) run(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, o.config, slog.New(slog.DiscardHandler)) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("%s did not come", what)
}

func (o *office) delivered() bool {
	o.box.mu.Lock()
	defer o.box.mu.Unlock()
	return o.box.answer != nil
}

// A request reaches the CA although the fleet is away, and without any fleet.
func TestFleetAway(t *testing.T) {
	o := newOffice(t)
	o.run(t)
	eventually(t, "the CA's answer", o.delivered)
	eventually(t, "the reason", func() bool { return o.log.Status().Trouble != "" })

	o = newOffice(t)
	o.config.Fleet = nil
	o.run(t)
	eventually(t, "the CA's answer", o.delivered)
}

// The fleet's record arrives although the CA hangs.
func TestCAHangs(t *testing.T) {
	o := newOffice(t)
	hang := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}))
	t.Cleanup(hang.Close)
	o.config.CA.URL = hang.URL
	o.config.Timeouts.Request = config.Duration(time.Minute)
	o.config.Fleet.URLs = []string{"nats://" + startNode(t, nil)}
	o.run(t)
	eventually(t, "acknowledgement", func() bool { return o.log.Status().Acknowledged.Seq == 1 })
	if o.delivered() {
		t.Error("delivered?")
	}
}

func TestYieldIsBounded(t *testing.T) {
	mail := &courier.Courier{InFlight: make(chan struct{}, 1)}
	mail.InFlight <- struct{}{}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	start := time.Now()
	yield(ctx, mail)
	if took := time.Since(start); took > giveWay/2 {
		t.Errorf("yielded %v after its end", took)
	}
	<-mail.InFlight
	start = time.Now()
	yield(t.Context(), mail)
	if took := time.Since(start); took > giveWay/2 {
		t.Errorf("yielded %v to nobody", took)
	}
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	return must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
}

// authority issues for both ends of a connection.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t, key: newKey(t)}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "fleet"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der := must[[]byte](t)(x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key))
	a.cert = must[*x509.Certificate](t)(x509.ParseCertificate(der))
	return a
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

// issue writes certificate and key into two files.
func (a *authority) issue(name string, dir string) (certFile, keyFile string) {
	a.t.Helper()
	key := newKey(a.t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der := must[[]byte](a.t)(x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key))
	certFile, keyFile = filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key")
	write(a.t, certFile, "CERTIFICATE", der)
	write(a.t, keyFile, "PRIVATE KEY", must[[]byte](a.t)(x509.MarshalPKCS8PrivateKey(key)))
	return certFile, keyFile
}

func write(t *testing.T, path, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// startNode is a centre of one node; with TLS the client must show a certificate.
func startNode(t *testing.T, config *tls.Config, client ...nats.Option) string {
	t.Helper()
	o := &server.Options{
		Host: "127.0.0.1", Port: -1, NoLog: true, NoSigs: true, JetStream: true, StoreDir: t.TempDir(), SyncAlways: true,
		TLSConfig: config, TLS: config != nil, TLSTimeout: 5,
	}
	node := must[*server.Server](t)(server.NewServer(o))
	go node.Start()
	t.Cleanup(func() { node.Shutdown(); node.WaitForShutdown() })
	if !node.ReadyForConnections(time.Minute) {
		t.Fatal("node is not ready")
	}
	conn := must[*nats.Conn](t)(nats.Connect("nats://"+node.Addr().String(), client...))
	defer conn.Close()
	if err := fleet.Provision(t.Context(), must[jetstream.JetStream](t)(jetstream.New(conn)), 1); err != nil {
		t.Fatal(err)
	}
	return node.Addr().String()
}

// Over TLS the centre is believed only with a certificate of the configured anchors,
// and believes us only with ours.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	a, foreign := newAuthority(t), newAuthority(t)
	serverCert, serverKey := a.issue("node", dir)
	clientCert, clientKey := a.issue("desk-7", dir)
	strangerCert, strangerKey := foreign.issue("stranger", dir)
	anchors, otherAnchors := filepath.Join(dir, "anchors.pem"), filepath.Join(dir, "other.pem")
	write(t, anchors, "CERTIFICATE", a.cert.Raw)
	write(t, otherAnchors, "CERTIFICATE", foreign.cert.Raw)
	address := startNode(t, &tls.Config{
		Certificates: []tls.Certificate{must[tls.Certificate](t)(tls.LoadX509KeyPair(serverCert, serverKey))},
		ClientCAs:    a.pool(), ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS13,
	}, nats.Secure(&tls.Config{RootCAs: a.pool(), Certificates: []tls.Certificate{must[tls.Certificate](t)(tls.LoadX509KeyPair(clientCert, clientKey))}}))
	for name, tt := range map[string]struct {
		anchors, cert, key string
		ok                 bool
	}{
		"both known":     {anchors, clientCert, clientKey, true},
		"foreign centre": {otherAnchors, clientCert, clientKey, false},
		"foreign kiosk":  {anchors, strangerCert, strangerKey, false},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOffice(t)
			silent := o.log.Status().Trouble
			f := o.config.Fleet
			f.URLs, f.Anchors, f.Certificate, f.Key = []string{"tls://" + address}, tt.anchors, tt.cert, tt.key
			if err := o.config.Validate(); err != nil {
				t.Fatal(err)
			}
			o.run(t)
			eventually(t, "the CA's answer", o.delivered)
			if tt.ok {
				eventually(t, "acknowledgement", func() bool { return o.log.Status().Acknowledged.Seq == 1 })
				return
			}
			eventually(t, "the reason", func() bool { return o.log.Status().Trouble != silent })
			if s := o.log.Status(); s.Acknowledged.Seq != 0 || s.Trouble == "" {
				t.Errorf("%+v", s)
			}
		})
	}
}

// A file that cannot be used is named by its key, before anything starts.
func TestBadFiles(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	a := newAuthority(t)
	anchors := filepath.Join(dir, "anchors.pem")
	write(t, anchors, "CERTIFICATE", a.cert.Raw)
	for key, change := range map[string]func(*config.Syncd){
		"ca.anchors":        func(c *config.Syncd) { c.CA.Anchors = empty },
		"fleet.anchors":     func(c *config.Syncd) { c.Fleet.Anchors = filepath.Join(dir, "nothing") },
		"fleet.certificate": func(c *config.Syncd) { c.Fleet.Anchors, c.Fleet.Certificate, c.Fleet.Key = anchors, empty, empty },
		"fleet.credentials": func(c *config.Syncd) { c.Fleet.Credentials = filepath.Join(dir, "nothing") },
	} {
		o := newOffice(t)
		change(o.config)
		if err := Run(t.Context(), o.config, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%s: %v", key, err)
		}
	}
}
