// Command e2e boots the appliance's image in QEMU, puts virtual USB tokens into its
// ports, and has scripted people carry first renewals through it with the keypad
// alone. What it looks at is the guest's own display (screendumps), its serial
// console, its network and what the CA and the tokens have afterwards.
//
//	QEMU -M virt, the Raspberry Pi's image     this process
//	  kioskd ── /dev/fb0 ───────────────────▶ screendump, QR code, mohrctl verify
//	         ◀── evdev ── usb-kbd, port 3 ◀── QMP input-send-event
//	  tokend ── usb-ccid, ports 1 and 2 ◀──── QMP device_add, device_del
//	             ccid-card-passthru ◀───────▶ usb/usbtest: two MyEID cards
//	  syncd ─── virtio-net, 10.0.2.2 ───────▶ kiosk/cmp/cmptest: a CA
//	  all ───── serial console ─────────────▶ which screen is shown (kioskd's log)
//
// The image under test differs from the shipped one in its boot entry (a serial
// console, which UEFI reads and the Pi's firmware does not) and in /perm, where a
// throw-away site is put (appliance/desk, ProvisionSite).
//
// It does not show that anything works on a Raspberry Pi: kernel, root and programs
// are the Pi's, the board is not.
package main
