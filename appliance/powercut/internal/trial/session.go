package trial

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"mohr.internal/appliance/journal"
	"mohr.internal/kiosk/cmp/cmptest"
)

// A story is what happens at a counter while its disk is recorded.
type story struct {
	name string
	ca   cmptest.CAOptions
	busy bool // others write to the same file system meanwhile
	new  bool // from before there is a journal
	act  func(c *counter) error
}

// stories are the sessions that power is cut in. The first is the full one.
var stories = []story{
	{name: "renewal online", act: online},
	{name: "renewal online, a busy file system", busy: true, act: online},
	{name: "renewal offline, delivery, pick-up", ca: cmptest.CAOptions{WithholdImplicitConfirm: true}, act: func(c *counter) error {
		for _, citizen := range []int{0, 1} {
			if err := c.attend(visit{citizen: citizen, offline: true}); err != nil {
				return err
			}
		}
		if err := c.deliver(); err != nil { // nobody is there
			return err
		}
		if err := c.attend(visit{citizen: 0, offline: true}); err != nil { // picks up
			return err
		}
		return c.deliver() // the certConf
	}},
	{name: "stopped, refused, waiting", act: func(c *counter) error {
		if err := c.attend(visit{citizen: 0, instead: map[string]string{"pin": "cancel"}}); err != nil {
			return err
		}
		if err := c.attend(visit{citizen: 0, instead: map[string]string{"face": "no"}}); err != nil {
			return err
		}
		c.ca.Queue(cmptest.Behaviour{Kind: cmptest.Reject, Text: "no"})
		if err := c.attend(visit{citizen: 1}); err != nil {
			return err
		}
		c.ca.Queue(cmptest.Behaviour{Kind: cmptest.Garbage}, cmptest.Behaviour{Kind: cmptest.OtherKey}, cmptest.Behaviour{Kind: cmptest.WaitPolls, N: 1})
		return c.attend(visit{citizen: 2})
	}},
	{name: "a new journal", new: true, act: provision},
}

// provision is the first hour of a kiosk.
func provision(c *counter) error {
	if err := c.create(); err != nil {
		return err
	}
	if err := c.note(note{What: created}); err != nil {
		return err
	}
	if err := c.open(); err != nil {
		return err
	}
	if err := c.replay(); err != nil {
		return err
	}
	return c.start()
}

// online is one renewal from the inserted token to the certificate on it.
func online(c *counter) error {
	return c.attend(visit{citizen: 0, instead: map[string]string{"pin": "wrong"}})
}

// neighbour is another program that keeps small files on the same file system,
// as a clock that saves the time does: the file system's own tables change.
func neighbour(mount string) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ctx.Err() == nil; i++ {
			name := filepath.Join(mount, "neighbour")
			f, err := os.Create(name + ".new")
			if err != nil {
				return
			}
			f.Write(make([]byte, 1+i*7919%20000))
			f.Sync()
			f.Close()
			os.Rename(name+".new", name)
			time.Sleep(200 * time.Microsecond)
		}
	}()
	return func() { cancel(); <-done }
}

// The journal of a trial: small segments, so that sessions cross from one to the
// next, and room for what the kiosk wants to have free.
var journalOptions = journal.Options{SegmentBytes: 65 * journal.PageSize, Segments: 12}

// lives is how often the kiosk was started before the recording begins.
const lives = 45

// prepare makes the journal of a kiosk that has been started and stopped often,
// and leaves the kiosk running, idle.
func prepare(c *counter) error {
	if err := c.create(); err != nil {
		return err
	}
	if err := c.open(); err != nil {
		return err
	}
	if err := c.replay(); err != nil {
		return err
	}
	for range lives {
		if err := c.start(); err != nil {
			return err
		}
		if err := c.halt(); err != nil {
			return err
		}
	}
	return c.start()
}

// create makes the empty journal.
func (c *counter) create() error {
	j, err := journal.Create(c.dir, journalOptions)
	if err != nil {
		return err
	}
	return j.Close()
}

// settle has the file system write all it holds.
func settle(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(unix.Syncfs(int(f.Fd())), f.Close())
}
