package desk

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// SoftHSM is where Debian's softhsm2 package puts its PKCS#11 module.
const SoftHSM = "/usr/lib/softhsm/libsofthsm2.so"

// SoftToken is one SoftHSM token in a directory of its own: a token the bench can insert alone.
//
// It is made and read with softhsm2-util and pkcs11-tool, not with our own code: what the kiosk finds
// on the token was put there by another hand, and what the kiosk leaves is read by another hand. The
// PINs are those of a throw-away token and stand on these tools' command lines; PINs of people never do.
type SoftToken struct {
	Dir    string // directory of the token and of its softhsm2.conf
	Module string // path of the PKCS#11 module
	Label  string
	PIN    string
}

// Conf is the path of the token's own softhsm2.conf, the value of SOFTHSM2_CONF.
func (t SoftToken) Conf() string { return filepath.Join(t.Dir, "softhsm2.conf") }

// Env is what a program needs in its environment for the module to show this token and no other.
func (t SoftToken) Env() []string { return []string{"SOFTHSM2_CONF=" + t.Conf()} }

// create initialises the token in its directory.
func (t SoftToken) create(ctx context.Context) error {
	store := filepath.Join(t.Dir, "tokens")
	if err := os.MkdirAll(store, 0o700); err != nil {
		return fmt.Errorf("desk: token %s: %w", t.Label, err)
	}
	conf := fmt.Sprintf("directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n", store)
	if err := os.WriteFile(t.Conf(), []byte(conf), 0o600); err != nil {
		return fmt.Errorf("desk: token %s: %w", t.Label, err)
	}
	_, err := t.run(ctx, "softhsm2-util", "--init-token", "--free", "--label", t.Label, "--pin", t.PIN, "--so-pin", "so-"+t.PIN)
	return err
}

// generate makes a key pair inside the token and returns its public key as SubjectPublicKeyInfo.
// keyType is pkcs11-tool's word: "rsa:2048" or "EC:prime256v1".
func (t SoftToken) generate(ctx context.Context, id []byte, label, keyType string) ([]byte, error) {
	if _, err := t.Tool(ctx, "--login", "--pin", t.PIN, "--keypairgen", "--key-type", keyType,
		"--usage-sign", "--id", hex.EncodeToString(id), "--label", label); err != nil {
		return nil, err
	}
	out := filepath.Join(t.Dir, "public-"+hex.EncodeToString(id)+".der")
	if _, err := t.Tool(ctx, "--read-object", "--type", "pubkey", "--id", hex.EncodeToString(id), "--output-file", out); err != nil {
		return nil, err
	}
	spki, err := os.ReadFile(out)
	if err != nil {
		return nil, fmt.Errorf("desk: token %s: public key: %w", t.Label, err)
	}
	if _, err := x509.ParsePKIXPublicKey(spki); err != nil {
		return nil, fmt.Errorf("desk: token %s: public key: %w", t.Label, err)
	}
	return spki, nil
}

// write puts a certificate on the token under the CKA_ID of its key.
func (t SoftToken) write(ctx context.Context, id []byte, label string, der []byte) error {
	in := filepath.Join(t.Dir, "certificate-"+hex.EncodeToString(id)+".der")
	if err := os.WriteFile(in, der, 0o600); err != nil {
		return fmt.Errorf("desk: token %s: %w", t.Label, err)
	}
	_, err := t.Tool(ctx, "--login", "--pin", t.PIN, "--write-object", in, "--type", "cert",
		"--id", hex.EncodeToString(id), "--label", label)
	return err
}

// Tool runs pkcs11-tool on this token and returns what it printed on standard output.
func (t SoftToken) Tool(ctx context.Context, args ...string) ([]byte, error) {
	return t.run(ctx, "pkcs11-tool", append([]string{"--module", t.Module, "--token-label", t.Label}, args...)...)
}

func (t SoftToken) run(ctx context.Context, tool string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, tool, args...)
	cmd.Env = append(os.Environ(), t.Env()...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			return nil, fmt.Errorf("desk: %s is not installed: %w", tool, err)
		}
		return nil, fmt.Errorf("desk: token %s: %s: %w: %s%s", t.Label, tool, err, bytes.TrimSpace(stderr.Bytes()), bytes.TrimSpace(stdout.Bytes()))
	}
	return stdout.Bytes(), nil
}
