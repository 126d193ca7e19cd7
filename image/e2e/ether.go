package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Neighbour is a machine on the guest's own network, made of raw frames on a stream
// socket of QEMU: each is its length, 32 bits, big-endian, and the frame. It has
// many addresses, because a kernel tells each address only so often per second that
// a port is closed (icmp_ratelimit in ip(7)).
//
// ARP is RFC 826, IPv4 RFC 791, TCP RFC 9293, UDP RFC 768, ICMP RFC 792.
type Neighbour struct {
	conn    net.Conn
	writing sync.Mutex

	mu      sync.Mutex
	guest   [6]byte // of the card that answered, when known
	tcpOpen map[uint16]bool
	tcpShut map[uint16]bool
	udpOpen map[uint16]bool
	udpShut map[uint16]bool
}

const (
	maxFrame   = 64 << 10
	typeARP    = 0x0806
	typeIPv4   = 0x0800
	protoICMP  = 1
	protoTCP   = 6
	protoUDP   = 17
	ourPort    = 40000
	firstHost  = 100 // our addresses are 10.0.2.100 to 10.0.2.250
	lastHost   = 250
	flagSYN    = 0x02
	flagRST    = 0x04
	flagACK    = 0x10
	headerIPv4 = 20
)

var (
	ourMAC    = [6]byte{0x52, 0x54, 0, 0, 0x0e, 0x2e}
	broadcast = [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	// guestIP is what QEMU's DHCP server gives to the first guest that asks.
	guestIP = netip.MustParseAddr("10.0.2.15")
)

// NewNeighbour speaks on a connection that QEMU made.
func NewNeighbour(conn net.Conn) *Neighbour {
	n := &Neighbour{conn: conn, tcpOpen: map[uint16]bool{}, tcpShut: map[uint16]bool{}, udpOpen: map[uint16]bool{}, udpShut: map[uint16]bool{}}
	go n.read()
	return n
}

func (n *Neighbour) read() {
	var head [4]byte
	for {
		if _, err := io.ReadFull(n.conn, head[:]); err != nil {
			return
		}
		size := binary.BigEndian.Uint32(head[:])
		if size > maxFrame {
			n.conn.Close()
			return
		}
		frame := make([]byte, size)
		if _, err := io.ReadFull(n.conn, frame); err != nil {
			return
		}
		if reply := n.take(frame); reply != nil {
			n.send(reply)
		}
	}
}

func (n *Neighbour) send(frame []byte) error {
	n.writing.Lock()
	defer n.writing.Unlock()
	_, err := n.conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(frame))), frame...))
	return err
}

func ours(ip netip.Addr) bool {
	b := ip.As4()
	return b[0] == 10 && b[1] == 0 && b[2] == 2 && b[3] >= firstHost && b[3] <= lastHost
}

// take notes what a frame says and returns the answer to it, if it wants one.
func (n *Neighbour) take(f []byte) (reply []byte) {
	if len(f) < 14 {
		return nil
	}
	n.mu.Lock()
	stranger := n.guest != [6]byte{} && n.guest != [6]byte(f[6:12]) // QEMU's own network, which answers for anybody
	n.mu.Unlock()
	if stranger {
		return nil
	}
	switch binary.BigEndian.Uint16(f[12:]) {
	case typeARP:
		return n.takeARP(f[14:])
	case typeIPv4:
		return n.takeIPv4(f[14:])
	}
	return nil
}

func (n *Neighbour) takeARP(a []byte) []byte {
	if len(a) < 28 {
		return nil
	}
	sender, wanted := netip.AddrFrom4([4]byte(a[14:18])), netip.AddrFrom4([4]byte(a[24:28]))
	if sender == guestIP {
		n.mu.Lock()
		n.guest = [6]byte(a[8:14])
		n.mu.Unlock()
	}
	if binary.BigEndian.Uint16(a[6:]) != 1 || !ours(wanted) {
		return nil
	}
	return arp(2, [6]byte(a[8:14]), wanted, sender)
}

func arp(operation uint16, to [6]byte, from, about netip.Addr) []byte {
	f := append(append([]byte{}, to[:]...), ourMAC[:]...)
	f = append(f, 0x08, 0x06, 0, 1, 0x08, 0, 6, 4, byte(operation>>8), byte(operation))
	f = append(append(f, ourMAC[:]...), from.AsSlice()...)
	return append(append(f, to[:]...), about.AsSlice()...)
}

