package cmp

import (
	"crypto"
	"testing"
)

func BenchmarkBuild(b *testing.B) {
	for what, keys := range map[string][2]crypto.Signer{"ec": {seededKey("old"), seededKey("new")}, "rsa2048": {rsaKey("old", 2048), rsaKey("new", 2048)}} {
		b.Run(what, func(b *testing.B) {
			w := newWorld(b, keys[0])
			k := w.kur(keys[1])
			var der []byte
			for b.Loop() {
				der = must(b)(k.Build(nil))
			}
			b.ReportMetric(float64(len(der)), "bytes")
		})
	}
}

// BenchmarkBuildAll is the kiosk's share of one renewal: attestation and nested.
func BenchmarkBuildAll(b *testing.B) {
	w := newWorld(b, rsaKey("old", 2048))
	kur := must(b)(w.kur(rsaKey("new", 2048)).Build(nil))
	var der []byte
	for b.Loop() {
		der = w.attested(b, kur)
	}
	b.ReportMetric(float64(len(der)), "bytes")
}

func BenchmarkParse(b *testing.B) {
	w := newWorld(b, rsaKey("old", 2048))
	der := w.attested(b, must(b)(w.kur(rsaKey("new", 2048)).Build(nil)))
	b.SetBytes(int64(len(der)))
	for b.Loop() {
		mustParse(b, der)
	}
}

func BenchmarkCheck(b *testing.B) {
	s := newScene(b)
	der := s.der(b)
	for b.Loop() {
		if _, err := s.expect.Check(der); err != nil {
			b.Fatal(err)
		}
	}
}
