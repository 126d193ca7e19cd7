package main

import (
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"slices"
	"testing"
)

// guest answers as a kernel would on which TCP port 22 and UDP port 68 are open and
// nobody answers on UDP port 68.
func guest(t *testing.T, conn net.Conn) {
	mac := [6]byte{0x52, 0x54, 0, 0x12, 0x34, 0x56}
	send := func(f []byte) { conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(f))), f...)) }
	ip := func(proto byte, to []byte, body []byte) []byte {
		f := append(append(append([]byte{}, ourMAC[:]...), mac[:]...), 8, 0)
		h := make([]byte, 20)
		h[0], h[9] = 0x45, proto
		binary.BigEndian.PutUint16(h[2:], uint16(20+len(body)))
		copy(h[12:], guestIP.AsSlice())
		copy(h[16:], to)
		return append(append(f, h...), body...)
	}
	var head [4]byte
	for {
		if _, err := io.ReadFull(conn, head[:]); err != nil {
			return
		}
		f := make([]byte, binary.BigEndian.Uint32(head[:]))
		if _, err := io.ReadFull(conn, f); err != nil {
			return
		}
		if f[12] == 8 && f[13] == 6 {
			a := append(append([]byte{}, ourMAC[:]...), mac[:]...)
			a = append(a, 8, 6, 0, 1, 8, 0, 6, 4, 0, 2)
			a = append(append(append(append(a, mac[:]...), guestIP.AsSlice()...), ourMAC[:]...), f[28:32]...)
			send(a)
			continue
		}
		p := f[14:]
		if checksum(p[:20]) != 0 {
			t.Error("header with a wrong checksum")
		}
		pseudo := append(append([]byte{}, p[12:20]...), 0, p[9], 0, byte(len(p)-20))
		if checksum(append(pseudo, p[20:]...)) != 0 {
			t.Errorf("protocol %d: wrong checksum", p[9])
		}
		port := binary.BigEndian.Uint16(p[22:])
		switch {
		case p[9] == protoTCP:
			body := make([]byte, 20)
			binary.BigEndian.PutUint16(body, port)
			body[13] = flagRST | flagACK
			if port == 22 {
				body[13] = flagSYN | flagACK
			}
			send(ip(protoTCP, p[12:16], body))
		case port != 68:
			send(ip(protoICMP, p[12:16], append([]byte{3, 3, 0, 0, 0, 0, 0, 0}, p[:28]...)))
		}
	}
}

func TestScan(t *testing.T) {
	ours, theirs := net.Pipe()
	defer ours.Close()
	defer theirs.Close()
	go guest(t, theirs)
	n := NewNeighbour(ours)
	open, silent, err := n.Scan(protoTCP, []uint16{1, 22, 80, 65535}, patience)
	if err != nil || !slices.Equal(open, []uint16{22}) || len(silent) > 0 {
		t.Errorf("TCP: open %v, silent %v, %v", open, silent, err)
	}
	open, silent, err = n.Scan(protoUDP, []uint16{53, 68, 123}, 1)
	if err != nil || len(open) > 0 || !slices.Contains(silent, 68) {
		t.Errorf("UDP: open %v, silent %v, %v", open, silent, err)
	}
}

func FuzzFrame(f *testing.F) {
	n := &Neighbour{tcpOpen: map[uint16]bool{}, tcpShut: map[uint16]bool{}, udpOpen: map[uint16]bool{}, udpShut: map[uint16]bool{}}
	f.Add(n.probe(protoTCP, guestIP, 80))
	f.Add(n.probe(protoUDP, guestIP, 80))
	f.Add(arp(1, broadcast, guestIP, address(0)))
	icmp := append([]byte{3, 3, 0, 0, 0, 0, 0, 0}, n.probe(protoUDP, address(0), 9)[14:]...)
	h := n.probe(protoTCP, guestIP, 1)[:34]
	binary.BigEndian.PutUint16(h[16:], uint16(20+len(icmp)))
	h[23] = protoICMP
	copy(h[30:34], address(0).AsSlice())
	f.Add(append(h, icmp...))
	f.Fuzz(func(t *testing.T, frame []byte) { n.take(frame) })
}

func TestAddress(t *testing.T) {
	seen := map[netip.Addr]bool{}
	for i := range 1000 {
		a := address(i)
		if !ours(a) {
			t.Fatalf("%v is not ours", a)
		}
		seen[a] = true
	}
	if len(seen) != lastHost-firstHost+1 || ours(guestIP) {
		t.Errorf("%d addresses", len(seen))
	}
}
