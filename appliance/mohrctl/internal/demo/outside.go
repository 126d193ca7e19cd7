package demo

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	qrcode "github.com/skip2/go-qrcode"

	"mohr.internal/appliance/canary"
	"mohr.internal/appliance/desk"
	"mohr.internal/appliance/journal"
	"mohr.internal/appliance/vault"
	"mohr.internal/kiosk"
	"mohr.internal/kiosk/cmp"
	"mohr.internal/kiosk/receipt"
	"mohr.internal/pkcs11"
)

// outside examines what a renewal left behind, with other people's programs.
type outside struct {
	place   *desk.Place
	world   *desk.World
	out     string
	mohrctl string
	report  *report

	renewals []renewal // as the journal tells them, in order
}

// renewal is what the journal holds of one renewal.
type renewal struct {
	id                                      kiosk.RenewalID
	states                                  []string
	request, kur, attestation, cert, sealed []byte
	keyID                                   []byte
	receipts                                []string
}

// all runs every examination.
func (x *outside) all(ctx context.Context, recorded, accepted desk.Shot) {
	x.report.examine("journal replays; both renewals went through every state once", x.journal())
	if len(x.renewals) != 2 {
		x.report.examine("two renewals in the journal", fmt.Errorf("found %d", len(x.renewals)))
		return
	}
	x.report.examine("mohrctl audit verifies every request, attestation, receipt and certificate in the journal", x.audit(ctx))
	x.report.examine("the CA issued exactly one certificate for each request", x.issuedOnce())
	for i, n := range x.renewals {
		device := x.place.Device([]desk.Kind{desk.Citizen, desk.Second}[i])
		x.renewal(ctx, fmt.Sprintf("citizen %d: ", i+1), n, device)
	}
	x.receipt(ctx, "receipt", recorded, "Recorded", x.renewals[1].receipts[0])
	x.receipt(ctx, "accepted", accepted, "Accepted", x.renewals[0].receipts[1])
	x.report.examine("no PIN, name or national ID shows in the journal or the logs", x.nothingShows())
}

func (x *outside) path(name string) string { return filepath.Join(x.out, name) }

// journal reads the kiosk's journal beside the running kiosk.
func (x *outside) journal() error {
	v, err := vault.Load(x.place.Kioskd.Keys.Storage.Key, rand.Reader)
	if err != nil {
		return err
	}
	sealed, err := journal.Open(x.place.Kioskd.Journal.Dir, journal.Options{ReadOnly: true})
	if err != nil {
		return err
	}
	defer sealed.Close()
	j := vault.Over(sealed, v)
	index := map[kiosk.RenewalID]int{}
	err = j.Replay(func(_ uint64, payload []byte) error {
		rec, err := kiosk.ParseRecord(payload)
		if err != nil || rec.Renewal.Zero() {
			return err
		}
		i, ok := index[rec.Renewal]
		if !ok {
			i = len(x.renewals)
			index[rec.Renewal] = i
			x.renewals = append(x.renewals, renewal{id: rec.Renewal})
		}
		return x.renewals[i].take(rec)
	})
	if err != nil {
		return err
	}
	const want = "TokenRead IdentityVerified OfficerApproved KeyReady RequestSigned Stored Receipted Delivered Issued Loaded"
	for _, n := range x.renewals {
		if got := strings.Join(n.states, " "); got != want {
			return fmt.Errorf("renewal %v went %s", n.id, got)
		}
	}
	return nil
}

func (n *renewal) take(r kiosk.Record) error {
	if r.State != "" {
		n.states = append(n.states, r.State)
	}
	if r.Receipt != "" {
		n.receipts = append(n.receipts, r.Receipt)
	}
	for _, f := range []struct{ dst, src *[]byte }{
		{&n.cert, &r.Certificate}, {&n.sealed, &r.Sealed}, {&n.keyID, &r.KeyID}, {&n.request, &r.Request},
	} {
		if *f.src != nil {
			*f.dst = *f.src
		}
	}
	if r.Request == nil {
		return nil
	}
	m, err := cmp.Parse(r.Request)
	if err != nil {
		return err
	}
	inner, err := m.Inner()
	if err != nil {
		return err
	}
	n.kur, n.attestation = inner.Raw(), m.Attestation()
	return nil
}

func (x *outside) issuedOnce() error {
	if n := len(x.world.CA.Issued()); n != len(x.renewals) {
		return fmt.Errorf("%d certificates for %d requests", n, len(x.renewals))
	}
	return nil
}

