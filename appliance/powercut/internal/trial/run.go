package trial

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"mohr.internal/appliance/powercut/internal/disk"
)

// Options of a run.
type Options struct {
	Points   int
	Seed     uint64
	Workers  int
	Features string // of the ext4; disk.Features if empty
	Only     int    // the number of the one point to try, -1 for all
	Keep     string // folder for the recordings if anything fails, "" to drop them
	Replay   string // file of recordings to use in place of new ones
	Out      io.Writer
	Progress io.Writer
}

// ErrFailed says that the run ended and something did not hold.
var ErrFailed = errors.New("power cuts were not survived as promised")

// Run records the stories, cuts their power, and prints what came of it. The
// caller has asked Need and called Isolate.
func Run(ctx context.Context, o Options) (err error) {
	start := time.Now()
	s, err := newSite(o.Workers, start)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	all, err := recordings(ctx, s, o)
	if err != nil {
		return err
	}
	fmt.Fprintf(o.Out, "seed %d\n", o.Seed)
	for _, r := range all {
		fmt.Fprintln(o.Out, "recorded:", r)
	}
	var shows []string
	if o.Only < 0 {
		if shows, err = s.nothingShows(all, o); err != nil {
			return err
		}
	}
	points := plan(all, o.Points, o.Seed)
	if o.Only >= 0 {
		if o.Only >= len(points) {
			return fmt.Errorf("no point %d, there are %d", o.Only, len(points))
		}
		points = points[o.Only : o.Only+1]
	}
	t := newTable(o, len(points))
	t.shows = shows
	if err := work(ctx, s, all, points, t); err != nil {
		return err
	}
	t.print(time.Since(start), ctx.Err() == nil && o.Only < 0)
	if ctx.Err() != nil {
		return fmt.Errorf("interrupted after %d of %d points", t.done, len(points))
	}
	if o.Only < 0 && t.failed() || t.bad > 0 {
		if o.Keep != "" && o.Replay == "" {
			if path, err := save(o.Keep, o.Seed, s.fixture, all); err != nil {
				fmt.Fprintln(o.Out, "cannot keep the recordings:", err)
			} else {
				fmt.Fprintf(o.Out, "to see one again: -replay %s -seed %d -n %d -point NUMBER\n", path, o.Seed, o.Points)
			}
		}
		return ErrFailed
	}
	return nil
}

// recordings are all stories, and the first and the second once more on broken
// kiosks; or those of an earlier run.
func recordings(ctx context.Context, s *site, o Options) ([]*recording, error) {
	if o.Replay != "" {
		return load(o.Replay, s)
	}
	var all []*recording
	for i := range stories {
		all = append(all, &recording{Story: i})
	}
	all = append(all, &recording{Control: NoSync}, &recording{Control: NoBarrier})
	for _, r := range all {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err := s.benches[0].record(r, cmp.Or(o.Features, disk.Features)); err != nil {
			return nil, fmt.Errorf("record %s: %w", stories[r.Story].name, err)
		}
	}
	return all, nil
}

// record runs a story in a process of its own.
func (b *bench) record(r *recording, features string) error {
	b.dismiss()
	defer b.dismiss()
	b.disk.Load(disk.NewImage(diskSize))
	if err := disk.Format(b.file, features); err != nil {
		return err
	}
	if _, err := b.do(order{Record: true, Story: r.Story, Control: r.Control, Leak: r.leaky}); err != nil {
		return err
	}
	r.Log, r.Said = b.log, b.said
	return r.decode()
}

