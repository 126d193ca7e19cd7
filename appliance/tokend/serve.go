package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"mohr.internal/appliance/config"
	"mohr.internal/appliance/program"
	"mohr.internal/appliance/signed"
	"mohr.internal/appliance/tokend/internal/agent"
	"mohr.internal/appliance/tokend/internal/pcsc"
	"mohr.internal/appliance/tokend/internal/view"
	"mohr.internal/appliance/tokenlink"
	"mohr.internal/pkcs11"
	"mohr.internal/usb"
)

// serve joins the parts and runs them until a signal, or until one fails.
func serve(f *program.Flags, log *slog.Logger) error {
	builtIn, err := usb.BuiltIn()
	if err != nil {
		return err
	}
	var catalogue *usb.Catalogue
	var ignored error
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	c, err := program.Load(ctx, f, func(path string) (c *config.Tokend, err error) {
		c, catalogue, ignored, err = load(path, builtIn)
		return c, err
	}, log)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return err
	}
	if ignored != nil {
		log.Warn("catalogue file ignored", "file", c.Catalogue.File, "err", ignored)
	}
	log.Info("catalogue", "version", catalogue.Version(), "built in", catalogue == builtIn)
	go program.LogMemoryEvery(ctx, log, time.Minute)

	var listeners []net.Listener
	listen := func(path string) (net.Listener, error) {
		l, err := tokenlink.Listen(path)
		if err == nil {
			listeners = append(listeners, l)
		}
		return l, err
	}
	defer func() {
		for _, l := range listeners {
			l.Close()
		}
	}()
	front, err := listen(c.Socket)
	if err != nil {
		return err
	}
	work := c.Socket + ".work" // ours, as we hold the socket
	start, clean, err := starter(work, c.USB.Admit)
	if err != nil {
		return err
	}
	defer clean()
	life := make([]byte, 4)
	rand.Read(life) // does not fail
	o := agent.Options{Policy: agent.NewPolicy(c, catalogue), Start: start, Life: hex.EncodeToString(life), Log: log}
	if c.USB.Enabled && c.USB.Admit {
		gate := usb.NewGate(c.USB.Sysfs, nil)
		if err := gate.Close(); err != nil {
			return err
		}
		o.Apply = gate.Apply
	}
	if c.PCSCD != "" {
		daemons := pcsc.New(pcsc.Options{Program: c.PCSCD, Dir: work, Log: log})
		defer daemons.Wait()
		o.Reader = func(d usb.Device) agent.Reader { return daemons.Start(d) }
	}
	a := agent.New(o)
	defer a.Close()
	parts := []func(context.Context) error{
		func(ctx context.Context) error { return tokenlink.Serve(ctx, front, a, log) },
	}
	if c.Desk != nil {
		l, err := listen(c.Desk.Socket)
		if err != nil {
			return err
		}
		bench := agent.NewBench(c.Desk, a.Handle)
		parts = append(parts, func(ctx context.Context) error { return tokenlink.ServeBench(ctx, l, bench, log) })
	}
	if c.USB.Enabled {
		w := usb.NewWatcher(usb.Options{Sysfs: c.USB.Sysfs, Rescan: c.USB.Rescan.Std(), Hubs: c.USB.Admit, Uevents: usb.KernelUevents, Log: log})
		parts = append(parts, func(ctx context.Context) error {
			events, err := w.Watch(ctx)
			if err == nil {
				a.Follow(events)
			}
			return err
		})
	}
	log.Info("tokend starts", "socket", c.Socket, "usb", c.USB.Enabled, "desk", c.Desk != nil)
	err = together(ctx, parts)
	log.Info("tokend ends", "err", err)
	return err
}

// load reads the configuration and holds it against the catalogue: the newer of the
// one that is built in and the signed file. ignored says why that file is not used.
func load(file string, builtIn *usb.Catalogue) (c *config.Tokend, catalogue *usb.Catalogue, ignored, err error) {
	if c, err = config.LoadTokend(file); err != nil {
		return nil, nil, nil, err
	}
	catalogue = builtIn
	if f := c.Catalogue; f != nil {
		b, err := signed.Read(f.File, f.Signature, f.PublisherKey, usb.MaxCatalogue)
		if err == nil {
			var newer *usb.Catalogue
			if newer, err = builtIn.Newer(b); err == nil {
				catalogue = newer
			}
		}
		ignored = err
	}
	for i, r := range c.USB.Readers {
		if catalogue.Cards(r.Cards) == nil {
			return nil, nil, nil, fmt.Errorf("%s: %w", file, &config.KeyError{
				Key: fmt.Sprintf("usb.readers[%d].cards", i), Problem: fmt.Sprintf("the catalogue has no card %q", r.Cards)})
		}
	}
	return c, catalogue, ignored, nil
}

// together runs all parts until ctx ends or one of them fails, which ends the
// others.
func together(ctx context.Context, parts []func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, len(parts))
	var wg sync.WaitGroup
	for i, part := range parts {
		wg.Go(func() {
			defer cancel()
			errs[i] = part(ctx)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// starter returns what starts workers: this very program, in a temporary folder
// of the worker's own below dir, as some modules leave files and pipes there.
// What a killed tokend left in dir is removed first, the rest by clean. A private
// worker sees the USB device it is for, or none if it has a PC/SC daemon for that.
func starter(dir string, private bool) (start func(agent.Job) (*pkcs11.Worker, error), clean func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	if err := os.RemoveAll(dir); err != nil {
		return nil, nil, fmt.Errorf("temporary folder: %w", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, nil, fmt.Errorf("temporary folder: %w", err)
	}
	start = func(m agent.Job) (*pkcs11.Worker, error) {
		own, err := os.MkdirTemp(dir, "worker-")
		if err != nil {
			return nil, err
		}
		// In the environment of exec the last of two values counts.
		env := append([]string{"TMPDIR=" + own, "HOME=" + own}, m.Env...)
		if m.PCSC != "" {
			env = append(env, "PCSCLITE_CSOCK_NAME="+m.PCSC) // of libpcsclite
		}
		args := []string{"worker"}
		switch {
		case private && m.PCSC != "":
			args = append(args, "-usb", "none")
		case private && m.Device.Bus > 0: // a desk's bench has no bus
			args = append(args, "-usb", view.Node(m.Device.Bus, m.Device.Address))
		}
		w, err := pkcs11.StartWorker(pkcs11.WorkerCommand{Path: self, Args: args, ModulePath: m.Path, Env: env, Dir: own})
		if err != nil {
			os.RemoveAll(own)
			return nil, err
		}
		go func() {
			w.Wait()
			os.RemoveAll(own)
		}()
		return w, nil
	}
	return start, func() { os.RemoveAll(dir) }, nil
}
