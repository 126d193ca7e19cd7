package profile

import (
	"fmt"
	"strings"
	"testing"
)

// demo is the embedded demo file as text, for edits.
func demo(t testing.TB) string {
	t.Helper()
	b, err := File("demo")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// edit replaces one piece of the demo file, which must be there.
func edit(t testing.TB, old, new string) string {
	t.Helper()
	file := demo(t)
	if !strings.Contains(file, old) {
		t.Fatalf("demo.json has no %q", old)
	}
	return strings.Replace(file, old, new, 1)
}

// TestStrict has one deviation per row; the error has to name the key.
func TestStrict(t *testing.T) {
	for _, tt := range []struct{ why, old, new, want string }{
		{"unknown key", `"version": 1,`, `"version": 1, "vendor": 1,`, "profile: vendor: unknown key"},
		{"unknown key below", `"stopAt": 1,`, `"stopAt": 1, "stop": 1,`, "profile: pin.stop: unknown key"},
		{"key in another case", `"stopAt": 1,`, `"stopat": 1,`, "profile: pin.stopat: unknown key"},
		{"doubled key", `"stopAt": 1,`, `"stopAt": 1, "stopAt": 2,`, "profile: pin.stopAt: key appears twice"},
		{"doubled by an escape", `"stopAt": 1,`, `"stopAt": 1, "\u0073topAt": 2,`, "profile: pin.stopAt: key appears twice"},
		{"doubled language", `"en": "Example`, `"en": "x", "en": "Example`, "profile: names.en: key appears twice"},
		{"missing key", `"stopAt": 1,`, ``, "profile: pin.stopAt: key is missing"},
		{"missing list", `"anchors": [],`, ``, "profile: anchors: key is missing"},
		{"null number", `"stopAt": 1,`, `"stopAt": null,`, "profile: pin.stopAt: want a whole number, found null"},
		{"null list", `"anchors": [],`, `"anchors": null,`, "profile: anchors: want a list, found null"},
		{"null object", `"names": {`, `"names": null, "country": {`, "profile: names: want an object, found null"},
		{"text for number", `"stopAt": 1,`, `"stopAt": "1",`, "profile: pin.stopAt: want a whole number, found a string"},
		{"number for text", `"version": "demo-1"`, `"version": 1`, "profile: terms.version: want a string, found the number 1"},
		{"fraction", `"stopAt": 1,`, `"stopAt": 1.5,`, "profile: pin.stopAt: 1.5 is not a whole number in range"},
		{"exponent", `"stopAt": 1,`, `"stopAt": 1e0,`, "profile: pin.stopAt: 1e0 is not a whole number in range"},
		{"huge number", `"stopAt": 1,`, `"stopAt": 99999999999999999999,`, "profile: pin.stopAt: 99999999999999999999 is not a whole number in range"},
		{"object for list", `"anchors": [],`, `"anchors": {},`, "profile: anchors: want a list, found an object"},
		{"list for object", `"pin": {`, `"pin": [], "x": {`, "profile: pin: want an object, found a list"},
		{"text for truth", `"sameKeyRenewal": true`, `"sameKeyRenewal": "true"`, "profile: ca.sameKeyRenewal: want true or false, found a string"},
		{"number for oid", `"nationalID": "2.5.4.5"`, `"nationalID": 5`, "profile: subject.nationalID: want a string, found the number 5"},
		{"bad oid", `"nationalID": "2.5.4.5"`, `"nationalID": "2.5.4.05"`, "profile: subject.nationalID: \"05\" is not an object identifier"},
		{"bad time", `"validUntil": "2098-12-31T20:30:00Z"`, `"validUntil": "2098-12-31"`, "profile: validUntil: "},
		{"bad item", `"P-256",`, `7,`, "profile: ca.newKeys[0]: want a string, found the number 7"},
		{"lone surrogate", `"country": "IR"`, `"country": "\ud800"`, "profile: country: replacement character in text"},
	} {
		_, err := Parse([]byte(edit(t, tt.old, tt.new)))
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", tt.why, err, tt.want)
		}
	}
}

func TestStrictFile(t *testing.T) {
	file := demo(t)
	for _, tt := range []struct{ why, file, want string }{
		{"empty", "", "profile: file: EOF"},
		{"no object", "[]", "profile: file: want an object, found a list"},
		{"null", "null", "profile: file: want an object, found null"},
		{"trailing object", file + "{}", "profile: data after the end of the object"},
		{"trailing junk", file + "x", "profile: data after the end of the object"},
		{"cut", file[:len(file)/2], "profile: "},
		{"not UTF-8", strings.Replace(file, "Example", "Ex\xffmple", 1), "profile: file is not UTF-8"},
		{"too long", file + strings.Repeat(" ", MaxSize), fmt.Sprintf("profile: file of %d bytes, limit %d", len(file)+MaxSize, MaxSize)},
		{"too deep", strings.Repeat(`{"a":`, 100), "profile: a: unknown key"},
		{"too many", edit(t, `"standard": [`, `"standard": [`+strings.Repeat(`"x",`, maxValues)), "profile: subject.title.standard"},
	} {
		_, err := Parse([]byte(tt.file))
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s: %.200v, want %s", tt.why, err, tt.want)
		}
	}
	if _, err := Parse([]byte(file + strings.Repeat(" ", MaxSize-len(file)))); err != nil {
		t.Errorf("a file of just %d bytes: %v", MaxSize, err)
	}
}

// FuzzParse: no panic, and what is accepted comes back from Encode as it is.
func FuzzParse(f *testing.F) {
	for _, name := range Names() {
		b, _ := File(name)
		f.Add(b)
	}
	f.Add([]byte(`{"id":"x","version":1e400}`))
	f.Add([]byte(`{"anchors":["-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"]}`))
	f.Fuzz(func(t *testing.T, file []byte) {
		p, err := Parse(file)
		if err != nil {
			if p != nil {
				t.Error("a profile beside an error")
			}
			return
		}
		again, err := p.Encode()
		if err != nil {
			t.Fatalf("accepted, but not encoded: %v", err)
		}
		if q, err := Parse(again); err != nil {
			t.Fatalf("encoded, but not accepted: %v", err)
		} else if third, err := q.Encode(); err != nil || string(third) != string(again) {
			t.Errorf("encoding is not stable: %v", err)
		}
	})
}
