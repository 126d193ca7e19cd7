package card

// Listed counts the private keys and certificates that the directory files PrKDF
// and CDF list (PKCS #15, 6.1), which is what a PKCS#11 module shows, and the files
// of private keys: a generation that was cut off leaves a file that is not listed.
func (c *Card) Listed() (keys, certificates, keyFiles int) {
	df := c.root.child(idApplication)
	if df == nil {
		return 0, 0, 0
	}
	for _, f := range df.children {
		switch {
		case f.kind == RSAKey || f.kind == ECKey:
			keyFiles++
		case f.id == 0x4402:
			keys = entries(f.data)
		case f.id == 0x4403:
			certificates = entries(f.data)
		}
	}
	return keys, certificates, keyFiles
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
