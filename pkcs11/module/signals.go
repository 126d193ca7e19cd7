package module

/*
#include <signal.h>
#include <string.h>
#include <unistd.h>

static void end(int sig) {
	const char *s = sig == SIGSEGV ? "SIGSEGV in the worker\n" : sig == SIGBUS ? "SIGBUS in the worker\n" :
		sig == SIGFPE ? "SIGFPE in the worker\n" : sig == SIGILL ? "SIGILL in the worker\n" : "SIGABRT in the worker\n";
	ssize_t n = write(2, s, strlen(s));
	(void) n;
	_exit(128 + sig);
}

static void end_on_faults(void) {
	int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
	struct sigaction a;
	memset(&a, 0, sizeof a);
	a.sa_handler = end;
	a.sa_flags = SA_ONSTACK;
	sigfillset(&a.sa_mask);
	for (unsigned i = 0; i < sizeof faults / sizeof *faults; i++) sigaction(faults[i], &a, NULL);
}
*/
import "C"

// endOnFaults has a fault in C end the process with one line on stderr. Go's own
// handler would print all registers, whatever GOTRACEBACK says, and a register
// may hold a piece of a PIN; stderr is kept as evidence. The price is that a nil
// dereference in Go is no panic any more, in a process that has one thing to do.
func endOnFaults() { C.end_on_faults() }
