// Package tokenlink is both ends of tokend's socket: Server in tokend, Client in
// kioskd; and of the bench socket of a desk: BenchServer in tokend, Bench in
// the program that shows the desk.
//
// # Protocol
//
// A message is a 4-byte big-endian length and that many bytes of strict JSON
// (one object; unknown and repeated keys are errors). The first message of a
// connection says what it is for and the connection serves nothing else:
//
//   - {"op":"watch"}: the server sends events, first a snapshot of all devices,
//     then insertions and removals, until one side closes.
//   - {"op":"attach","device":ID}: the server answers {"ok":true}, and from then
//     on the connection carries the frames of package pkcs11 between the client
//     and the worker of that device; or it answers {"error":CODE,"text":…} and
//     closes. One attach is one worker and one token session. The worker is
//     killed when the connection closes, the connection is closed when the
//     worker ends or the device is removed.
//
// A device id is good for one insertion and one life of tokend: a device that is
// pulled and put back has another, and so has every device after a restart.
//
// On the bench socket every message is {"op":"insert"|"remove","key":KEY} and is
// answered by {"ok":true} or an error once the event is on its way to all
// watchers. Keys are those of tokend's configuration; nothing else, and no path,
// comes from that socket.
//
// Who may connect is decided by the rights of the socket file (mode 0600).
package tokenlink
