// Package desk is a counter without hardware: it makes a throw-away world round the kiosk's three real
// programs and lets a person in a browser, or scripted people, use it.
//
//   - Place: a folder with all that the programs need, made by Provision: a demo PKI, SoftHSM tokens made
//     with softhsm2-util and pkcs11-tool, the kiosk's keys, a signed profile, one configuration file each.
//   - World: the programs running in a Place, with what happens round them: tokens put in and pulled,
//     the network to the CA, how the CA answers, the date, power cuts.
//   - Glass: the far end of the kiosk's panel. It shows the pixels the kiosk drew and takes touches and keys.
//   - Page: the Glass and the bench in a browser on 127.0.0.1.
//   - People: hands and eyes for tests and for the demo: wait for a screen, press what is on it.
//
// Nothing here is part of the kiosk, and no program of the kiosk imports it. The kiosk cannot tell a desk
// from a counter except by its configuration: where the panel's socket is, which devices the bench may
// insert, and that the date comes from a file.
//
// Not done here: scanning real USB, real panels, more than one kiosk in one world. The keys and PINs of a
// Place protect nothing and must never be used for anything else.
package desk
