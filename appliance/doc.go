// Package appliance is the map of the programs that make up the station, and
// holds the test that keeps them apart.
//
//	token ─USB─▶ tokend ══socket══▶ kioskd ══socket══▶ syncd ─HTTP─▶ CA
//	              └ worker            │  ▲
//	                └ vendor .so      ▼  └ keypad, touch
//	                                journal, panel
//
// Programs:
//
//	kioskd     ceremony, screens, journal; static, no network socket, no cgo
//	tokend     USB and one worker process per token; the only vendor code
//	syncd      the only network sockets; keeps nothing
//	mohrctl    for people: demo, run, verify, audit, token
//
// Libraries of the programs:
//
//	journal      two-copy, hash-chained record log
//	config       one strict file per program
//	program      flags, log file, waiting and memory figures, the same for all
//	strictjson   JSON without surprises
//	tokenlink    both ends of tokend's socket
//	outboxlink   both ends of kioskd's socket for syncd
//	courier      CMP over HTTP with retries
//	fleet        the centre's log and certificates for any kiosk (NATS JetStream)
//	fleetlog     journal records as the centre sees them
//	fleetlink    both ends of kioskd's socket for the fleet
//	carrier      what syncd does: courier and fleet, joined to kioskd's sockets
//	desk         a station on a desk: demo and run
package appliance
