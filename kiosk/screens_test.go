package kiosk

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"image"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"mohr.internal/display"
	"mohr.internal/kiosk/check"
	"mohr.internal/kiosk/persian"
	"mohr.internal/kiosk/profile"
	"mohr.internal/kiosk/words"
	"mohr.internal/pkcs11"
)

// sizes are the panels that every page has to fit.
var sizes = []image.Point{{X: 640, Y: 480}, {X: 800, Y: 480}, {X: 800, Y: 600}, {X: 1280, Y: 800}, {X: 1920, Y: 1080}}

// The longest names that are realistic: compound names in certificates run to 60
// letters and more.
const (
	longFa = "سیده فاطمه\u200cزهرا السادات میرمحمدصادقی طباطبایی\u200cنژاد خراسانی اصفهانی"
	longEn = "Seyedeh Fatemeh-Zahra Alsadat Mirmohammad-Sadeghi Tabatabaeinejad [Sign]"
)

func longHolder() holder {
	return holder{
		Holder: check.Holder{Kind: check.National, ID: "0499370899", CommonName: longEn, Given: longFa, Family: ""},
		ends:   time.Date(2026, 9, 29, 20, 0, 0, 0, time.UTC), daysLeft: 187, tries: -1,
	}
}

var longEnd = LogEnd{Journal: [8]byte{0xff, 0xff, 0xff, 0xff}, Seq: 1<<64 - 1, Hash: [32]byte{0xff, 0xff, 0xff, 0xff}}

// receiptText is as long as the longest receipt there will be (package receipt).
var receiptText = "KR1:" + strings.Repeat("6BF$A7", 49)[:293]

// deviceText is as long as the longest description of a device (package usb).
var deviceText = "MT1:" + strings.Repeat("A7QX2M", 40)[:236]

// crowd is certificates of people with long names.
func crowd(n int) []check.Candidate {
	cert := &x509.Certificate{Subject: pkix.Name{CommonName: longEn}, NotAfter: time.Date(2026, 9, 29, 20, 0, 0, 0, time.UTC)}
	return slices.Repeat([]check.Candidate{{Certificate: cert}}, n)
}

