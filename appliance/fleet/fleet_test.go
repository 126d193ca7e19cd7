package fleet_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	mrand "math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"mohr.internal/appliance/fleet"
	"mohr.internal/appliance/fleet/entry"
	"mohr.internal/appliance/fleet/fleettest"
	"mohr.internal/appliance/fleetlink"
	"mohr.internal/appliance/fleetlog"
	"mohr.internal/kiosk"
)

// One cluster serves all tests of the package; each test is another kiosk. Tests do
// not run in parallel: some kill nodes.
var (
	cluster *fleettest.Cluster
	admin   jetstream.JetStream
)

func TestMain(m *testing.M) {
	code, err := withCluster(m.Run)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func withCluster(run func() int) (int, error) {
	dir, err := os.MkdirTemp("", "fleet")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	if cluster, err = fleettest.StartCluster(ctx, dir, nil); err != nil {
		return 1, err
	}
	defer cluster.Stop()
	conn, err := nats.Connect(strings.Join(cluster.URLs(), ","), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
	if err != nil {
		return 1, err
	}
	defer conn.Close()
	if admin, err = jetstream.New(conn); err != nil {
		return 1, err
	}
	if err := cluster.Provision(ctx, admin, fleettest.Nodes); err != nil {
		return 1, err
	}
	return run(), nil
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// planted stands in every record; it must never be seen outside the sealed part.
const planted = "مریم رضایی 0499370899"

// record is some journal record with something personal in it.
func record(t testing.TB, n int) []byte {
	t.Helper()
	return must[[]byte](t)(kiosk.Record{
		Renewal: kiosk.RenewalID{1, byte(n)}, Time: 1_800_000_000 + int64(n), Clock: kiosk.ClockTrusted, State: kiosk.RequestSigned.String(),
		Request: []byte(fmt.Sprintf("request %d of %s", n, planted)),
	}.Marshal())
}

// station is a kiosk under test: journal, kioskd's end of the socket, and syncd's.
type station struct {
	t       *testing.T
	id      string
	journal *fleettest.Journal
	key     *ecdsa.PrivateKey
	centre  *age.X25519Identity
	log     *fleetlog.Log
	server  *fleetlink.Server
	client  *fleet.Client
	stop    func()

	mu      sync.Mutex
	forks   []entry.Head
	cleared *entry.Head
}

var (
	centreKey = sync.OnceValues(age.GenerateX25519Identity)
	entryKey  = sync.OnceValues(func() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) })
)

// runs are the names of all runs of tests.
var runs sync.Map

// start begins a station's life over a journal. urls are those of the cluster if nil.
func start(t *testing.T, id string, j *fleettest.Journal, urls ...string) *station {
	t.Helper()
	if urls == nil {
		urls = cluster.URLs()
	}
	run, _ := runs.LoadOrStore(t, rand.Text()[:8]) // the centre forgets nothing between two runs of a test
	id += "-" + run.(string)
	s := &station{t: t, id: id, journal: j, key: must[*ecdsa.PrivateKey](t)(entryKey()), centre: must[*age.X25519Identity](t)(centreKey())}
	quiet := slog.New(slog.DiscardHandler)
	if testing.Verbose() {
		quiet = slog.New(slog.NewTextHandler(writer{t}, nil))
	}
	s.log = must[*fleetlog.Log](t)(fleetlog.New(fleetlog.Options{
		Kiosk: id, Journal: j, Changed: j.Changed, Recipients: []string{s.centre.Recipient().String()}, Key: s.key, Rand: rand.Reader,
		Cleared: func() (entry.Head, bool) {
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.cleared == nil {
				return entry.Head{}, false
			}
			return *s.cleared, true
		},
		Forked: func(_, theirs entry.Head) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.forks = append(s.forks, theirs)
		},
	}))
	s.server = fleetlink.NewServer(s.log, quiet)
	dir := must[string](t)(os.MkdirTemp("", "link"))
	path := filepath.Join(dir, "s")
	l := must[net.Listener](t)(net.Listen("unix", path))
	ctx, cancel := context.WithCancel(context.Background())
	s.client = must[*fleet.Client](t)(fleet.Open(fleet.Options{
		Kiosk: id, URLs: urls, Connect: time.Second, Request: time.Second,
		Min: 10 * time.Millisecond, Max: 200 * time.Millisecond, Recheck: 300 * time.Millisecond, Jitter: mrand.Float64, Log: quiet,
	}))
	var running sync.WaitGroup
	running.Go(func() { s.server.Serve(ctx, l) })
	link := fleetlink.NewClient(must[net.Conn](t)(net.Dial("unix", path)))
	running.Go(func() { link.Run(ctx, s.client.Lookup) })
	running.Go(func() { s.client.Follow(ctx, link) })
	if _, _, err := link.Head(ctx); err != nil { // both ends are there
		t.Fatal(err)
	}
	s.stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
		s.client.Close()
		os.RemoveAll(dir)
	})
	t.Cleanup(s.stop)
	return s
}

