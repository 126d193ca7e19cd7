package kiosk

import (
	"bytes"
	"flag"
	"image"
	"image/draw"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mohr.internal/display"
	"mohr.internal/kiosk/words"
)

var update = flag.Bool("update", false, "draw testdata/golden anew; look at each picture before you commit it")

// staffPages are the pages for staff, with the most that can stand on them.
func staffPages() map[string]page {
	by := time.Date(2026, 11, 28, 20, 0, 0, 0, time.UTC)
	soon, overdue := notice{rule: noticeSoon, by: by, days: 3}, notice{rule: noticeOverdue, by: by}
	clock, filling, full := notice{rule: noticeClock, by: by}, notice{rule: noticeFilling, percent: 83}, notice{rule: noticeFull, percent: 96}
	item := func(i int) Renewal {
		return Renewal{ID: RenewalID{byte(i)}, State: Receipted, Since: by.AddDate(0, 0, -i), Clock: ClockTrusted, Ends: by.AddDate(0, 0, 20+i)}
	}
	group := queueGroup{way: waitsOffline, why: `Post "https://ca.example/cmp": dial tcp: lookup ca.example: no such host`}
	unproven := queueGroup{way: waitsRefused, why: "no CA answered: 200 OK with content type \"text/html\", not CMP"}
	for i := range itemsPerPage {
		group.renewals = append(group.renewals, item(i))
		n := item(i)
		n.Clock = ClockUnproven
		unproven.renewals = append(unproven.renewals, n)
	}
	out := map[string]page{
		"staff":          staffPage(standing{waiting: 12, unsent: 7, by: by, proven: true, percent: 41}),
		"staff/nothing":  staffPage(standing{percent: 1}),
		"staff/unknown":  staffPage(standing{waiting: 1, unsent: 1, percent: 1}),
		"staff/alarm":    staffPage(standing{notices: []notice{overdue, filling}, waiting: 1200, unsent: 700, by: by, proven: true, percent: 83}),
		"staff/full":     staffPage(standing{notices: []notice{full, soon}, waiting: 12, unsent: 7, by: by, proven: true, percent: 96}),
		"staff/clock":    staffPage(standing{notices: []notice{clock, filling}, waiting: 12, unsent: 7, by: by, percent: 83}),
		"queue":          queuePage(group, 7, 2, 30),
		"queue/unproven": queuePage(unproven, 7, 2, 30),
		"idle/soon":      noticed(idlePage, []notice{soon, filling}),
		"idle/clock":     noticed(idlePage, []notice{clock, filling}),
		"idle/overdue":   noticed(idlePage, []notice{overdue, filling}),
		"full":           noticed(fullPage, []notice{full, overdue}),
		"full/clock":     noticed(fullPage, []notice{full, clock}),
		"device/unknown": devicePage("USB-UNKNOWN", Device{USB: "1234:5678", Description: deviceText}),
		"device/module":  devicePage("USB-NO-MODULE", Device{Model: "WatchKey", USB: "163c:0406", Description: deviceText}),
		"device/foreign": devicePage("USB-FOREIGN", Device{Model: "ePass3003", USB: "096e:0702", Description: deviceText}),
		"choose":         choosePage(crowd(mostToChoose)),
		"away":           noticed(troublePage(RuleTokensAway), []notice{full, clock}),
	}
	for _, way := range waits {
		g := group
		g.way = way
		out["queue/"+way] = queuePage(g, 7, 2, 30)
	}
	for _, rule := range []string{RuleCAAnswer, RuleCAConfirm} {
		g := group
		g.rule = rule
		out["queue/"+rule] = queuePage(g, 7, 2, 30)
	}
	return out
}

// goldens are the pages whose looks are kept, on the small panel.
var goldens = []string{"staff/alarm", "staff/clock", "queue", "idle/soon", "full", "device/unknown", "device/module", "device/foreign", "choose"}

func TestGolden(t *testing.T) {
	all := staffPages()
	for _, name := range goldens {
		for _, lang := range words.Languages {
			b := words.In(lang)
			s := all[name](b)
			s.Lang, s.RTL, s.Banner = b.Lang, b.RTL, b.Say("banner.language")
			f, err := display.Render(s, image.Pt(800, 480))
			if err != nil {
				t.Fatalf("%s in %s: %v", name, lang, err)
			}
			golden(t, strings.ReplaceAll(name, "/", "-")+"-"+lang, f.Image)
		}
	}
}

// golden compares a picture with the one that was looked at.
func golden(t *testing.T, name string, got *image.RGBA) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name+".png")
	if *update {
		var b bytes.Buffer
		if err := png.Encode(&b, got); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (make it with -update)", err)
	}
	want, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	if want.Bounds() != got.Rect {
		t.Fatalf("%s: %v, want %v", name, got.Rect, want.Bounds())
	}
	looked := image.NewRGBA(got.Rect)
	draw.Draw(looked, looked.Rect, want, image.Point{}, draw.Src)
	const shade = 6 // compilers for some processors fuse multiplications, which moves an edge by a shade
	differ := 0
	for i, v := range looked.Pix {
		if max(v, got.Pix[i])-min(v, got.Pix[i]) > shade {
			differ++
		}
	}
	if differ > 0 {
		t.Errorf("%s: %d values of pixels differ; draw it with -update and look at it", name, differ)
	}
}

// Every notice has words, short ones and what to do, and no words are left over.
func TestNoticeWords(t *testing.T) {
	rules := []string{noticeFilling, noticeFull, noticeSoon, noticeOverdue, noticeClock}
	for _, lang := range words.Languages {
		b := words.In(lang)
		for _, r := range rules {
			if !b.Has("notice."+r) || !b.Has("do."+r) {
				t.Errorf("%s: no words for notice %s", lang, r)
			}
		}
		for _, id := range b.IDs() {
			kind, r, _ := strings.Cut(id, ".")
			if kind == "do" && !slices.Contains(rules, r) {
				t.Errorf("%s: words for %s, which no code uses", lang, id)
			}
		}
		for _, way := range waits {
			if !b.Has("queue." + way) {
				t.Errorf("%s: no words for what waits as %s", lang, way)
			}
		}
	}
}
