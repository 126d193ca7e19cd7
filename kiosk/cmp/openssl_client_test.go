package cmp

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// opensslCA answers OpenSSL's client with our Reply, checking each request.
func opensslCA(t *testing.T, w *world, newKey crypto.Signer, implicit bool, polls int) (url string, issued *x509.Certificate, got map[BodyKind]int) {
	issued = w.renewed(t, newKey)
	got = map[BodyKind]int{}
	var nonce byte
	var kind BodyKind
	answer := func(der []byte) ([]byte, error) {
		m, err := Parse(der)
		if err != nil {
			return nil, err
		}
		signer, err := m.ProtectionCert()
		if err != nil {
			return nil, err
		}
		if err := m.VerifyProtection(signer); err != nil {
			return nil, err
		}
		got[m.Kind]++
		nonce++
		r := w.reply(m)
		r.SenderNonce, r.GrantImplicit = fill(nonce), implicit && m.ImplicitConfirm()
		switch m.Kind {
		case BodyKUR, BodyIR:
			kind = m.Kind + 1
			if m.Kind == BodyKUR {
				if _, _, err := m.CheckRequest(); err != nil {
					return nil, err
				}
			}
			req, err := m.Request()
			if err != nil {
				return nil, err
			}
			if err := req.VerifyPOP(); err != nil {
				return nil, err
			}
			if polls > 0 {
				return r.Waiting(nil)
			}
			return r.Issued(nil, issued, false)
		case BodyPollReq:
			r.Body = kind
			if polls--; polls > 0 {
				return r.PollRep(nil, time.Second, "در دست بررسی")
			}
			return r.Issued(nil, issued, false)
		case BodyCertConf:
			if err := m.Confirmation(issued); err != nil {
				return nil, err
			}
			return r.PKIConf(nil)
		}
		return nil, fmt.Errorf("unexpected %v", m.Kind)
	}
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		der, _ := io.ReadAll(io.LimitReader(req.Body, MaxMessage+1))
		out, err := answer(der)
		if err != nil {
			t.Errorf("CA: %v", err)
			http.Error(rw, err.Error(), http.StatusBadRequest)
			return
		}
		rw.Header().Set("Content-Type", "application/pkixcmp")
		rw.Write(out)
	}))
	t.Cleanup(srv.Close)
	return srv.URL, issued, got
}

// TestOpenSSLClient: we accept what OpenSSL's client asks and it accepts our
// answers.
func TestOpenSSLClient(t *testing.T) {
	for _, c := range []struct {
		what     string
		old, new crypto.Signer
		cmd      string
		args     []string
		implicit bool
		polls    int
		want     map[BodyKind]int
	}{
		{"kur ec implicit", seededKey("old"), seededKey("new"), "kur", []string{"-implicit_confirm"}, true, 0, map[BodyKind]int{BodyKUR: 1}},
		{"kur rsa to ec certConf", rsaKey("old", 2048), seededKey("new"), "kur", nil, false, 0, map[BodyKind]int{BodyKUR: 1, BodyCertConf: 1}},
		{"kur rsa sha512", rsaKey("old", 2048), rsaKey("new", 2048), "kur", []string{"-digest", "sha512"}, false, 0, map[BodyKind]int{BodyKUR: 1, BodyCertConf: 1}},
		{"kur polling", seededKey("old"), rsaKey("new", 2048), "kur", []string{"-implicit_confirm"}, true, 2, map[BodyKind]int{BodyKUR: 1, BodyPollReq: 2}},
		{"ir", seededKey("old"), seededKey("new"), "ir", []string{"-subject", "/CN=x", "-implicit_confirm"}, true, 0, map[BodyKind]int{BodyIR: 1}},
	} {
		t.Run(c.what, func(t *testing.T) {
			needOpenSSL(t)
			w := newWorldAt(t, c.old, today())
			url, issued, got := opensslCA(t, w, c.new, c.implicit, c.polls)
			client := w.citizen
			if c.cmd == "ir" {
				client = w.kiosk
			}
			dir := t.TempDir()
			reqs := filepath.Join(dir, "req.der")
			out, err := openssl(t, append([]string{"cmp", "-config", "", "-cmd", c.cmd, "-server", strings.TrimPrefix(url, "http://"),
				"-no_proxy", "127.0.0.1", "-cert", writeCert(t, dir, "old.crt", client.cert), "-key", writeKey(t, dir, "old.key", client.key),
				"-newkey", writeKey(t, dir, "new.key", c.new), "-extracerts", writeCert(t, dir, "ca.crt", w.ca.cert), "-trusted", writeCert(t, dir, "root.crt", w.root.cert),
				"-untrusted", filepath.Join(dir, "ca.crt"), "-recipient", "/CN=ca", "-certout", filepath.Join(dir, "got.crt"), "-reqout", reqs + "," + reqs + "2"}, c.args...)...)
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			file, err := os.ReadFile(filepath.Join(dir, "got.crt"))
			if err != nil {
				t.Fatal(err)
			}
			block, _ := pem.Decode(file)
			if block == nil || !bytes.Equal(block.Bytes, issued.Raw) {
				t.Error("openssl got another certificate")
			}
			for k, n := range c.want {
				if got[k] != n {
					t.Errorf("%d %v, want %d", got[k], k, n)
				}
			}
			der, err := os.ReadFile(reqs)
			if err != nil {
				t.Fatal(err)
			}
			if m := mustParse(t, der); !bytes.Equal(m.Raw(), der) {
				t.Error("request from -reqout changed")
			}
		})
	}
}