// pages are all pages of the ceremony with the longest texts that they can meet, by
// a name of their own.
func pages(t *testing.T) map[string]page {
	t.Helper()
	typed := func(p func(*words.Book, []byte) display.Screen, n int) page {
		return func(b *words.Book) display.Screen { return p(b, []byte(strings.Repeat("8", n))) }
	}
	h := longHolder()
	two := longHolder()
	all := allRules(t)
	longest := []string{RuleCARejected} // those that may be warnings
	for _, rule := range all {
		if words.In("en").Say("next."+rule) == words.In("en").Say("next.CRL-STALE") {
			longest = append(longest, rule)
		}
	}
	slices.SortFunc(longest, func(a, b string) int {
		return len(words.In("fa").Say("why."+b)) - len(words.In("fa").Say("why."+a))
	})
	two.warnings = longest[:warningsBeside]
	name := func(b *words.Book) string { return longHolder().name(b) }
	out := map[string]page{
		"idle": noticed(idlePage, nil), "idle-warning": idleWarningPage, "later": laterPage, "choose": choosePage(crowd(mostToChoose)), "officer-insert": officerInsertPage, "remove": removePage,
		"pin-low": pinLowPage, "face-wait": faceWaitPage, "token": tokenPage(h), "token/warnings": tokenPage(two), "pickup": pickupPage(h, h.ends, false),
		"pickup/elsewhere": pickupPage(h, h.ends, true), "elsewhere/unknown": elsewherePage(RuleFleetUnknown), "elsewhere/pending": elsewherePage(RuleFleetPending),
		"fork": forkPage(strings.Repeat("k", 64), longEnd), "fork-clear": forkClearPage(strings.Repeat("k", 64), longEnd),
		"notice":            noticePage(longest[:warningsAlone]),
		"pin":               typed(pinPage("pin", name, -1, ""), 0),
		"pin/wrong":         typed(pinPage("pin", name, 2, RulePINWrong), 0),
		"pin/length":        typed(pinPage("pin", name, -1, RulePINLength), maxPIN),
		"officer-pin":       typed(pinPage("officer-pin", name, -1, RulePINWrong), maxPIN),
		"national-id":       typed(nationalIDPage(false), 0),
		"national-id/wrong": typed(nationalIDPage(true), maxNumber),
		"sign":              signPage(h, pkcs11.RSA2048.String(), name),
	}
	for _, id := range []string{"reading", "officer-reading", "key-making", "signing", "storing", "loading", "fleet-asking", "fork-asking"} {
		out[id] = working(id, 1, 3)
	}
	for _, status := range []string{"receipt.recorded", "receipt.offline", "receipt.waiting", "receipt.free", "receipt.accepted"} {
		out[status] = receiptPage(Renewal{Receipt: receiptText}, "123-456-789", status, display.TokenFree)
	}
	for kind, value := range map[string]string{
		"short": "تهران", "long": longFa, "longest": strings.Repeat("سازمان ", persian.MaxShown/7+1), "one word": strings.Repeat("x", persian.MaxShown),
		"row": strings.Repeat("سازما ", lettersPerRow/6),
	} {
		var rows []check.SubjectField
		for _, f := range []string{"C", "O", "OU", "OU", "organizationIdentifier", "ST", "L", "T", "SN", "GN", "serialNumber", "CN", "1.2.840.113549.1.9.1"} {
			rows = append(rows, check.SubjectField{Name: f, Shown: persian.Show(value), LTR: !persian.IsRTL(value)})
		}
		parts := subjectParts(rows)
		if got := slices.Concat(parts...); !reflect.DeepEqual(got, rows) {
			t.Errorf("%s: subject of %d rows is shown as %d", kind, len(rows), len(got))
		}
		for i, part := range parts {
			out[fmt.Sprint("review/", kind, "/", i)] = subjectPage(part, i+1, len(parts))
		}
	}
	for _, rule := range append(all, "NO-SUCH-RULE") {
		out["refused/"+rule] = refusalPage(rule, display.TokenFree)
		if strings.HasPrefix(rule, "USB-") || strings.HasPrefix(rule, "TOKEN-") {
			out["device/"+rule] = devicePage(rule, Device{Model: "eToken 5100/5110/PRO 72K Java", USB: "096e:0702", Description: deviceText})
			out["device/bare/"+rule] = devicePage(rule, Device{})
		}
		if rule == RuleTokensAway || strings.HasPrefix(rule, "STORE-") || strings.HasPrefix(rule, "PERM-") || strings.HasPrefix(rule, "PROFILE") {
			out["trouble/"+rule] = troublePage(rule)
		}
	}
	out["wait/"] = waitPage(RuleTokenTwo)
	maps.Copy(out, staffPages())
	for _, template := range profile.Names() {
		p, err := profile.Template(template)
		if err != nil {
			t.Fatal(err)
		}
		for n := range max(len(termsParts(p.Terms.Text.In("fa"))), len(termsParts(p.Terms.Text.In("en")))) {
			out[fmt.Sprint(template, "/terms/", n)] = termsPage(p.Terms, n)
		}
		for _, foreign := range []bool{false, true} {
			var docs []profile.Document
			for _, d := range p.Identity.Documents {
				if d.Foreign == foreign {
					docs = append(docs, d)
				}
			}
			out[fmt.Sprint(template, "/document/", foreign)] = documentPage(docs)
		}
		for _, d := range p.Identity.Documents {
			for _, f := range d.Features {
				out[fmt.Sprint(template, "/feature/", d.ID, "/", f.ID)] = examinePage("feature", f.Text, 2, 3)
			}
		}
		for _, f := range p.Identity.Face {
			out[fmt.Sprint(template, "/face/", f.ID)] = examinePage("face", f.Text, 6, 6)
		}
	}
	return out
}

// allRules are the rules that a screen can show.
func allRules(t *testing.T) (rules []string) {
	t.Helper()
	for _, id := range words.In("en").IDs() {
		if rule, ok := strings.CutPrefix(id, "why."); ok {
			rules = append(rules, rule)
		}
	}
	if len(rules) < 80 {
		t.Fatalf("only %d rules", len(rules))
	}
	return rules
}

