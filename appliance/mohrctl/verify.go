package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"mohr.internal/kiosk/receipt"
)

const verifyHelp = `usage: mohrctl verify -trust FILE [-lang fa] [RECEIPT]

Verifies a receipt: the text of its QR code, which begins with KR1:. Without
RECEIPT it is read from standard input. FILE is the list of kiosk keys that are
believed. Nothing is sent anywhere.

  zbarimg -q --raw receipt.png | mohrctl verify -trust receipt-keys.json

`

// maxReceipt bounds the text of a receipt; a real one has about 260 characters.
const maxReceipt = 4096

func verifyCommand(_ context.Context, args []string) error {
	f := flags("verify", verifyHelp)
	trust := f.String("trust", "", "list of receipt keys (JSON)")
	lang := f.String("lang", "en", "language of the answer: en or fa")
	if done, err := parse(f, args, 1); done || err != nil {
		return err
	}
	if *trust == "" {
		f.Usage()
		return errUsage
	}
	text := f.Arg(0)
	if text == "" {
		b, err := io.ReadAll(io.LimitReader(os.Stdin, maxReceipt+1))
		if err != nil {
			return err
		}
		text = string(b)
	}
	given, by, _, err := verifyReceipt(*trust, text)
	if err != nil {
		return err
	}
	fmt.Print(reportText(given.Report(by), *lang))
	return nil
}

// verifyReceipt holds the text of a receipt against a file of keys, and gives the
// text back without the line's end.
func verifyReceipt(trustFile, text string) (given receipt.Receipt, by receipt.Key, trimmed string, err error) {
	fail := func(err error) (receipt.Receipt, receipt.Key, string, error) {
		return receipt.Receipt{}, receipt.Key{}, "", err
	}
	b, err := os.ReadFile(trustFile)
	if err != nil {
		return fail(err)
	}
	list, err := receipt.ParseTrustList(b)
	if err != nil {
		return fail(err)
	}
	text = strings.TrimRight(text, "\r\n")
	if len(text) > maxReceipt {
		return fail(fmt.Errorf("receipt of over %d characters", maxReceipt))
	}
	given, by, err = list.Verify(text)
	if err != nil {
		var refusal *receipt.Refusal
		if errors.As(err, &refusal) {
			err = fmt.Errorf("NOT A VALID RECEIPT: %w", err)
		}
		return fail(err)
	}
	return given, by, text, nil
}

func reportText(r receipt.Report, lang string) string {
	var b strings.Builder
	for _, l := range r.Lines(lang) {
		if l.Value != "" {
			fmt.Fprintf(&b, "%s: %s\n", l.Label, l.Value)
		}
	}
	return b.String()
}