func (n *Neighbour) takeIPv4(p []byte) []byte {
	if len(p) < headerIPv4 || p[0]>>4 != 4 {
		return nil
	}
	head := int(p[0]&15) * 4
	total := int(binary.BigEndian.Uint16(p[2:]))
	if head < headerIPv4 || total < head || total > len(p) {
		return nil
	}
	from, to := netip.AddrFrom4([4]byte(p[12:16])), netip.AddrFrom4([4]byte(p[16:20]))
	if from != guestIP || !ours(to) {
		return nil
	}
	body := p[head:total]
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case p[9] == protoTCP && len(body) >= 20:
		port, flags := binary.BigEndian.Uint16(body), body[13]
		if flags&flagRST != 0 {
			n.tcpShut[port] = true
		} else if flags&flagSYN != 0 {
			n.tcpOpen[port] = true
		}
	case p[9] == protoUDP && len(body) >= 8:
		n.udpOpen[binary.BigEndian.Uint16(body)] = true
	case p[9] == protoICMP && len(body) >= 8+headerIPv4+8 && body[0] == 3 && body[1] == 3: // port unreachable
		quoted := body[8:]
		if q := int(quoted[0]&15) * 4; q >= headerIPv4 && len(quoted) >= q+8 && quoted[9] == protoUDP {
			n.udpShut[binary.BigEndian.Uint16(quoted[q+2:])] = true
		}
	}
	return nil
}

// meet finds the guest's card.
func (n *Neighbour) meet(limit time.Duration) error {
	for end := time.Now().Add(limit); ; {
		n.mu.Lock()
		known := n.guest != [6]byte{}
		n.mu.Unlock()
		if known {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%v does not answer on its network within %v", guestIP, limit)
		}
		if err := n.send(arp(1, broadcast, address(0), guestIP)); err != nil {
			return err
		}
		time.Sleep(200 * time.Millisecond)
	}
}

func address(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, 0, 2, byte(firstHost + i%(lastHost-firstHost+1))})
}

// probe makes one frame to a port of the guest: a SYN, or a datagram.
func (n *Neighbour) probe(proto byte, from netip.Addr, port uint16) []byte {
	var body []byte
	switch proto {
	case protoTCP:
		body = make([]byte, 20)
		binary.BigEndian.PutUint32(body[4:], uint32(port)<<8|1) // sequence number
		body[12], body[13] = 5<<4, flagSYN
		binary.BigEndian.PutUint16(body[14:], 1024)
	case protoUDP:
		body = append(make([]byte, 8), "is anybody there?"...)
		binary.BigEndian.PutUint16(body[4:], uint16(len(body)))
	}
	binary.BigEndian.PutUint16(body, ourPort)
	binary.BigEndian.PutUint16(body[2:], port)
	at := map[byte]int{protoTCP: 16, protoUDP: 6}[proto]
	pseudo := append(append(append([]byte{}, from.AsSlice()...), guestIP.AsSlice()...), 0, proto, byte(len(body)>>8), byte(len(body)))
	binary.BigEndian.PutUint16(body[at:], checksum(append(pseudo, body...)))

	head := make([]byte, headerIPv4)
	head[0], head[8], head[9] = 0x45, 64, proto
	binary.BigEndian.PutUint16(head[2:], uint16(headerIPv4+len(body)))
	copy(head[12:], from.AsSlice())
	copy(head[16:], guestIP.AsSlice())
	binary.BigEndian.PutUint16(head[10:], checksum(head))

	n.mu.Lock()
	f := append(append([]byte{}, n.guest[:]...), ourMAC[:]...)
	n.mu.Unlock()
	return append(append(append(f, 0x08, 0x00), head...), body...)
}

// checksum is that of RFC 1071.
func checksum(b []byte) uint16 {
	var sum uint32
	for ; len(b) > 1; b = b[2:] {
		sum += uint32(b[0])<<8 | uint32(b[1])
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

// Scan asks ports of one protocol until each has said something, or limit is over.
// It returns those that answered as open and those that said nothing.
func (n *Neighbour) Scan(proto byte, ports []uint16, limit time.Duration) (open, silent []uint16, err error) {
	if err := n.meet(limit); err != nil {
		return nil, nil, err
	}
	said, shut := n.tcpOpen, n.tcpShut
	if proto == protoUDP {
		said, shut = n.udpOpen, n.udpShut
	}
	for end, round := time.Now().Add(limit), 0; ; round++ {
		open, silent = nil, nil
		n.mu.Lock()
		for _, p := range ports {
			switch {
			case said[p]:
				open = append(open, p)
			case !shut[p]:
				silent = append(silent, p)
			}
		}
		n.mu.Unlock()
		if len(silent) == 0 || time.Now().After(end) {
			return open, silent, nil
		}
		for i, p := range silent {
			if err := n.send(n.probe(proto, address(i+round), p)); err != nil {
				return nil, nil, err
			}
			if i%burst == burst-1 {
				time.Sleep(pause)
			}
		}
		time.Sleep(time.Second)
	}
}

// So many frames are sent in a row: more than that the guest's card would drop.
const (
	burst = 64
	pause = 10 * time.Millisecond
)

// Close ends the neighbour.
func (n *Neighbour) Close() error { return n.conn.Close() }

// listenEther waits for QEMU's network at a socket.
func listenEther(path string) (func() (*Neighbour, error), error) {
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	got := make(chan net.Conn, 1)
	go func() {
		if conn, err := l.Accept(); err == nil {
			got <- conn
		}
		l.Close()
	}()
	return func() (*Neighbour, error) {
		select {
		case conn := <-got:
			return NewNeighbour(conn), nil
		case <-time.After(qmpLimit):
			return nil, errors.New("QEMU does not connect to the network's socket")
		}
	}, nil
}
