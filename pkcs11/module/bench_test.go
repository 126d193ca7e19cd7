package module

import (
	"crypto"
	"strings"
	"testing"

	"mohr.internal/pkcs11"
)

// BenchmarkSign is one signature in this process and one through the worker's
// pipe, on SoftHSM; "ratio" is what the pipe costs.
func BenchmarkSign(b *testing.B) {
	for _, a := range []pkcs11.KeyAlgorithm{pkcs11.P256, pkcs11.RSA2048} {
		s := newSoft(b)
		for _, kv := range s.env {
			name, value, _ := strings.Cut(kv, "=")
			b.Setenv(name, value)
		}
		session := s.open(b)
		login(b, session)
		key := pkcs11.KeyIDOf(generate(b, session, "id", a))
		digest := make([]byte, 32)
		var direct float64
		b.Run(a.String()+"/direct", func(b *testing.B) {
			m := &Module{path: s.module}
			defer m.Close()
			if _, err := m.Login([]byte(softPIN)); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if _, err := m.Sign(key, crypto.SHA256, digest); err != nil {
					b.Fatal(err)
				}
			}
			direct = float64(b.Elapsed()) / float64(b.N)
		})
		b.Run(a.String()+"/pipe", func(b *testing.B) {
			for b.Loop() {
				if _, err := session.Sign(ctx, key, crypto.SHA256, digest); err != nil {
					b.Fatal(err)
				}
			}
			if direct > 0 {
				b.ReportMetric(float64(b.Elapsed())/float64(b.N)/direct, "ratio")
			}
		})
	}
}

// BenchmarkWorker is a worker from start to end, with one reading of the token.
func BenchmarkWorker(b *testing.B) {
	s := newSoft(b)
	for b.Loop() {
		w := s.start(b)
		session := w.Session()
		if _, err := session.Tokens(ctx); err != nil {
			b.Fatal(err)
		}
		if err := session.Close(); err != nil {
			b.Fatal(err)
		}
		if err := w.Wait(); err != nil {
			b.Fatal(err)
		}
	}
}