// work shares the points among the benches.
func work(ctx context.Context, s *site, all []*recording, points []point, t *table) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	next := make(chan point)
	go func() {
		defer close(next)
		for _, p := range points {
			select {
			case next <- p:
			case <-ctx.Done():
				return
			}
		}
	}()
	var benches sync.WaitGroup
	for _, b := range s.benches {
		benches.Go(func() {
			for p := range next {
				v, err := b.try(all[p.Recording], p)
				if err != nil {
					stop(fmt.Errorf("point %d: %w", p.Number, err))
					return
				}
				t.add(p, v)
			}
		})
	}
	benches.Wait()
	if err := context.Cause(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// verdict is what became of one point.
type verdict struct {
	Result
	did      string // what the cut did, in words
	noMount  string // why it would not mount; it took e2fsck, or was in vain
	mended   bool   // e2fsck made it mountable
	salvaged bool   // the raw scan found every acknowledged record
}

// try cuts the power once, and for twice once more while the kiosk comes back.
func (b *bench) try(r *recording, p point) (verdict, error) {
	known := r.known(p.Cut.At)
	if p.Row == failing {
		return b.fail(r, p, known)
	}
	image, did := r.Log.Rebuild(p.Cut)
	if p.Row != twice {
		v, err := b.judge(r, p, known, image)
		v.did = did
		return v, err
	}
	b.disk.Load(image)
	b.disk.Record()
	res, err := b.do(order{Story: r.Story, Notes: known, Deep: p.Deep})
	second := &recording{Story: r.Story, Log: b.disk.Stop()}
	if err != nil || res.Outcome != Good {
		return b.settled(verdict{Result: res, did: did}, err)
	}
	if err := second.decode(); err != nil {
		return verdict{}, err
	}
	cut := disk.Cut{At: second.anyRecovery(p.Cut.Seed), Seed: p.Cut.Seed + 1}
	image, again := second.Log.Rebuild(cut)
	known = append(known[:len(known):len(known)], second.known(cut.At)...)
	v, err := b.judge(r, p, known, image)
	v.did = did + "; then " + again
	return v, err
}

// fail runs the story on a disk that answers one write or flush with an error,
// and cuts the power when the kiosk has come up again or could not.
func (b *bench) fail(r *recording, p point, known []note) (verdict, error) {
	did := fmt.Sprintf("%+v", p.Fault)
	b.disk.Load(r.Log.Base.Clone())
	b.log = nil
	res, err := b.do(order{Act: true, Story: r.Story, Notes: known, fault: p.Fault})
	if err != nil || res.Outcome == Bad {
		return b.settled(verdict{Result: res, did: did}, err)
	}
	if b.log == nil {
		return verdict{}, errors.New("nothing was recorded")
	}
	second := &recording{Story: r.Story, Log: b.log}
	if err := second.decode(); err != nil {
		return verdict{}, err
	}
	end := len(second.Log.Events)
	image, then := second.Log.Rebuild(disk.Cut{At: end, Seed: p.Cut.Seed})
	v, err := b.judge(r, p, append(known[:len(known):len(known)], second.notes...), image)
	if v.Why == "" && res.Outcome == Refused {
		v.Why = "until the power was cut: " + res.Why
	}
	v.did = did + "; then " + then
	return v, err
}

// judge has a worker examine what a cut has left, and holds against it what
// this kind of cut allows.
func (b *bench) judge(r *recording, p point, known []note, image *disk.Image) (v verdict, err error) {
	left := image.Clone()
	b.disk.Load(image)
	o := order{Story: r.Story, Notes: known, Lying: p.Row == forgotten, Deep: p.Deep}
	v.Result, err = b.do(o)
	if err == nil && v.Outcome == NoMount {
		why := v.Why
		b.disk.Load(left.Clone())
		o.Mend = true
		v.Result, err = b.do(o)
		v.noMount, v.mended = why, err == nil && v.Outcome != NoMount
	}
	if v, err = b.settled(v, err); err != nil || v.Outcome == Bad {
		return v, err
	}
	w, err := newWorld(known)
	if err != nil {
		return v, err
	}
	if v.noMount != "" || v.Outcome == Refused {
		lost := w.salvage(left, left.Size())
		v.salvaged = lost == nil
		if lost != nil && p.Row != forgotten {
			v.Result = bad("%s; %s; %v", v.noMount, v.Why, lost)
		}
	}
	mayRefuse := p.Row >= garbage4 && p.Row <= forgotten
	if (v.noMount != "" || v.Outcome == Refused) && !mayRefuse {
		v.Result = bad("%s%s", v.noMount, v.Why)
	}
	return v, nil
}

// settled turns a worker that crashed or hung into a bad result: that is never
// allowed.
func (b *bench) settled(v verdict, err error) (verdict, error) {
	var died *crash
	if errors.As(err, &died) {
		v.Result = bad("%v", err)
		return v, nil
	}
	return v, err
}
