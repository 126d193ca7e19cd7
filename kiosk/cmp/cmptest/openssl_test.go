package cmptest

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mohr.internal/kiosk/cmp"
)

// client is OpenSSL's CMP client with a citizen's files. It looks at the real
// clock, and so does everything here.
type client struct {
	t        *testing.T
	pki      *PKI
	ca       *CA
	server   string
	dir      string
	old, new crypto.Signer
	cert     *x509.Certificate
}

func newClient(t *testing.T, o CAOptions, pkiRSA bool, old, next crypto.Signer, cert CertOptions) *client {
	t.Helper()
	needOpenSSL(t)
	c := &client{t: t, dir: t.TempDir(), old: old, new: next}
	c.pki = must[*PKI](t)(New(Options{Time: time.Now(), Seed: t.Name(), RSA: pkiRSA}))
	o.PKI, o.Now, o.Unnested = c.pki, time.Now, true
	c.ca = must[*CA](t)(NewCA(o))
	server := httptest.NewServer(c.ca)
	t.Cleanup(server.Close)
	c.server = strings.TrimPrefix(server.URL, "http://")
	c.cert = must[*x509.Certificate](t)(c.pki.Citizen(old.Public(), cert))
	if err := c.pki.Write(c.dir, time.Now()); err != nil {
		t.Fatal(err)
	}
	c.write("old.pem", CertificatesPEM(c.cert))
	c.write("old.key", must[[]byte](t)(KeyPEM(old)))
	c.write("new.key", must[[]byte](t)(KeyPEM(next)))
	return c
}

func (c *client) write(name string, content []byte) {
	c.t.Helper()
	if err := os.WriteFile(filepath.Join(c.dir, name), content, 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// run runs openssl cmp and returns its output and whether it was content.
func (c *client) run(args ...string) (string, bool) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "openssl", append([]string{
		"cmp", "-config", "", "-server", c.server, "-no_proxy", "127.0.0.1", "-trusted", "root.pem",
		"-extracerts", "issuing.pem", "-certout", "got.pem", "-total_timeout", "20",
	}, args...)...)
	cmd.Dir = c.dir
	out, err := cmd.CombinedOutput()
	return string(out), err == nil
}

func (c *client) kur(args ...string) (string, bool) {
	c.t.Helper()
	return c.run(append([]string{"-cmd", "kur", "-cert", "old.pem", "-key", "old.key", "-oldcert", "old.pem", "-newkey", "new.key"}, args...)...)
}

// got returns the certificate OpenSSL stored.
func (c *client) got() *x509.Certificate {
	c.t.Helper()
	text := must[[]byte](c.t)(os.ReadFile(filepath.Join(c.dir, "got.pem")))
	block, _ := pem.Decode(text)
	if block == nil {
		c.t.Fatalf("no certificate in %q", text)
	}
	return must[*x509.Certificate](c.t)(x509.ParseCertificate(block.Bytes))
}

func TestOpenSSLRenews(t *testing.T) {
	rsa1, rsa2 := must[crypto.Signer](t)(rsaKey()), must[crypto.Signer](t)(rsaKey2())
	for _, tc := range []struct {
		name     string
		o        CAOptions
		rsa      bool
		old, new crypto.Signer
		b        Behaviour
		args     []string
		want     Confirmation
	}{
		{"P-256, implicit", CAOptions{}, false, newP256(t), newP256(t), Behaviour{}, []string{"-implicit_confirm"}, Implicit},
		{"P-256, confirmed", CAOptions{}, false, newP256(t), newP256(t), Behaviour{}, nil, Accepted},
		{"implicit withheld", CAOptions{WithholdImplicitConfirm: true}, false, newP256(t), newP256(t), Behaviour{}, []string{"-implicit_confirm"}, Accepted},
		{"RSA throughout", CAOptions{}, true, rsa1, rsa2, Behaviour{}, nil, Accepted},
		{"RSA to P-256", CAOptions{}, false, rsa1, newP256(t), Behaviour{}, nil, Accepted},
		{"SHA-512", CAOptions{}, false, rsa1, rsa2, Behaviour{}, []string{"-digest", "sha512"}, Accepted},
		{"polling", CAOptions{}, false, newP256(t), newP256(t), Behaviour{Kind: WaitPolls, N: 2}, nil, Accepted},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := newClient(t, tc.o, tc.rsa, tc.old, tc.new, CertOptions{Person: Staff})
			c.ca.Queue(tc.b)
			out, ok := c.kur(tc.args...)
			if !ok {
				t.Fatal(out)
			}
			issued := c.ca.Issued()
			if len(issued) != 1 || !issued[0].Cert.Equal(c.got()) || issued[0].Confirmation != tc.want {
				t.Fatalf("issued %+v\n%s", issued, out)
			}
			if !bytes.Equal(c.got().RawSubject, c.cert.RawSubject) {
				t.Errorf("subject %s", c.got().Subject)
			}
			verify := exec.Command("openssl", "verify", "-CAfile", "root.pem", "-untrusted", "issuing.pem", "-crl_check", "-CRLfile", "crl.pem", "got.pem")
			verify.Dir = c.dir
			if out, err := verify.CombinedOutput(); err != nil {
				t.Errorf("openssl verify: %v\n%s", err, out)
			}
		})
	}
}

