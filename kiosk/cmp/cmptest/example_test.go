package cmptest_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"log"
	"net/http/httptest"
	"time"

	"mohr.internal/kiosk/cmp/cmptest"
)

// A CA that makes the first requester ask twice. Point a kiosk or
// "openssl cmp -cmd kur" at the server's address.
func Example() {
	now := time.Date(2026, 3, 21, 9, 30, 0, 0, time.UTC)
	pki, err := cmptest.New(cmptest.Options{Time: now, Seed: "example"})
	if err != nil {
		log.Fatal(err)
	}
	token, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader) // on a real desk the key is in a token
	if err != nil {
		log.Fatal(err)
	}
	citizen, err := pki.Citizen(token.Public(), cmptest.CertOptions{DaysLeft: 20})
	if err != nil {
		log.Fatal(err)
	}
	ca, err := cmptest.NewCA(cmptest.CAOptions{PKI: pki, Now: func() time.Time { return now }})
	if err != nil {
		log.Fatal(err)
	}
	ca.Queue(cmptest.Behaviour{Kind: cmptest.WaitPolls, N: 1})
	server := httptest.NewServer(ca)
	defer server.Close()

	fmt.Println(citizen.Subject.CommonName, citizen.Subject.SerialNumber)
	fmt.Println(ca.Behaviour(), len(ca.Issued()))
	// Output:
	// Maryam Rezaei [Sign] 0499370899
	// wait-polls=1 0
}
