package profile

import (
	"embed"
	"fmt"
	"strings"
)

//go:embed data/*.json
var files embed.FS

// Names lists the embedded profiles.
func Names() []string {
	entries, _ := files.ReadDir("data")
	var out []string
	for _, e := range entries {
		out = append(out, strings.TrimSuffix(e.Name(), ".json"))
	}
	return out
}

// File returns the bytes of an embedded profile, unsigned: the template an
// office or the demo fills in, encodes and signs.
func File(name string) ([]byte, error) {
	b, err := files.ReadFile("data/" + name + ".json")
	if err != nil {
		return nil, fmt.Errorf("profile: no embedded profile %q", name)
	}
	return b, nil
}

// Template parses an embedded profile.
func Template(name string) (*Profile, error) {
	b, err := File(name)
	if err != nil {
		return nil, err
	}
	return Parse(b)
}