// renewal examines one renewal's message, attestation, certificate and token.
func (x *outside) renewal(ctx context.Context, who string, n renewal, d *desk.Device) {
	prefix := strings.ReplaceAll(strings.TrimSuffix(who, ": "), " ", "-") + "-"
	for name, b := range map[string][]byte{"nested.der": n.request, "kur.der": n.kur, "attestation.p7": n.attestation, "new.der": n.cert, "sealed.age": n.sealed} {
		if err := os.WriteFile(x.path(prefix+name), b, 0o644); err != nil {
			x.report.examine(who+"files written", err)
			return
		}
	}
	x.report.examine(who+"openssl asn1parse reads the stored request", x.run(ctx, nil, "openssl", "asn1parse", "-inform", "DER", "-in", x.path(prefix+"nested.der"), "-noout"))
	x.report.examine(who+"openssl cmp (mock server) accepts our kur and answers it", x.mock(ctx, prefix, n, d))
	x.report.examine(who+"openssl cms accepts the officer's attestation", x.cms(ctx, prefix+"attestation.p7"))
	x.report.examine(who+"openssl cms refuses it with one byte changed", x.cmsChanged(ctx, prefix, n.attestation))
	x.report.examine(who+"openssl verifies the new certificate's chain and CRL", x.chain(ctx, prefix+"new.der"))
	x.report.examine(who+"evidence opens with the CA's key only, and has the attested hash", x.evidence(n))
	x.report.examine(who+"pkcs11-tool sees old and new key, old and new certificate", x.objects(ctx, n, d))
	x.report.examine(who+"the new key signs through pkcs11-tool, openssl verifies with the new certificate", x.sign(ctx, prefix, n, d))
}

// run runs a program that must end with exit code 0.
func (x *outside) run(ctx context.Context, env []string, program string, args ...string) error {
	_, err := x.output(ctx, env, program, args...)
	return err
}

func (x *outside) output(ctx context.Context, env []string, program string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w: %s", filepath.Base(program), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.Bytes(), nil
}

// objects lists the token by pkcs11-tool: the old pair must still be there.
func (x *outside) objects(ctx context.Context, n renewal, d *desk.Device) error {
	list, err := d.Token.Tool(ctx, "--login", "--pin", d.Token.PIN, "--list-objects")
	if err != nil {
		return err
	}
	for what, want := range map[string]int{"Private Key Object": 2, "Public Key Object": 2, "Certificate Object": 2} {
		if got := strings.Count(string(list), what); got != want {
			return fmt.Errorf("%d × %q, want %d", got, what, want)
		}
	}
	for _, id := range [][]byte{d.KeyID, n.keyID} {
		cert, err := d.Token.Tool(ctx, "--read-object", "--type", "cert", "--id", hex.EncodeToString(id))
		if err != nil {
			return err
		}
		want := d.Certificate.Raw
		if bytes.Equal(id, n.keyID) {
			want = n.cert
		}
		if !bytes.Equal(cert, want) {
			return fmt.Errorf("certificate under ID %x is another one", id)
		}
	}
	return nil
}

// sign has the new key sign a file by pkcs11-tool and openssl verify it.
func (x *outside) sign(ctx context.Context, prefix string, n renewal, d *desk.Device) error {
	data, digest, sig, pub := x.path(prefix+"data"), x.path(prefix+"data.sha256"), x.path(prefix+"data.sig"), x.path(prefix+"new.pub")
	if err := os.WriteFile(data, []byte("signed by the new key\n"), 0o644); err != nil {
		return err
	}
	key, err := x.output(ctx, nil, "openssl", "x509", "-inform", "DER", "-in", x.path(prefix+"new.der"), "-noout", "-pubkey")
	if err != nil {
		return err
	}
	if err := os.WriteFile(pub, key, 0o644); err != nil {
		return err
	}
	if err := x.run(ctx, nil, "openssl", "dgst", "-sha256", "-binary", "-out", digest, data); err != nil {
		return err
	}
	args := []string{"--login", "--pin", d.Token.PIN, "--sign", "--id", hex.EncodeToString(n.keyID), "--output-file", sig}
	if n.keyID[0] == byte(pkcs11.P256) {
		args = append(args, "--mechanism", "ECDSA", "--signature-format", "openssl", "--input-file", digest)
	} else {
		args = append(args, "--mechanism", "SHA256-RSA-PKCS", "--input-file", data)
	}
	if _, err := d.Token.Tool(ctx, args...); err != nil {
		return err
	}
	return x.run(ctx, nil, "openssl", "dgst", "-sha256", "-verify", pub, "-signature", sig, data)
}

