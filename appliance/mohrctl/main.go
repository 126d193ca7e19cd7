// Command mohrctl is the command for people: it shows a renewal on a desk, serves
// the desk page, verifies receipts, reads journals and lists tokens.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

const usage = `usage: mohrctl COMMAND [ARGUMENTS]

  demo     carry a citizen through a first renewal and examine the outcome
  run      serve a desk in the browser: a kiosk with tokens and a CA to play with
  verify   verify a receipt
  audit    read a journal and check it
  journal  say how full a journal is; find its records on a lost file system
  queue    list what a kiosk still has to deliver, why, and what to do
  export   write undelivered requests into one sealed file
  deliver  deliver such a file where there is a network
  site     make a station with a CA of its own, to try the appliance
  token    list the tokens this software knows, or what is plugged in

mohrctl COMMAND --help tells more. Exit codes: 0 good, 1 not good, 2 wrong usage.
`

// errUsage ends with exit code 2; what was wrong has been printed.
var errUsage = errors.New("wrong usage")

// commands get their arguments and print to standard output.
var commands = map[string]func(ctx context.Context, args []string) error{
	"demo": demoCommand, "run": runCommand, "verify": verifyCommand, "audit": auditCommand, "token": tokenCommand,
	"queue": queueCommand, "export": exportCommand, "deliver": deliverCommand,
	"journal": journalCommand, "site": siteCommand,
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if len(os.Args) < 2 || os.Args[1] == "-h" || os.Args[1] == "--help" || os.Args[1] == "help" {
		fmt.Print(usage)
		if len(os.Args) < 2 {
			os.Exit(2)
		}
		return
	}
	command, ok := commands[os.Args[1]]
	if !ok {
		fmt.Fprintf(os.Stderr, "mohrctl: no command %q\n\n%s", os.Args[1], usage)
		os.Exit(2)
	}
	switch err := command(ctx, os.Args[2:]); {
	case errors.Is(err, errUsage):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "mohrctl:", err)
		os.Exit(1)
	}
}
