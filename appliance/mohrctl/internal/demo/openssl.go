package demo

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"time"

	"filippo.io/age"

	"mohr.internal/appliance/desk"
	"mohr.internal/kiosk/cmp"
	"mohr.internal/kiosk/cmp/cmptest"
)

// mock gives the kur to OpenSSL's CMP server, which verifies protection, chain and
// proof of possession, and believes its answer only after our own checks. The
// server cannot issue: it gets the certificate to return beforehand, and OpenSSL
// 3.0 wants it to have the old serial number.
func (x *outside) mock(ctx context.Context, prefix string, n renewal, d *desk.Device) error {
	cert, err := x509.ParseCertificate(n.cert)
	if err != nil {
		return err
	}
	twin, err := x.place.PKI.Twin(d.Certificate, cert.PublicKey, time.Now())
	if err != nil {
		return err
	}
	twinFile := x.path(prefix + "mock-cert.pem")
	if err := os.WriteFile(twinFile, cmptest.CertificatesPEM(twin), 0o644); err != nil {
		return err
	}
	port, err := freePort()
	if err != nil {
		return err
	}
	pki := func(name string) string { return x.place.Path("pki", name) }
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	server := exec.CommandContext(ctx, "openssl", "cmp", "-config", "", "-port", port, "-srv_cert", pki("responder.pem"), "-srv_key", pki("responder.key"),
		"-srv_trusted", pki("root.pem"), "-srv_untrusted", pki("issuing.pem"), "-rsp_cert", twinFile, "-rsp_extracerts", pki("issuing.pem"), "-grant_implicitconf", "-verbosity", "3")
	var said bytes.Buffer
	server.Stdout, server.Stderr = &said, &said
	if err := server.Start(); err != nil {
		return fmt.Errorf("openssl cmp: %w", err)
	}
	defer func() {
		cancel()
		server.Wait()
	}()
	answer, err := post(ctx, "http://127.0.0.1:"+port+"/", n.kur)
	if err != nil {
		return fmt.Errorf("%w; openssl said: %s", err, said.String())
	}
	m, err := cmp.Parse(n.kur)
	if err != nil {
		return err
	}
	expect, err := m.Expect()
	if err != nil {
		return err
	}
	expect.Anchors, expect.Intermediates, expect.Time = x.place.PKI.Roots(), []*x509.Certificate{x.place.PKI.Issuing}, time.Now()
	a, err := expect.Check(answer)
	if err != nil {
		return fmt.Errorf("openssl's answer: %w; openssl said: %s", err, said.String())
	}
	if a.Kind != cmp.Issued || !a.ImplicitConfirmed || !a.Cert.Equal(twin) {
		return fmt.Errorf("openssl's answer is %v (%v); openssl said: %s", a.Kind, a.StatusInfo, said.String())
	}
	return nil
}

// post sends one message, waiting for the server to come up.
func post(ctx context.Context, url string, der []byte) ([]byte, error) {
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(der))
		if err != nil {
			return nil, err
		}
		req.Header.Set("Content-Type", "application/pkixcmp")
		res, err := http.DefaultClient.Do(req)
		if err == nil {
			defer res.Body.Close()
			return io.ReadAll(io.LimitReader(res.Body, cmp.MaxMessage+1))
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

func (x *outside) cms(ctx context.Context, name string) error {
	return x.run(ctx, nil, "openssl", "cms", "-verify", "-inform", "DER", "-in", x.path(name), "-CAfile", x.place.Path("pki", "root.pem"),
		"-certfile", x.place.Path("pki", "issuing.pem"), "-purpose", "any", "-out", os.DevNull)
}

func (x *outside) cmsChanged(ctx context.Context, prefix string, p7 []byte) error {
	changed := bytes.Clone(p7)
	changed[len(changed)-1] ^= 1
	name := prefix + "attestation-changed.p7"
	if err := os.WriteFile(x.path(name), changed, 0o644); err != nil {
		return err
	}
	if x.cms(ctx, name) == nil {
		return errors.New("it was accepted")
	}
	return nil
}

func (x *outside) chain(ctx context.Context, name string) error {
	pki := func(name string) string { return x.place.Path("pki", name) }
	pemFile := x.path(name + ".pem")
	if err := x.run(ctx, nil, "openssl", "x509", "-inform", "DER", "-in", x.path(name), "-out", pemFile); err != nil {
		return err
	}
	return x.run(ctx, nil, "openssl", "verify", "-CAfile", pki("root.pem"), "-untrusted", pki("issuing.pem"), "-CRLfile", pki("crl.pem"), "-crl_check", pemFile)
}

// evidence is opened with the CA's key; the kiosk has none.
func (x *outside) evidence(n renewal) error {
	plain, err := age.Decrypt(bytes.NewReader(n.sealed), x.place.Evidence)
	if err != nil {
		return err
	}
	b, err := io.ReadAll(io.LimitReader(plain, 1<<20))
	if err != nil {
		return err
	}
	if len(b) == 0 {
		return errors.New("it is empty")
	}
	officers := cmp.Officers{
		Anchors: x.place.PKI.Roots(), Intermediates: []*x509.Certificate{x.place.PKI.Issuing},
		Allow: cmp.OfficerList(x.place.Device(desk.Officer).Certificate),
	}
	s, _, err := cmp.VerifyAttestation(n.attestation, officers, time.Now())
	if err != nil {
		return err
	}
	if s.EvidenceHash != sha256.Sum256(n.sealed) {
		return fmt.Errorf("attested hash is %x", s.EvidenceHash)
	}
	return nil
}
