package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"mohr.internal/pkcs11"
	"mohr.internal/pkcs11/module"
)

// worker is the other program in this binary. It must not read the
// configuration, open a socket or do anything else beside the module.
func worker(args []string) error {
	if len(args) != 1 || !filepath.IsAbs(args[0]) {
		return errors.New("worker: want the absolute path of one module")
	}
	conn, err := pkcs11.Inherit()
	if err != nil {
		return fmt.Errorf("worker: %w; it is started by tokend only", err)
	}
	defer conn.Close()
	if err := module.Serve(conn, args[0], module.Options{}); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("worker: %w", err)
	}
	return nil
}
