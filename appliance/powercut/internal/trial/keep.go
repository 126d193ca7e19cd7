package trial

import (
	"encoding/gob"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"mohr.internal/appliance/powercut/internal/disk"
)

// kept is a run's recordings as a file. It holds the keys of a kiosk that never
// was.
type kept struct {
	Fixture    fixture
	Files      map[string][]byte // of the fixture's PKI
	Recordings []keptRecording
}

type keptRecording struct {
	Story   int
	Control Control
	Base    []byte
	Events  []disk.Event
}

// save writes recordings into a folder and returns the file's name.
func save(dir string, seed uint64, f *fixture, all []*recording) (string, error) {
	k := kept{Fixture: *f, Files: map[string][]byte{}}
	entries, err := os.ReadDir(f.PKI)
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		if k.Files[e.Name()], err = os.ReadFile(filepath.Join(f.PKI, e.Name())); err != nil {
			return "", err
		}
	}
	for _, r := range all {
		base := make([]byte, r.Log.Base.Size())
		if _, err := r.Log.Base.ReadAt(base, 0); err != nil {
			return "", err
		}
		k.Recordings = append(k.Recordings, keptRecording{r.Story, r.Control, base, r.Log.Events})
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	path := filepath.Join(dir, fmt.Sprintf("powercut-%d.rec", seed))
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return "", err
	}
	return path, errors.Join(gob.NewEncoder(out).Encode(k), out.Close())
}

// load reads them again and makes the site's fixture theirs.
func load(path string, s *site) ([]*recording, error) {
	in, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	var k kept
	if err := gob.NewDecoder(in).Decode(&k); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	k.Fixture.PKI = s.fixture.PKI
	*s.fixture = k.Fixture
	for name, b := range k.Files {
		if err := os.WriteFile(filepath.Join(s.fixture.PKI, filepath.Base(name)), b, 0o600); err != nil {
			return nil, err
		}
	}
	var all []*recording
	for _, r := range k.Recordings {
		base := disk.NewImage(int64(len(r.Base)))
		if _, err := base.WriteAt(r.Base, 0); err != nil {
			return nil, err
		}
		rec := &recording{Story: r.Story, Control: r.Control, Log: &disk.Log{Base: base, Events: r.Events}}
		if err := rec.decode(); err != nil {
			return nil, err
		}
		all = append(all, rec)
	}
	return all, nil
}
