package cmp

// OpenSSL is the independent peer: its mock server takes our requests, its
// client is served by our answers, its CMS verifies our attestations.

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

var opensslVersion = sync.OnceValue(func() string {
	out, err := exec.Command("openssl", "version").Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
})

func needOpenSSL(t *testing.T) {
	t.Helper()
	v := opensslVersion()
	if v == "" {
		t.Skip("SKIPPED, NOT PROVEN: openssl is not installed; apt install openssl")
	}
	t.Log(v)
}

func openssl(t *testing.T, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "openssl", args...).CombinedOutput()
	return string(out), err
}

func write(t *testing.T, dir, file string, data []byte) string {
	t.Helper()
	path := filepath.Join(dir, file)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func writeCert(t *testing.T, dir, file string, certs ...*x509.Certificate) string {
	t.Helper()
	var out []byte
	for _, c := range certs {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return write(t, dir, file, out)
}

func writeKey(t *testing.T, dir, file string, key crypto.Signer) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, dir, file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// parses asserts that OpenSSL's own decoder reads the DER to the end.
func parses(t *testing.T, what string, der []byte) {
	t.Helper()
	path := write(t, t.TempDir(), "message.der", der)
	out, err := openssl(t, "asn1parse", "-inform", "DER", "-in", path)
	if err != nil || strings.Contains(out, "Error in encoding") || strings.Contains(out, ":BAD ") {
		t.Errorf("asn1parse of %s: %v\n%s", what, err, out)
	}
}

// mock is OpenSSL's mock server. It cannot issue and returns cert whatever was
// asked; in 3.0 it compares oldCertID with that certificate, so cert must have
// the old one's serial number. It listens on all interfaces.
type mock struct {
	url    string
	client http.Client // one connection: the server waits on the first it has
}

// serverLog gathers output and tells when the server listens.
type serverLog struct {
	mu     sync.Mutex
	text   bytes.Buffer
	listen chan struct{}
}

func (l *serverLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := bytes.Contains(l.text.Bytes(), []byte("ACCEPT"))
	l.text.Write(p)
	if !before && bytes.Contains(l.text.Bytes(), []byte("ACCEPT")) {
		close(l.listen)
	}
	return len(p), nil
}

func startMock(t *testing.T, w *world, cert *x509.Certificate, args ...string) *mock {
	t.Helper()
	needOpenSSL(t)
	dir := t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	m := &mock{fmt.Sprintf("http://127.0.0.1:%d/", port), http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{Proxy: nil}}}
	log := &serverLog{listen: make(chan struct{})}
	cmd := exec.Command("openssl", append([]string{"cmp", "-config", "", "-port", fmt.Sprint(port), "-verbosity", "8",
		"-srv_cert", writeCert(t, dir, "srv.crt", w.responder.cert), "-srv_key", writeKey(t, dir, "srv.key", w.responder.key),
		"-srv_trusted", writeCert(t, dir, "root.crt", w.root.cert), "-srv_untrusted", writeCert(t, dir, "ca.crt", w.ca.cert),
		"-rsp_cert", writeCert(t, dir, "rsp.crt", cert), "-rsp_extracerts", writeCert(t, dir, "extra.crt", w.ca.cert)}, args...)...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("openssl cmp -port:\n%s", log.text.String())
		}
	})
	select {
	case <-log.listen:
	case <-time.After(time.Minute):
		t.Fatal("openssl cmp -port does not listen")
	}
	return m
}

func (m *mock) post(t *testing.T, der []byte) []byte {
	t.Helper()
	rsp, err := m.client.Post(m.url, "application/pkixcmp", bytes.NewReader(der))
	if err != nil {
		t.Fatal(err)
	}
	defer rsp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(rsp.Body, MaxMessage+1))
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// sameSerial is the new certificate under the old serial number.
func (w *world) sameSerial(t *testing.T, key crypto.Signer) *x509.Certificate {
	tmpl := citizenTemplate(t, "رضایی", w.now.Add(-time.Minute), w.now.Add(year))
	tmpl.SerialNumber = w.citizen.cert.SerialNumber
	return issue(t, &w.ca, key, tmpl).cert
}

func today() time.Time { return time.Now().UTC().Truncate(time.Second) }

func (w *world) expect(t *testing.T, request []byte) Expect {
	t.Helper()
	e, err := mustParse(t, request).Expect()
	if err != nil {
		t.Fatal(err)
	}
	e.Anchors, e.Time = w.anchors, w.now
	return e
}

// TestMockIssues: OpenSSL accepts our kur, and we its kup.
func TestMockIssues(t *testing.T) {
	for what, pair := range keyPairs() {
		t.Run(what, func(t *testing.T) {
			w := newWorldAt(t, pair[0], today())
			newKey := pair[1]
			if newKey == nil {
				newKey = pair[0]
			}
			cert := w.sameSerial(t, newKey)
			m := startMock(t, w, cert, "-grant_implicitconf")
			kur := must(t)(w.kur(pair[1]).Build(nil))
			rsp := m.post(t, kur)
			a, err := w.expect(t, kur).Check(rsp)
			if err != nil {
				t.Fatal(err)
			}
			if a.Kind != Issued || !a.Cert.Equal(cert) || !a.ImplicitConfirmed {
				t.Errorf("answer %+v", a)
			}
			parses(t, "kur", kur)
			parses(t, "nested", w.attested(t, kur))
		})
	}
}

