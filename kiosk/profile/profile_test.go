package profile

import (
	"flag"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "rewrite data/*.json in the form Encode gives")

// TestTemplates keeps the embedded files in Encode's form, so that a filled-in
// profile differs from its template in what was filled in and nothing else.
func TestTemplates(t *testing.T) {
	for _, name := range Names() {
		p, err := Template(name)
		if err != nil {
			t.Fatal(err)
		}
		if p.ID != name {
			t.Errorf("%s.json holds profile %q", name, p.ID)
		}
		got, err := p.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if *update {
			if err := os.WriteFile("data/"+name+".json", got, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if want, _ := File(name); string(got) != string(want) {
			t.Errorf("%s.json is not in the form Encode gives; run go test -update", name)
		}
	}
}
