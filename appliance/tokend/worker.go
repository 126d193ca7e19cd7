package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"mohr.internal/appliance/tokend/internal/view"
	"mohr.internal/pkcs11"
	"mohr.internal/pkcs11/module"
)

// worker is the other program in this binary. It must not read the
// configuration, open a socket or do anything else beside the module. With -usb
// NODE it sees that USB device and no other one, with -usb none it sees none.
func worker(args []string) error {
	var nodes []string
	private := len(args) == 3 && args[0] == "-usb"
	if private {
		if args[1] != "none" {
			nodes = args[1:2]
		}
		args = args[2:]
	}
	if len(args) != 1 || !filepath.IsAbs(args[0]) {
		return errors.New("worker: want the absolute path of one module")
	}
	conn, err := pkcs11.Inherit()
	if err != nil {
		return fmt.Errorf("worker: %w; it is started by tokend only", err)
	}
	defer conn.Close()
	if private { // this thread, on which the module runs
		if err := view.Private(); err != nil {
			return fmt.Errorf("worker: %w", err)
		}
		if err := view.Only(view.DevUSB, nodes...); err != nil {
			return fmt.Errorf("worker: %w", err)
		}
	}
	if err := module.Serve(conn, args[0], module.Options{}); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("worker: %w", err)
	}
	return nil
}