func TestMockIR(t *testing.T) {
	w := newWorldAt(t, seededKey("old"), today())
	cert := w.renewed(t, seededKey("new"))
	m := startMock(t, w, cert, "-grant_implicitconf")
	ir := must(t)(w.ir(seededKey("new")).Build(nil))
	a, err := w.expect(t, ir).Check(m.post(t, ir))
	if err != nil || a.Kind != Issued || !a.Cert.Equal(cert) || !a.ImplicitConfirmed {
		t.Errorf("%+v, %v", a, err)
	}
	parses(t, "ir", ir)
}

// TestMockPolls: waiting twice, then a certificate, then certConf.
func TestMockPolls(t *testing.T) {
	w := newWorldAt(t, rsaKey("old", 2048), today())
	cert := w.sameSerial(t, seededKey("new"))
	m := startMock(t, w, cert, "-poll_count", "2", "-check_after", "1")
	k := w.kur(seededKey("new"))
	kur := must(t)(k.Build(nil))
	e := w.expect(t, kur)
	a, err := e.Check(m.post(t, kur))
	for n := byte(1); err == nil && a.Kind == Waiting; n++ {
		if n > 4 {
			t.Fatal("waiting for ever")
		}
		p := must(t)(PollReq{CertReqID: a.CertReqID, Signer: k.OldKey, SignerCert: k.OldCert, Chain: k.Chain, TransactionID: k.TransactionID,
			SenderNonce: fill(n), RecipNonce: a.SenderNonce, Time: w.now, Recipient: k.Recipient}.Build(nil))
		parses(t, "pollReq", p)
		e.Sent, e.Nonce = SentPollReq, fill(n)
		a, err = e.Check(m.post(t, p))
		if a.Kind == Waiting && n < 3 && a.CheckAfter != time.Second {
			t.Errorf("checkAfter %v", a.CheckAfter)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	if a.Kind != Issued || !a.Cert.Equal(cert) || a.ImplicitConfirmed {
		t.Fatalf("answer %+v", a)
	}
	c := must(t)(CertConf{Cert: a.Cert, Signer: k.OldKey, SignerCert: k.OldCert, Chain: k.Chain, TransactionID: k.TransactionID,
		SenderNonce: fill('C'), RecipNonce: a.SenderNonce, Time: w.now, Recipient: k.Recipient}.Build(nil))
	parses(t, "certConf", c)
	e.Sent, e.Nonce = SentCertConf, fill('C')
	if a, err = e.Check(m.post(t, c)); err != nil || a.Kind != Confirmed {
		t.Errorf("%+v, %v", a, err)
	}
}

// TestMockRefuses: refusals of the server, and ours of what it may not send.
func TestMockRefuses(t *testing.T) {
	w := newWorldAt(t, seededKey("old"), today())
	good := w.kur(seededKey("new"))
	for _, c := range []struct {
		what string
		args []string
		kur  func(k *KUR)
		edit func(der []byte) []byte
		kind AnswerKind
		fail FailInfo
		rule Rule
	}{
		{what: "kup with rejection", args: []string{"-pkistatus", "2", "-failure", "2", "-statusstring", "no"}, kind: Rejected, fail: FailBadRequest},
		{what: "protected error", args: []string{"-send_error"}, kind: Rejected, fail: FailBadRequest},
		{what: "unprotected error", args: []string{"-send_error", "-send_unprot_err"}, kind: Hint, fail: FailBadRequest},
		{what: "unprotected kup", args: []string{"-send_unprotected"}, rule: RuleProtection},
		{what: "grantedWithMods", args: []string{"-pkistatus", "1"}, kind: Issued},
		{what: "flipped bit in our kur", edit: func(der []byte) []byte {
			m := mustParse(t, der)
			i := bytes.Index(der, m.protection)
			der[i+len(m.protection)-1] ^= 1
			return der
		}, kind: Rejected, fail: FailBadRequest},
		{what: "another key in the answer", kur: func(k *KUR) { k.NewKey = seededKey("other") }, rule: RuleKey},
	} {
		t.Run(c.what, func(t *testing.T) {
			m := startMock(t, w, w.sameSerial(t, seededKey("new")), c.args...)
			k := good
			if c.kur != nil {
				c.kur(&k)
			}
			kur := must(t)(k.Build(nil))
			e := w.expect(t, kur)
			if c.edit != nil {
				kur = c.edit(kur)
			}
			a, err := e.Check(m.post(t, kur))
			if ruleOf(err) != c.rule || err == nil && a.Kind != c.kind || a.FailInfo != c.fail {
				t.Errorf("%+v, %v; want %v %v %v", a, err, c.kind, c.fail, c.rule)
			}
		})
	}
}

// TestAnswersParse: OpenSSL's decoder reads our answers.
func TestAnswersParse(t *testing.T) {
	needOpenSSL(t)
	w := newWorld(t, seededKey("old"))
	for what, der := range w.allMessages(t) {
		parses(t, what, der)
	}
}
