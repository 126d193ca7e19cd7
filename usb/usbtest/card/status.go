package card

import "fmt"

// Status is the two bytes SW1-SW2 that end an answer (ISO/IEC 7816-4, 5.1.3).
type Status uint16

const (
	OK               Status = 0x9000
	MoreData         Status = 0x6100 // SW2: how much, 00 for 256 and more
	WrongPIN         Status = 0x63c0 // SW2 low nibble: tries left
	WrongLength      Status = 0x6700
	ChainExpected    Status = 0x6883
	WrongFileKind    Status = 0x6981
	NotAllowed       Status = 0x6982
	Blocked          Status = 0x6983
	NotNow           Status = 0x6985
	NoSuchElement    Status = 0x6986 // command not allowed: no EF of that kind
	WrongData        Status = 0x6a80
	NotSupported     Status = 0x6a81
	FileNotFound     Status = 0x6a82
	Full             Status = 0x6a84
	WrongParameters  Status = 0x6a86
	DataNotFound     Status = 0x6a88
	AlreadyThere     Status = 0x6a89
	WrongOffset      Status = 0x6b00
	UnknownCommand   Status = 0x6d00
	ClassUnsupported Status = 0x6e00
	NoDiagnosis      Status = 0x6f00
)

func (s Status) String() string { return fmt.Sprintf("%04X", uint16(s)) }

// answer is data and status as they go over the line.
func (s Status) answer(data []byte) []byte {
	return append(data[:len(data):len(data)], byte(s>>8), byte(s))
}
