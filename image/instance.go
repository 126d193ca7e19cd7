package image

import (
	"fmt"
	"slices"
	"strings"

	"mohr.internal/image/runtime"
)

// Instance is one kind of image.
type Instance struct {
	Name   string
	Arch   runtime.Arch
	Kernel string // Go package of gokrazy's that holds it

	RaspberryPi bool // with the Pi's firmware and boot loader
	Serial      string
	KernelArgs  []string
	Bytes       int64 // of the whole image
}

// authorized keeps the kernel's hands off every USB device: only what tokend admits
// exists, and a "token" that is really a keyboard types nothing.
const authorized = "usbcore.authorized_default=0"

// Instances are all of them.
var Instances = []Instance{
	{
		Name: "rpi", Arch: runtime.ARM64, Kernel: "github.com/gokrazy/kernel.rpi", RaspberryPi: true,
		Serial:     "off", // no console on the pins, and the serial port itself stays off
		KernelArgs: []string{authorized},
		Bytes:      2 << 30,
	},
	{
		Name: "amd64", Arch: runtime.AMD64, Kernel: "github.com/gokrazy/kernel.amd64",
		Serial: "ttyS0,115200",
		// The kernel package's own command line waits ten seconds for the root.
		KernelArgs: []string{"rootdelay=0", "rootwait", authorized},
		Bytes:      3 << 29,
	},
}

// ByName returns an instance.
func ByName(name string) (Instance, error) {
	var names []string
	for _, i := range Instances {
		if i.Name == name {
			return i, nil
		}
		names = append(names, i.Name)
	}
	slices.Sort(names)
	return Instance{}, fmt.Errorf("instance %q: want one of %s", name, strings.Join(names, ", "))
}

// CheckCommandLine looks through the arguments that a kernel is started with, or a file
// in which they stand: our own are there, init is gokrazy's path, and there is no
// console but the ones meant.
func (i Instance) CheckCommandLine(text string) error {
	consoles := []string{"console=tty1"}
	if i.Serial != "off" {
		consoles = append(consoles, "console="+i.Serial)
	}
	words := strings.Fields(text)
	for _, want := range append(append(consoles, "init=/gokrazy/init"), i.KernelArgs...) {
		if !slices.Contains(words, want) {
			return fmt.Errorf("%s is missing in %q", want, strings.Join(words, " "))
		}
	}
	for _, w := range words {
		if strings.HasPrefix(w, "console=") && !slices.Contains(consoles, w) ||
			strings.HasPrefix(w, "init=") && w != "init=/gokrazy/init" ||
			strings.HasPrefix(w, "usbcore.authorized_default=") && w != authorized {
			return fmt.Errorf("%s does not belong in %q", w, strings.Join(words, " "))
		}
	}
	return nil
}

// Partitions as gokrazy lays them out: 4 MiB, boot of 100 MiB, two roots of 500 MiB,
// and /perm up to the end, less the second partition table.
const (
	mib        = 1 << 20
	BootOffset = 4 * mib
	RootOffset = 104 * mib
	PermOffset = 1104 * mib
)

// PermBytes is the size of /perm: to the end of the image but for the last 34 sectors,
// rounded down to whole blocks of 4096 bytes.
func (i Instance) PermBytes() int64 { return (i.Bytes - PermOffset - 34*512) &^ 4095 }
