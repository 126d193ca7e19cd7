package station

import (
	"context"
	"errors"
	"fmt"
	"image"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
	"time"

	"mohr.internal/appliance/config"
	"mohr.internal/appliance/program"
	"mohr.internal/display"
	"mohr.internal/display/panel"
	"mohr.internal/kiosk"
	"mohr.internal/kiosk/words"
)

const (
	// troubleWait is how long a trouble screen stays before everything is tried anew.
	troubleWait = 2 * time.Second
	// troubleTurn is how many of these a trouble screen stays in one language, while the
	// office's own is not known.
	troubleTurn = 4
	// panelWait is how long to wait before a panel that is not there is tried again.
	panelWait = time.Second
	// memoryBase is what the heap may hold beside two pictures before the collector
	// works harder. It is no hard limit.
	memoryBase = 14 << 20
	// console is where the kernel writes on the screen.
	console = "/dev/tty1"
)

// Options say how a station is run.
type Options struct {
	// Load reads the configuration. With Perm it is called again in each life.
	Load  func() (*config.Kioskd, error)
	Panel config.Panel // the screen, known before the configuration is
	Perm  *Perm        // nil on a desk
	Log   *slog.Logger
}

// Run serves until ctx ends. Whatever keeps the station from serving is on the
// screen, in words, and is tried anew until it is gone.
func Run(ctx context.Context, o Options) error {
	p, err := openPanel(ctx, o.Panel, o.Log)
	if err != nil {
		return err
	}
	defer p.Close()
	if o.Perm != nil {
		limitMemory(p.Size())
		go program.LogMemoryEvery(ctx, o.Log, time.Minute)
	}
	r := &run{Options: o, panel: p}
	last := ""
	r.surface = NewSurface(p, o.Log, func(s display.Screen, took time.Duration) {
		o.Log.Info("screen", "id", s.ID, "lang", s.Lang, "render_us", took.Microseconds())
		if s.ID == idleScreen && last != idleScreen {
			program.LogMemory(o.Log, "idle")
			if o.Perm != nil {
				limitMemory(p.Size())
			}
		}
		if last = s.ID; last == idleScreen {
			r.served.Store(true)
		}
	})
	return r.lives(ctx)
}

// limitMemory keeps pictures that are no longer shown from piling up, and leaves a
// ledger that has grown its room: a limit below what is in use would keep the collector
// at work for ever.
func limitMemory(size image.Point) {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	pictures := 2 * 4 * int64(size.X) * int64(size.Y)
	used := int64(live[0].Value.Uint64())
	debug.SetMemoryLimit(max(memoryBase+pictures, used+used/4))
}

// idleScreen is the ID of the page between two citizens.
const idleScreen = "idle"

// between says whether a screen is one that stays up between two citizens.
func between(screen string) bool {
	return screen == idleScreen || screen == "trouble" || screen == "full" || screen == "fork"
}

// run is a station from the program's start to its end, over many lives.
type run struct {
	Options
	panel   panel.Panel
	surface *Surface
	lang    string         // the office's; "" while it is not known
	up      display.Screen // the trouble that is on the screen
	said    string         // the trouble that is in the log
	served  atomic.Bool    // the first page has been up since
}

// lives is one life after the other.
func (r *run) lives(ctx context.Context) error {
	for n := 0; ctx.Err() == nil; n++ {
		err := r.live(ctx)
		if ctx.Err() != nil {
			break
		}
		if err := r.trouble(err, n); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(troubleWait):
		}
	}
	return nil
}

// live is one life: from reading the configuration to the first failure.
func (r *run) live(ctx context.Context) error {
	if r.Perm == nil {
		c, err := r.Load()
		if err != nil {
			return err
		}
		r.lang = c.Language
		return r.serve(ctx, c, nil)
	}
	r.lang = ""
	if err := r.Perm.Check(); err != nil {
		return err
	}
	c, err := r.Load()
	if err == nil {
		err = r.Perm.Site(c, r.Panel)
	}
	if err != nil {
		return asSite(err)
	}
	r.lang = c.Language
	if fb, ok := r.panel.(*panel.Framebuffer); ok && c.Panel.Keypad != nil {
		fb.Listen(c.Panel.Keypad.Port)
	}
	err = r.serve(ctx, c, r.Perm)
	if gone := r.Perm.Check(); gone != nil { // the reason behind whatever failed
		return errors.Join(gone, err)
	}
	return err
}

func (r *run) serve(ctx context.Context, c *config.Kioskd, perm *Perm) error {
	r.up = display.Screen{}
	if perm == nil {
		return serve(ctx, c, r.surface, r.Log)
	}
	if err := makeFolders(c); err != nil {
		return err
	}
	life, end := context.WithCancelCause(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		perm.watch(life, func() bool { return between(r.surface.Screen()) }, end, r.Log)
	}()
	err := serve(life, c, r.surface, r.Log)
	end(nil)
	<-watched
	return err
}

// makeFolders makes those of the sockets: /run is empty after each boot.
func makeFolders(c *config.Kioskd) error {
	sockets := []string{c.Outbox}
	if c.Fleet != nil {
		sockets = append(sockets, c.Fleet.Socket)
	}
	for _, s := range sockets {
		if err := os.MkdirAll(filepath.Dir(s), 0o700); err != nil {
			return fmt.Errorf("station: %w", err)
		}
	}
	return nil
}

// trouble puts a failure on the screen, and into the log if it is a new one. While
// the office's language is not known the languages take turns.
func (r *run) trouble(err error, n int) error {
	if text := fmt.Sprint(err); r.served.Swap(false) || text != r.said {
		r.said = text
		r.Log.Error("out of service", "rule", troubleRule(err), "err", err)
	}
	lang := r.lang
	if lang == "" {
		lang = words.Languages[n/troubleTurn%len(words.Languages)]
	}
	s := kiosk.TroublePage(troubleRule(err), lang)
	if s.Text() == r.up.Text() {
		return nil
	}
	r.up = s
	return r.surface.Show(s)
}

// openPanel waits for the panel for as long as it takes: a kiosk without a screen
// can do nothing else.
func openPanel(ctx context.Context, c config.Panel, log *slog.Logger) (panel.Panel, error) {
	said := ""
	for {
		p, err := tryPanel(ctx, c, log)
		if err == nil {
			return p, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err.Error() != said {
			said = err.Error()
			log.Warn("waiting for the panel", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(panelWait):
		}
	}
}

func tryPanel(ctx context.Context, c config.Panel, log *slog.Logger) (panel.Panel, error) {
	if c.Kind == "framebuffer" {
		return panel.OpenFramebuffer(panel.FramebufferOptions{Path: c.Path, Console: console, Log: log})
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return panel.Dial(ctx, c.Path)
}