// Every page fits every panel in every language, with its words, a title, and either
// something to press or a reason to wait.
func TestEveryPageFits(t *testing.T) {
	t.Parallel()
	all := pages(t)
	kinds := map[string][]display.Screen{}
	waits := []string{"reading", "officer-reading", "key-making", "signing", "storing", "loading", "fleet-asking", "fork-asking", "remove"}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		for _, lang := range words.Languages {
			b := words.In(lang)
			s := all[name](b)
			s.Lang, s.RTL, s.Banner = b.Lang, b.RTL, b.Say("banner.language")
			if s.ID == "" || s.Title == "" || strings.Contains(s.Text(), "⟨") || strings.Contains(s.Text(), "{") {
				t.Errorf("%s in %s lacks words:\n%s", name, lang, s.Text())
			}
			waiting := slices.Contains(waits, s.ID) || strings.HasPrefix(name, "wait/") || strings.HasPrefix(name, "trouble/")
			if waiting != (len(s.Choices) == 0) {
				t.Errorf("%s in %s: %d choices", name, lang, len(s.Choices))
			}
			keys := map[rune]bool{}
			for _, c := range s.Choices {
				if c.Key != 0 && keys[c.Key] {
					t.Errorf("%s: key %q twice", name, c.Key)
				}
				keys[c.Key] = true
			}
			kinds[s.ID+" "+lang] = append(kinds[s.ID+" "+lang], s)
		}
	}
	for kind, screens := range kinds {
		longest := func(a, b display.Screen) int { return len(b.Text()) - len(a.Text()) }
		slices.SortFunc(screens, longest)
		screens = slices.CompactFunc(screens, func(a, b display.Screen) bool { return a.Text() == b.Text() && a.QR == b.QR })
		for i, s := range screens {
			if underRace && i >= 3 { // drawing takes ten times as long, and the longest texts decide
				break
			}
			for _, size := range sizes {
				if size.X > 800 && underRace && i > 0 {
					continue // the large panel has the layout of the small one
				}
				if _, err := display.Render(s, size); err != nil {
					t.Errorf("%s: %v\n%s", kind, err, s.Text())
				}
			}
		}
	}
}

// The terms are cut into pages without a word lost, and no page is much fuller than
// the others.
func TestTermsParts(t *testing.T) {
	texts := map[string]string{
		"empty": "", "short": "one", "two": "one\ntwo", "no spaces": strings.Repeat("ا", 5*lettersPerPage),
		"long words": strings.Repeat(strings.Repeat("x", lettersPerPage+20)+" ", 3) + "end",
		"paragraph":  strings.Repeat("سلام دنیا ", 200) + "پایان",
	}
	for _, name := range profile.Names() {
		p, err := profile.Template(name)
		if err != nil {
			t.Fatal(err)
		}
		for lang, text := range p.Terms.Text {
			texts[name+"/"+lang] = text
		}
	}
	for name, text := range texts {
		parts := termsParts(text)
		if len(parts) == 0 {
			t.Errorf("%s: no page", name)
		}
		var lines []string
		for i, part := range parts {
			if len(part) == 0 {
				t.Errorf("%s: page %d is empty", name, i)
			}
			size := 0
			for _, l := range part {
				size += len([]rune(l))
			}
			if size > lettersPerPage && len(part) > 1 {
				t.Errorf("%s: %d letters on page %d", name, size, i)
			}
			lines = append(lines, part...)
		}
		if got, want := strings.Fields(strings.Join(lines, " ")), strings.Fields(text); !slices.Equal(got, want) {
			t.Errorf("%s: words are lost: %d of %d", name, len(got), len(want))
		}
	}
}

// A trouble page of the program is the page of the ceremony, in the office's language.
func TestTroublePage(t *testing.T) {
	for _, lang := range words.Languages {
		s := TroublePage(RuleTokensAway, lang)
		if s.ID != "trouble" || s.Lang != lang || s.RTL != (lang == "fa") || !strings.Contains(s.Text(), plain(lang, "next.TOKENS-AWAY")) {
			t.Errorf("%q:\n%s", lang, s.Text())
		}
	}
}
