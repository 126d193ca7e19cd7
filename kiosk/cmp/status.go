package cmp

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// Status is a PKIStatus (RFC 9810, 5.2.3).
type Status int

const (
	StatusAccepted        Status = 0
	StatusGrantedWithMods Status = 1
	StatusRejection       Status = 2
	StatusWaiting         Status = 3
)

func (s Status) String() string {
	if names := []string{"accepted", "grantedWithMods", "rejection", "waiting"}; s >= 0 && int(s) < len(names) {
		return names[s]
	}
	return fmt.Sprintf("status %d", int(s))
}

// FailInfo is a PKIFailureInfo: bit n of the mask is bit n of the BIT STRING
// (RFC 9810, 5.2.3).
type FailInfo uint32

const (
	FailBadAlg              FailInfo = 1 << 0
	FailBadMessageCheck     FailInfo = 1 << 1
	FailBadRequest          FailInfo = 1 << 2
	FailBadTime             FailInfo = 1 << 3
	FailBadCertID           FailInfo = 1 << 4
	FailBadDataFormat       FailInfo = 1 << 5
	FailWrongAuthority      FailInfo = 1 << 6
	FailIncorrectData       FailInfo = 1 << 7
	FailMissingTimeStamp    FailInfo = 1 << 8
	FailBadPOP              FailInfo = 1 << 9
	FailCertRevoked         FailInfo = 1 << 10
	FailCertConfirmed       FailInfo = 1 << 11
	FailWrongIntegrity      FailInfo = 1 << 12
	FailBadRecipientNonce   FailInfo = 1 << 13
	FailTimeNotAvailable    FailInfo = 1 << 14
	FailUnacceptedPolicy    FailInfo = 1 << 15
	FailUnacceptedExtension FailInfo = 1 << 16
	FailAddInfoNotAvailable FailInfo = 1 << 17
	FailBadSenderNonce      FailInfo = 1 << 18
	FailBadCertTemplate     FailInfo = 1 << 19
	FailSignerNotTrusted    FailInfo = 1 << 20
	FailTransactionIDInUse  FailInfo = 1 << 21
	FailUnsupportedVersion  FailInfo = 1 << 22
	FailNotAuthorized       FailInfo = 1 << 23
	FailSystemUnavail       FailInfo = 1 << 24
	FailSystemFailure       FailInfo = 1 << 25
	FailDuplicateCertReq    FailInfo = 1 << 26
)

var failNames = [...]string{"badAlg", "badMessageCheck", "badRequest", "badTime", "badCertId", "badDataFormat", "wrongAuthority",
	"incorrectData", "missingTimeStamp", "badPOP", "certRevoked", "certConfirmed", "wrongIntegrity", "badRecipientNonce",
	"timeNotAvailable", "unacceptedPolicy", "unacceptedExtension", "addInfoNotAvailable", "badSenderNonce", "badCertTemplate",
	"signerNotTrusted", "transactionIdInUse", "unsupportedVersion", "notAuthorized", "systemUnavail", "systemFailure",
	"duplicateCertReq"}

func (f FailInfo) String() string {
	var names []string
	for n, name := range failNames {
		if f&(1<<n) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ",")
}

// PKIStatusInfo ::= SEQUENCE { -- RFC 9810, 5.2.3
//
//	status        INTEGER,
//	statusString  PKIFreeText OPTIONAL,
//	failInfo      BIT STRING OPTIONAL }
type StatusInfo struct {
	Status   Status
	Text     []string
	FailInfo FailInfo // 0: absent
}

func (i StatusInfo) String() string {
	s := i.Status.String()
	if i.FailInfo != 0 {
		s += " " + i.FailInfo.String()
	}
	for _, t := range i.Text {
		s += fmt.Sprintf(" %q", t)
	}
	return s
}

func (i StatusInfo) marshal(b *cryptobyte.Builder) {
	addSequence(b, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(int64(i.Status))
		if i.Text != nil {
			freeText(i.Text).marshal(b)
		}
		if i.FailInfo != 0 {
			b.AddASN1(asn1.BIT_STRING, func(b *cryptobyte.Builder) { b.AddBytes(namedBits(uint32(i.FailInfo))) })
		}
	})
}

// namedBits is the content of a BIT STRING with named bits: trailing zeros go
// (X.690, 11.2.2).
func namedBits(mask uint32) []byte {
	out := []byte{0}
	last := 0
	for n := range 32 {
		if mask&(1<<n) == 0 {
			continue
		}
		for len(out) < n/8+2 {
			out = append(out, 0)
		}
		out[n/8+1] |= 0x80 >> (n % 8)
		last = n
	}
	out[0] = byte(7 - last%8)
	return out
}

func readStatusInfo(s *cryptobyte.String) (i StatusInfo, err error) {
	var seq, bits cryptobyte.String
	var status int64
	if !s.ReadASN1(&seq, asn1.SEQUENCE) || !seq.ReadASN1Integer(&status) || status < 0 || status > 255 {
		return i, errors.New("malformed status")
	}
	i.Status = Status(status)
	if seq.PeekASN1Tag(asn1.SEQUENCE) {
		t, ok := readFreeText(&seq)
		if !ok {
			return i, errors.New("malformed statusString")
		}
		i.Text = t
	}
	if !seq.Empty() {
		if !seq.ReadASN1(&bits, asn1.BIT_STRING) || !seq.Empty() || len(bits) < 2 || len(bits) > 5 {
			return i, errors.New("malformed failInfo")
		}
		for n := range (len(bits) - 1) * 8 {
			if bits[n/8+1]&(0x80>>(n%8)) != 0 {
				i.FailInfo |= 1 << n
			}
		}
		if i.FailInfo == 0 {
			return i, errors.New("empty failInfo")
		}
	}
	return i, nil
}