type writer struct{ t *testing.T }

func (w writer) Write(b []byte) (int, error) {
	w.t.Logf("%s", bytes.TrimSpace(b))
	return len(b), nil
}

func (s *station) append(n int) {
	s.t.Helper()
	for range n {
		last, _ := s.journal.Head()
		must[uint64](s.t)(s.journal.Append(record(s.t, int(last)+1)))
	}
}

func (s *station) forked() []entry.Head {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]entry.Head(nil), s.forks...)
}

// acknowledged waits until the station knows that all its records are there.
func (s *station) acknowledged() {
	s.t.Helper()
	head, _ := s.log.Head()
	eventually(s.t, fmt.Sprintf("acknowledgement of %v", head), func() bool { return s.log.Status().Acknowledged == head })
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("%s did not come", what)
}

// stored reads what the centre has of a kiosk, and checks every entry by itself.
func (s *station) stored() []entry.Entry {
	s.t.Helper()
	var out []entry.Entry
	for _, m := range messages(s.t, s.id) {
		e := must[entry.Entry](s.t)(entry.Parse(m))
		if err := e.Verify(&s.key.PublicKey); err != nil {
			s.t.Error(err)
		}
		open := must[io.Reader](s.t)(age.Decrypt(bytes.NewReader(e.Sealed), s.centre))
		private := must[entry.Private](s.t)(entry.ParsePrivate(must[[]byte](s.t)(io.ReadAll(open))))
		if err := e.CheckHash(private.Payload); err != nil {
			s.t.Error(err)
		}
		if bytes.Contains(m, []byte("0499370899")) || bytes.Contains(m, []byte("مریم")) {
			s.t.Errorf("record %d shows a person", e.Seq)
		}
		out = append(out, e)
	}
	return out
}

// complete demands that the centre has the whole journal, each record once, in order.
func (s *station) complete() {
	s.t.Helper()
	got := s.stored()
	last, _ := s.journal.Head()
	if len(got) != int(last) {
		s.t.Fatalf("%d messages, want %d", len(got), last)
	}
	for i, e := range got {
		want := must[entry.Head](s.t)(s.log.Hash(uint64(i) + 1))
		if e.Head() != want || e.After != nil {
			s.t.Fatalf("message %d is record %v, want %v", i, e.Head(), want)
		}
	}
}

// messages reads a kiosk's log in order, from the stream's leader: any other node may
// lag, and a consumer may run on one that does.
func messages(t *testing.T, id string) (out [][]byte) {
	t.Helper()
	for seq, failed := uint64(1), 0; ; {
		data, at, err := next(t.Context(), id, seq)
		switch {
		case err != nil:
			if failed++; failed > 100 {
				t.Fatal(err)
			}
			time.Sleep(50 * time.Millisecond) // a leader is being chosen
			continue
		case at == 0:
			return out
		}
		out, seq = append(out, data), at+1
	}
}

// next is the first message of a kiosk from a sequence on; at is 0 if there is none.
func next(ctx context.Context, id string, seq uint64) (data []byte, at uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	q := fmt.Sprintf(`{"seq":%d,"next_by_subj":%q}`, seq, fleet.Subject(id))
	m, err := admin.Conn().RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+fleet.Stream, []byte(q))
	if err != nil {
		return nil, 0, err
	}
	var answer struct {
		Error   *jetstream.APIError
		Message struct {
			Seq  uint64
			Data []byte
		}
	}
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		return nil, 0, err
	}
	if answer.Error != nil && answer.Error.ErrorCode != jetstream.JSErrCodeMessageNotFound {
		return nil, 0, answer.Error
	}
	return answer.Message.Data, answer.Message.Seq, nil
}

// spki is a public key and its DER.
func spki(t testing.TB) []byte {
	k := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	return must[[]byte](t)(x509.MarshalPKIXPublicKey(&k.PublicKey))
}