func TestOpenSSLEnrols(t *testing.T) {
	for _, cmd := range []string{"ir", "cr"} {
		t.Run(cmd+" by a kiosk", func(t *testing.T) {
			c := newClient(t, CAOptions{}, false, newP256(t), newP256(t), CertOptions{})
			out, ok := c.run("-cmd", cmd, "-cert", "ra.pem", "-key", "ra.key", "-newkey", "new.key",
				"-subject", "/C=IR/O=Unaffiliated/serialNumber=0963695398/CN=Sara Moradi [Sign]")
			if !ok {
				t.Fatal(out)
			}
			if issued := c.ca.Issued(); len(issued) != 1 || !issued[0].Cert.Equal(c.got()) || c.got().Subject.SerialNumber != "0963695398" {
				t.Errorf("issued %+v to %s", issued, c.got().Subject)
			}
		})
		t.Run(cmd+" by a citizen in another name", func(t *testing.T) {
			c := newClient(t, CAOptions{}, false, newP256(t), newP256(t), CertOptions{})
			out, ok := c.run("-cmd", cmd, "-cert", "old.pem", "-key", "old.key", "-newkey", "new.key", "-subject", "/C=IR/CN=Somebody Else")
			if ok || !strings.Contains(out, string(cmp.RuleSubject)) || len(c.ca.Issued()) != 0 {
				t.Errorf("issued %d\n%s", len(c.ca.Issued()), out)
			}
		})
	}
}

// What OpenSSL is told when it is refused, and that it does not believe the
// lies either.
func TestOpenSSLIsRefused(t *testing.T) {
	for _, tc := range []struct {
		name string
		cert CertOptions
		b    Behaviour
		args []string
		want string
	}{
		{"revoked", CertOptions{Revoked: true}, Behaviour{}, nil, string(RuleRevoked)},
		{"foreign CA", CertOptions{ForeignCA: true}, Behaviour{}, nil, string(RuleIssuer)},
		{"no proof of possession", CertOptions{}, Behaviour{}, []string{"-popo", "-1"}, string(cmp.RulePOP)},
		{"proof left to the RA", CertOptions{}, Behaviour{}, []string{"-popo", "0"}, string(cmp.RulePOP)},
		{"another subject", CertOptions{}, Behaviour{}, []string{"-subject", "/CN=Somebody Else"}, string(cmp.RuleSubject)},
		{"rejected", CertOptions{}, Behaviour{Kind: Reject, Text: "papers incomplete"}, nil, "papers incomplete"},
		{"garbage", CertOptions{}, Behaviour{Kind: Garbage}, nil, ""},
		{"truncated", CertOptions{}, Behaviour{Kind: Truncated}, nil, ""},
		{"page", CertOptions{}, Behaviour{Kind: HTML200}, nil, ""},
		{"other transaction", CertOptions{}, Behaviour{Kind: OtherTransaction}, nil, "transactionid unmatched"},
		{"other nonce", CertOptions{}, Behaviour{Kind: WrongNonce}, nil, "recipnonce unmatched"},
		{"foreign signer", CertOptions{}, Behaviour{Kind: ForeignSigner}, nil, "potentially invalid certificate"},
		{"other key", CertOptions{}, Behaviour{Kind: OtherKey}, nil, "public key in new certificate does not match"},
		{"unprotected error", CertOptions{}, Behaviour{Kind: UnprotectedError}, nil, "missing protection"},
		{"500", CertOptions{}, Behaviour{Kind: HTTP500}, nil, "500"},
		{"dropped", CertOptions{}, Behaviour{Kind: DropAfterIssue}, nil, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := newClient(t, CAOptions{}, false, newP256(t), newP256(t), tc.cert)
			c.ca.Behave(tc.b)
			out, ok := c.kur(tc.args...)
			if ok || !strings.Contains(out, tc.want) {
				t.Errorf("content %t, want %q in\n%s", ok, tc.want, out)
			}
			if _, err := os.Stat(filepath.Join(c.dir, "got.pem")); err == nil {
				t.Error("a certificate was stored")
			}
		})
	}
}

// OpenSSL's error about a certificate it does not want ends as the CA's records say.
func TestOpenSSLDeclines(t *testing.T) {
	c := newClient(t, CAOptions{}, false, newP256(t), newP256(t), CertOptions{})
	// Trusting nothing for the new certificate makes the client decline it.
	other := must[*PKI](t)(c.pki.Impostor())
	c.write("other.pem", CertificatesPEM(other.Root))
	out, ok := c.kur("-out_trusted", "other.pem")
	issued := c.ca.Issued()
	if ok || len(issued) != 1 || issued[0].Confirmation != Declined || !c.pki.Revoked(issued[0].Cert) {
		t.Errorf("content %t, issued %+v\n%s", ok, issued, out)
	}
}
