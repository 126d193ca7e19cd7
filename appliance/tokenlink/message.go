package tokenlink

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"mohr.internal/appliance/strictjson"
)

const (
	maxRequest = 4 << 10 // client to server
	maxReply   = 1 << 20 // server to client; a snapshot of maxDevices fits
	maxDevices = 64
	maxText    = 256 // bytes of any text in a message
)

// ErrMessage is wrapped by every error about a malformed message.
var ErrMessage = errors.New("malformed message")

// checker is a message that knows its own bounds.
type checker interface{ check() error }

// readMessage reads one message of at most limit bytes, and no byte more.
func readMessage(r io.Reader, limit uint32, v checker) error {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n == 0 || n > limit {
		return fmt.Errorf("tokenlink: length %d: %w", n, ErrMessage)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	if err := strictjson.Unmarshal(body, v); err != nil {
		return fmt.Errorf("tokenlink: %w: %w", ErrMessage, err)
	}
	if err := v.check(); err != nil {
		return fmt.Errorf("tokenlink: %w: %w", ErrMessage, err)
	}
	return nil
}

// writeMessage writes one message in one Write.
func writeMessage(w io.Writer, v checker) error {
	if err := v.check(); err != nil {
		return fmt.Errorf("tokenlink: %w", err)
	}
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("tokenlink: %w", err)
	}
	if len(body) > maxReply {
		return fmt.Errorf("tokenlink: message of %d bytes", len(body))
	}
	_, err = w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...))
	return err
}

const (
	opWatch  = "watch"
	opAttach = "attach"
	opInsert = "insert"
	opRemove = "remove"
)

// request is the first message of a connection to tokend.
type request struct {
	Op     string `json:"op"`
	Device string `json:"device,omitempty"` // with attach
}

func (r *request) check() error {
	switch {
	case r.Op == opWatch && r.Device == "":
		return nil
	case r.Op == opAttach:
		return checkText("device", r.Device, 1)
	}
	return fmt.Errorf("op %.16q with device %.16q", r.Op, r.Device)
}

// benchRequest is a message on the bench socket.
type benchRequest struct {
	Op  string `json:"op"`
	Key string `json:"key"`
}

func (r *benchRequest) check() error {
	if r.Op != opInsert && r.Op != opRemove {
		return fmt.Errorf("op %.16q", r.Op)
	}
	return checkText("key", r.Key, 1)
}

// reply answers an attach or a bench request.
type reply struct {
	OK    bool   `json:"ok,omitempty"`
	Error string `json:"error,omitempty"`
	Text  string `json:"text,omitempty"`
}

func (r *reply) check() error {
	if r.OK != (r.Error == "") || r.OK && r.Text != "" {
		return fmt.Errorf("reply is neither success nor an error")
	}
	if _, known := codes[r.Error]; !r.OK && !known {
		return fmt.Errorf("error code %.16q", r.Error)
	}
	return checkText("text", r.Text, 0)
}

func checkText(name, s string, min int) error {
	if len(s) < min || len(s) > maxText {
		return fmt.Errorf("%s of %d bytes", name, len(s))
	}
	return nil
}
