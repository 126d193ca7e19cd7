package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"mohr.internal/appliance/tokenlink"
	"mohr.internal/pkcs11"
)

const (
	writeTime = 5 * time.Second // for the other side to take a frame
	exitTime  = 2 * time.Second // for a worker to end after the exit verb

	readerTime = 30 * time.Second // for a token behind a PC/SC daemon to come up
)

// Attach implements tokenlink.Agent.
func (a *Agent) Attach(ctx context.Context, id string) (func(net.Conn), error) {
	s, err := a.claim(id)
	if err != nil {
		return nil, err
	}
	job, lost, err := a.prepare(ctx, s)
	if err != nil {
		a.release(s)
		a.Log.Error("no PC/SC reader", "id", id, "err", err)
		return nil, fmt.Errorf("%w: %s", tokenlink.ErrWorker, s.module.Model)
	}
	w, err := a.Start(job)
	if err != nil {
		a.release(s)
		a.Log.Error("worker did not start", "id", id, "module", s.module.Path, "err", err)
		return nil, fmt.Errorf("%w: %s", tokenlink.ErrWorker, s.module.Model)
	}
	a.Log.Info("attached", "id", id, "worker", w.PID(), "module", s.module.Path)
	return func(client net.Conn) {
		begin := time.Now()
		r := &relay{client: client, worker: w, gone: s.gone, lost: lost, deadlines: a.Deadlines, stop: make(chan struct{})}
		why := r.run()
		w.Conn().Close() // kills
		client.Close()
		close(r.stop)
		werr := w.Wait()
		if s.reader != nil && !errors.Is(why, errExit) {
			s.reader.Renew() // the killed worker let go of nothing
		}
		a.release(s)
		a.Log.Info("detached", "id", id, "worker", w.PID(), "why", why, "during", r.verb(), "ended", werr,
			"after", time.Since(begin).Round(time.Millisecond), "fault", faultLine(w.StderrTail()))
	}, nil
}

// prepare waits for the device's PC/SC daemon, if it has one.
func (a *Agent) prepare(ctx context.Context, s *slot) (job Job, lost <-chan struct{}, err error) {
	job = Job{Module: s.module, Device: s.usb}
	if s.reader == nil {
		return job, nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, readerTime)
	defer cancel()
	job.PCSC, lost, err = s.reader.Ready(ctx)
	return job, lost, err
}

// relay carries frames for one attached device.
type relay struct {
	client    net.Conn
	worker    *pkcs11.Worker
	gone      <-chan struct{}
	lost      <-chan struct{} // nil: no PC/SC daemon that could end
	deadlines pkcs11.Deadlines
	stop      chan struct{} // closed at the end, for the readers

	waiting bool         // a request is with the worker
	last    pkcs11.Frame // its verb and id
}

func (r *relay) verb() string {
	if !r.waiting {
		return "no request"
	}
	return r.last.Verb.String()
}

// read is one frame read, or why there will be no more.
type read struct {
	f   pkcs11.Frame
	err error
}

// pump reads frames from one side until an error.
func (r *relay) pump(c net.Conn) <-chan read {
	out := make(chan read)
	go func() {
		for {
			f, err := pkcs11.ReadFrame(c)
			select {
			case out <- read{f, err}:
			case <-r.stop:
				f.Wipe()
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return out
}

var (
	errGone   = errors.New("device removed")
	errLost   = errors.New("PC/SC daemon ended")
	errLate   = errors.New("deadline passed")
	errClient = errors.New("client sent a frame out of turn")
	errBabble = errors.New("worker sent what is no reply to the request")
	errExit   = errors.New("exit")
)

// run carries frames until something ends it, and returns what. The caller ends
// both sides.
func (r *relay) run() error {
	requests, replies := r.pump(r.client), r.pump(r.worker.Conn())
	timer := time.NewTimer(0)
	timer.Stop()
	defer timer.Stop()
	exiting := false
	for {
		select {
		case <-r.gone:
			return errGone
		case <-r.lost:
			return errLost
		case <-timer.C:
			return errLate
		case in := <-requests:
			if in.err != nil {
				return fmt.Errorf("client: %w", in.err)
			}
			if r.waiting || exiting || in.f.Reply {
				in.f.Wipe()
				return errClient
			}
			r.waiting, r.last = true, pkcs11.Frame{Verb: in.f.Verb, ID: in.f.ID}
			timer.Reset(r.deadlines.For(in.f.Verb))
			if err := forward(r.worker.Conn(), in.f); err != nil {
				return fmt.Errorf("worker: %w", err)
			}
		case in := <-replies:
			if in.err != nil && exiting {
				return errExit
			}
			if in.err != nil {
				return fmt.Errorf("worker: %w", in.err)
			}
			if !r.waiting || !in.f.Reply || in.f.Verb != r.last.Verb || in.f.ID != r.last.ID {
				in.f.Wipe()
				return errBabble
			}
			r.waiting = false
			timer.Stop()
			if err := forward(r.client, in.f); err != nil {
				return fmt.Errorf("client: %w", err)
			}
			if exiting = in.f.Verb == pkcs11.VerbExit; exiting {
				timer.Reset(exitTime)
			}
		}
	}
}

// forward writes a frame and wipes it, as it may hold a PIN.
func forward(c net.Conn, f pkcs11.Frame) error {
	defer f.Wipe()
	c.SetWriteDeadline(time.Now().Add(writeTime))
	_, err := pkcs11.WriteFrame(c, f)
	return err
}

// faultLine picks the line of a worker's stderr by which Go's runtime tells a
// crash. The rest is a module's own text, which may hold anything, and stays out
// of the log.
func faultLine(stderr []byte) string {
	for line := range bytes.Lines(stderr) {
		for _, prefix := range []string{"SIG", "fatal error: ", "panic: ", "tokend: "} {
			if bytes.HasPrefix(line, []byte(prefix)) {
				return string(bytes.TrimSpace(line[:min(len(line), 160)]))
			}
		}
	}
	return ""
}
