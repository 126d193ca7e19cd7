// Package agent is what tokend does: it turns USB events into devices with a
// role and a verdict, starts one worker for each attached device, and carries
// the frames of package pkcs11 between the two.
//
// The agent looks at a frame's verb and request id only. One request, one reply,
// a deadline per verb; anything else on either side, a removal of the device and
// the end of the connection kill the worker. It is always reaped, and an inserted
// device can be attached again only after that.
//
// Bench makes USB events from a desk's keys. They go through the same door as
// those of the real watcher: from there on nothing knows the difference but the
// table of ports, which for a desk's port has the module in it.
//
// A device that needs the PC/SC daemon gets one of its own at the insertion; an
// attach waits for its reader, and the end of that daemon ends the worker.
//
// Where devices are admitted at the bus, each is judged anew at every insertion:
// a token in a port for tokens, with all its interfaces as the catalogue knows
// them; a keypad and a hub in their own ports. The rest stays off.
//
// Not done here: a sandbox round the worker.
package agent
