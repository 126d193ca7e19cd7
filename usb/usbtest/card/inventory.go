package card

// Inventory counts what the directory files PrKDF, PuKDF and CDF list (PKCS #15,
// 6.1), which is what a PKCS#11 module shows, and the files of private keys: a
// generation that was cut off leaves a file that is not listed.
type Inventory struct{ PrivateKeys, PublicKeys, Certificates, KeyFiles int }

// Inventory is what is on the card.
func (c *Card) Inventory() (n Inventory) {
	df := c.root.child(idApplication)
	if df == nil {
		return n
	}
	for _, f := range df.children {
		switch {
		case f.kind == RSAKey || f.kind == ECKey:
			n.KeyFiles++
		case f.id == 0x4402:
			n.PrivateKeys = entries(f.data)
		case f.id == 0x4404:
			n.PublicKeys = entries(f.data)
		case f.id == 0x4403:
			n.Certificates = entries(f.data)
		}
	}
	return n
}

// entries counts the objects in a directory file, which ends with zeros.
func entries(data []byte) (n int) {
	for {
		tag, _, rest, ok := nextTLV(data)
		if !ok || tag == 0 {
			return n
		}
		n++
		data = rest
	}
}
