package desk

import (
	"context"
	"crypto/rand"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"mohr.internal/display/panel"
)

//go:embed static
var static embed.FS

// Bench is what the page needs of the world: what happens around the kiosk.
type Bench interface {
	// State is the bench as it is now.
	State() State
	// Changed returns a channel that is closed when State has a new answer.
	Changed() <-chan struct{}
	// Do makes one thing happen.
	Do(ctx context.Context, a Action) error
}

// Page serves the desk: the kiosk's screen, its keypad, and the bench, for one person's browser on the
// same machine.
//
// Every address begins with a secret that is drawn anew for each Page; a request must name this server
// in Host (so that a foreign name that resolves to 127.0.0.1 is refused) and, where the browser says
// where a request comes from (Origin, Sec-Fetch-Site), it must come from the page itself. So another
// page in the same browser can neither read the screen nor press a button.
type Page struct {
	glass  *Glass
	bench  Bench
	log    *Log
	verify func(text string) (string, error)
	scan   *scanner
	slog   *slog.Logger
	secret string
}

// PageOptions are the parts of a Page.
type PageOptions struct {
	Glass *Glass
	Bench Bench
	Log   *Log // the programs' output
	// Verify examines the text of a receipt and says in a few lines what it found.
	Verify func(text string) (string, error)
	Logger *slog.Logger
}

// NewPage returns a Page with a fresh secret.
func NewPage(o PageOptions) *Page {
	return &Page{
		glass: o.Glass, bench: o.Bench, log: o.Log, verify: o.Verify, slog: o.Logger,
		scan: &scanner{}, secret: strings.ToLower(rand.Text()),
	}
}

// Serve listens on 127.0.0.1 (port 0 picks a free one), tells the page's address and serves until ctx ends.
func (p *Page) Serve(ctx context.Context, port int, told func(url string)) error {
	ln, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return fmt.Errorf("desk: page: %w", err)
	}
	server := &http.Server{
		Handler:           p.Handler(ln.Addr().String()),
		ReadHeaderTimeout: 5 * time.Second,
		ErrorLog:          slog.NewLogLogger(p.slog.Handler(), slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	go p.scan.run(ctx, p.glass)
	stopped := context.AfterFunc(ctx, func() { server.Close() })
	defer stopped()
	told("http://" + ln.Addr().String() + "/" + p.secret + "/")
	if err := server.Serve(ln); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("desk: page: %w", err)
	}
	return nil
}

// Handler is the page for a server that is reached as host ("127.0.0.1:8080").
func (p *Page) Handler(host string) http.Handler {
	files, err := fs.Sub(static, "static")
	if err != nil {
		panic(err) // the folder is embedded
	}
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServerFS(files))
	mux.HandleFunc("GET /events", p.events)
	mux.HandleFunc("GET /frame.png", p.frame)
	mux.HandleFunc("GET /receipt", p.receipt)
	mux.HandleFunc("POST /touch", p.touch)
	mux.HandleFunc("POST /key", p.key)
	mux.HandleFunc("POST /bench", p.act)
	return p.guard(host, http.StripPrefix("/"+p.secret, mux))
}

// guard refuses what does not come from the page itself.
func (p *Page) guard(host string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		h.Set("Referrer-Policy", "no-referrer") // the address is the secret
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		_, port, _ := net.SplitHostPort(host)
		if r.Host != host && r.Host != "localhost:"+port {
			http.Error(w, "this server is not "+strconv.Quote(r.Host), http.StatusMisdirectedRequest)
			return
		}
		if origin := r.Header.Get("Origin"); origin != "" && origin != "http://"+r.Host {
			http.Error(w, "not for other pages", http.StatusForbidden)
			return
		}
		// "none" is a person who opens the address; everything else must be the page's own.
		switch site := r.Header.Get("Sec-Fetch-Site"); {
		case site == "" || site == "same-origin":
		case r.Method == http.MethodGet && r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document":
		default:
			http.Error(w, "not for other pages", http.StatusForbidden)
			return
		}
		if !strings.HasPrefix(r.URL.Path, "/"+p.secret+"/") {
			http.NotFound(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (p *Page) frame(w http.ResponseWriter, _ *http.Request) {
	shot, lit := p.glass.Latest()
	if !lit {
		http.Error(w, "the screen is dark", http.StatusServiceUnavailable)
		return
	}
	data, err := shot.PNG()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "image/png")
	w.Header().Set("X-Frame", strconv.FormatUint(shot.Seq, 10))
	w.Header().Set("X-Screen", shot.ID)
	_, _ = w.Write(data)
}

func (p *Page) touch(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Down bool `json:"down"`
		X    int  `json:"x"`
		Y    int  `json:"y"`
	}
	if !read(w, r, &in) {
		return
	}
	shot, lit := p.glass.Latest()
	if !lit {
		reply(w, errDark)
		return
	}
	size := shot.Image.Rect.Size()
	kind := panel.TouchUp
	if in.Down {
		kind = panel.TouchDown
	}
	reply(w, p.glass.Send(panel.Event{Kind: kind, X: min(max(in.X, 0), size.X-1), Y: min(max(in.Y, 0), size.Y-1)}))
}

func (p *Page) key(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Key  string `json:"key"`
		Down bool   `json:"down"`
	}
	if !read(w, r, &in) {
		return
	}
	keys := []rune(in.Key)
	if len(keys) != 1 || !panel.ValidKey(keys[0]) {
		reply(w, fmt.Errorf("desk: no such key: %q", in.Key))
		return
	}
	kind := panel.KeyUp
	if in.Down {
		kind = panel.Key
	}
	reply(w, p.glass.Send(panel.Event{Kind: kind, Key: keys[0]}))
}

func (p *Page) act(w http.ResponseWriter, r *http.Request) {
	var a Action
	if !read(w, r, &a) {
		return
	}
	reply(w, p.bench.Do(r.Context(), a))
}

func (p *Page) receipt(w http.ResponseWriter, _ *http.Request) {
	out := struct {
		Text   string `json:"text"`
		Result string `json:"result"`
		Error  string `json:"error"`
	}{}
	if shot, lit := p.glass.Latest(); lit {
		p.scan.look(shot)
	}
	out.Text = p.scan.last()
	switch {
	case out.Text == "":
		out.Error = "no receipt has been on the screen yet"
	case p.verify == nil:
		out.Error = "no verifier"
	default:
		result, err := p.verify(out.Text)
		if err != nil {
			out.Error = err.Error()
		}
		out.Result = result
	}
	answer(w, out)
}

// read decodes a small JSON request strictly.
func read(w http.ResponseWriter, r *http.Request, v any) bool {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4096))
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil {
		if _, err = d.Token(); err == io.EOF {
			return true
		}
		err = errors.New("bytes after the request")
	}
	http.Error(w, err.Error(), http.StatusBadRequest)
	return false
}

// reply tells the page what came of its request. A refusal by the bench is news for the person, not a
// fault of the page, so it comes with status 200.
func reply(w http.ResponseWriter, err error) {
	out := struct {
		Error string `json:"error"`
	}{}
	if err != nil {
		out.Error = err.Error()
	}
	answer(w, out)
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the browser went away: nobody to tell
}
