package desk

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"time"
)

// glassNews is what the page is told of a picture; it fetches the pixels itself.
type glassNews struct {
	Lit    bool   `json:"lit"`
	Seq    uint64 `json:"seq"`
	ID     string `json:"id"`
	Mood   string `json:"mood"`
	Lang   string `json:"lang"`
	Title  string `json:"title"`
	Text   string `json:"text"`
	Width  int    `json:"width"`
	Height int    `json:"height"`
}

// events is the stream of server-sent events (WHATWG HTML, section 9.2): "glass", "bench" and "log".
// What changes faster than the browser reads is told once, as it is then.
func (p *Page) events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	out := http.NewResponseController(w)
	defer p.glass.Lift()
	send := func(event string, v any) bool {
		data, err := json.Marshal(v)
		if err != nil {
			p.slog.Error("event for the page", "event", event, "err", err)
			return true
		}
		_ = out.SetWriteDeadline(time.Now().Add(10 * time.Second))
		_, err = fmt.Fprintf(w, "event: %s\ndata: %s\n\n", event, data)
		return err == nil && out.Flush() == nil
	}
	var (
		seenGlass glassNews
		seenBench State
		seenLine  uint64
		first     = true
		alive     = time.NewTicker(15 * time.Second)
	)
	defer alive.Stop()
	for {
		glass, bench, log := p.glass.Changed(), p.bench.Changed(), p.log.news.changed()
		if g := p.glassNews(); first || g != seenGlass {
			if !send("glass", g) {
				return
			}
			seenGlass = g
		}
		if b := p.bench.State(); first || !reflect.DeepEqual(b, seenBench) {
			if !send("bench", b) {
				return
			}
			seenBench = b
		}
		if lines := p.log.Since(seenLine); len(lines) > 0 {
			if !send("log", lines) {
				return
			}
			seenLine = lines[len(lines)-1].Seq
		}
		first = false
		select {
		case <-glass:
		case <-bench:
		case <-log:
		case <-alive.C: // finds a browser that went away without a word
			if !send("alive", struct{}{}) {
				return
			}
		case <-r.Context().Done():
			return
		}
	}
}

func (p *Page) glassNews() glassNews {
	shot, lit := p.glass.Latest()
	if !lit {
		return glassNews{}
	}
	size := shot.Image.Rect.Size()
	return glassNews{
		Lit: true, Seq: shot.Seq, ID: shot.ID, Mood: shot.Mood, Lang: shot.Lang,
		Title: shot.Title, Text: shot.Text, Width: size.X, Height: size.Y,
	}
}
