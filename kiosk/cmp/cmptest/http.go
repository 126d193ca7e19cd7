package cmptest

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"time"

	"mohr.internal/kiosk/cmp"
)

// ContentType is that of a PKIMessage in DER (RFC 9811, 3.3).
const ContentType = "application/pkixcmp"

const hugeAnswer = 10 << 20

const portalPage = `<!DOCTYPE html>
<html><head><title>Sign in to the network</title></head>
<body><h1>Please sign in</h1><form method="post"><input name="user"><button>Go on</button></form></body></html>
`

// ServeHTTP takes one PKIMessage by POST at any path (RFC 9811, 3). An answer
// in CMP has status 200 even when it is an error, as OpenSSL expects.
func (ca *CA) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "only POST", http.StatusMethodNotAllowed)
		return
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != ContentType {
		http.Error(w, "only "+ContentType, http.StatusUnsupportedMediaType)
		return
	}
	der, err := io.ReadAll(http.MaxBytesReader(w, r.Body, cmp.MaxMessage))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		http.Error(w, "message too large", http.StatusRequestEntityTooLarge)
		return
	} else if err != nil {
		http.Error(w, "message cut off", http.StatusBadRequest)
		return
	}
	b := ca.next()
	if b.Kind.atTheDoor() {
		ca.opts.Log.Info("message not looked at", "behaviour", b)
		ca.turnAway(w, r, b, der)
		return
	}
	answer, err := ca.answer(der, b)
	if err != nil {
		ca.opts.Log.Error("no answer could be made", "err", err)
		http.Error(w, "internal server error", http.StatusInternalServerError)
		return
	}
	switch b.Kind {
	case Truncated:
		answer = answer[:len(answer)*2/3]
	case DropAfterIssue:
		panic(http.ErrAbortHandler)
	}
	write(w, ContentType, answer)
}

// turnAway is how the CA misbehaves without having read the message.
func (ca *CA) turnAway(w http.ResponseWriter, r *http.Request, b Behaviour, der []byte) {
	switch b.Kind {
	case Garbage:
		garbage := make([]byte, 1500)
		for i := range garbage {
			garbage[i] = byte(i*i>>3) ^ byte(i*151)
		}
		write(w, ContentType, garbage)
	case Silence:
		timer := time.NewTimer(ca.opts.SilenceLimit)
		defer timer.Stop()
		select {
		case <-r.Context().Done():
		case <-timer.C:
		}
		panic(http.ErrAbortHandler)
	case Huge:
		// Looks like DER of the announced length, so that only a limit on what
		// is read helps.
		head := []byte{0x30, 0x84, 0, 0, 0, 0}
		n := hugeAnswer - len(head)
		head[2], head[3], head[4], head[5] = byte(n>>24), byte(n>>16), byte(n>>8), byte(n)
		w.Header().Set("Content-Type", ContentType)
		w.Header().Set("Content-Length", strconv.Itoa(hugeAnswer))
		_, err := w.Write(head)
		for block := make([]byte, 64<<10); n > 0 && err == nil; n -= len(block) {
			block = block[:min(n, len(block))]
			_, err = w.Write(block)
		}
	case HTML200:
		write(w, "text/html; charset=utf-8", []byte(portalPage))
	case UnprotectedError:
		answer, err := ca.unprotectedError(der)
		if err != nil {
			ca.opts.Log.Error("no answer could be made", "err", err)
			panic(http.ErrAbortHandler)
		}
		write(w, ContentType, answer)
	case HTTP500:
		http.Error(w, "internal server error", http.StatusInternalServerError)
	case HTTP503:
		w.Header().Set("Retry-After", strconv.Itoa(b.N))
		http.Error(w, "come back later", http.StatusServiceUnavailable)
	}
}

func write(w http.ResponseWriter, kind string, body []byte) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	io.Copy(w, bytes.NewReader(body)) // a client that has gone away gets nothing; nobody to tell
}