// receipt scans the QR code from the kiosk's own picture and verifies it.
func (x *outside) receipt(ctx context.Context, name string, shot desk.Shot, state, journaled string) {
	file := x.path(name + ".png")
	text, err := x.scan(ctx, file, shot)
	if err == nil && text != journaled {
		err = errors.New("another receipt than in the journal")
	}
	x.report.examine(name+": zbarimg reads the QR code from the screen", err)
	if err != nil {
		return
	}
	if b, err := receipt.Decode(text); err == nil {
		x.report.figure(name+"_bytes", "%d", len(b))
	}
	if code, err := qrcode.New(text, qrcode.Medium); err == nil {
		x.report.figure(name+"_qr_version", "%d-M, %d characters", code.VersionNumber, len(text))
	}
	said, err := x.output(ctx, nil, x.mohrctl, "verify", "-trust", x.place.TrustFile(), text)
	if err == nil && !strings.Contains(string(said), state) {
		err = fmt.Errorf("said %q", said)
	}
	x.report.examine(name+": mohrctl verify says "+state, err)
	changed := []byte(text)
	if changed[40]++; changed[40] > 'Z' || changed[40] == ';' {
		changed[40] = '0'
	}
	err = nil
	if x.run(ctx, nil, x.mohrctl, "verify", "-trust", x.place.TrustFile(), string(changed)) == nil {
		err = errors.New("it was accepted")
	}
	x.report.examine(name+": mohrctl verify refuses it with one character changed", err)
}

func (x *outside) scan(ctx context.Context, file string, shot desk.Shot) (string, error) {
	b, err := shot.PNG()
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(file, b, 0o644); err != nil {
		return "", err
	}
	if _, err := png.DecodeConfig(bytes.NewReader(b)); err != nil {
		return "", err
	}
	out, err := x.output(ctx, nil, "zbarimg", "--quiet", "--raw", file)
	return strings.TrimSuffix(string(out), "\n"), err
}

// nothingShows looks for the PINs, names and national IDs in everything the
// programs wrote, in every form (see canary). The tokens' own folders are the tokens.
func (x *outside) nothingShows() error {
	var secrets []canary.Secret
	for _, d := range x.place.Devices {
		if d.Token != nil {
			secrets = append(secrets, canary.Secret{Name: "PIN of " + string(d.Kind), Word: d.Token.PIN})
		}
		if d.Certificate != nil && d.Role == "citizen" {
			for what, word := range map[string]string{
				"national ID": d.Person.NationalID, "name": d.Person.Given + " " + d.Person.Family, "family name": d.Person.Family,
				"Persian name": d.Person.GivenFa + " " + d.Person.FamilyFa, "Persian family name": d.Person.FamilyFa,
			} {
				secrets = append(secrets, canary.Secret{Name: what + " of " + string(d.Kind), Word: word})
			}
		}
	}
	scanner, err := canary.New(secrets...)
	if err != nil {
		return err
	}
	var hits []string
	bytes := int64(0)
	for _, sub := range []string{"perm", "log", "run"} {
		err := filepath.WalkDir(x.place.Path(sub), func(path string, e os.DirEntry, err error) error {
			if err != nil || !e.Type().IsRegular() {
				return err
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			bytes += int64(len(b))
			scanner.Bytes(b, func(h canary.Hit) { hits = append(hits, fmt.Sprintf("%v of %s", h, path)) })
			return nil
		})
		if err != nil {
			return err
		}
	}
	x.report.figure("scanned", "%d words in %d forms, %d MB of files and logs", len(secrets), len(scanner.Forms()), bytes>>20)
	if len(hits) > 0 {
		return fmt.Errorf("%d found, first: %s", len(hits), hits[0])
	}
	return nil
}

// audit re-verifies the whole journal by the program an auditor would use.
func (x *outside) audit(ctx context.Context) error {
	said, err := x.output(ctx, nil, x.mohrctl, "audit", "-q", "-key", x.place.Kioskd.Keys.Storage.Key, "-profile", x.place.Kioskd.Profile.File,
		"-publisher", x.place.Kioskd.Profile.PublisherKey, "-trust", x.place.TrustFile(), x.place.Kioskd.Journal.Dir)
	if err == nil && !strings.Contains(string(said), "requests verified: 2") {
		err = fmt.Errorf("said %q", said)
	}
	return err
}
