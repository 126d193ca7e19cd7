// Package runtime says which files of Debian's packages are in the image, and packs
// them. gokrazy has no C library; tokend needs one, because the vendors' PKCS#11
// modules are shared libraries and the PC/SC daemon is a C program.
//
// The list is explicit: what is not named here is not shipped. Dependency lists are no
// help for what is loaded by name at run time; these are known from experience and
// marked so below. That nothing is missing is checked by package closure.
package runtime

import (
	"fmt"
	"slices"
)

// Arch is a target: Go's and Debian's name, and the folder of its libraries.
type Arch struct {
	Name    string
	Triplet string
	Loader  string // path of the dynamic loader in the image
}

// The two targets.
var (
	AMD64 = Arch{"amd64", "x86_64-linux-gnu", "lib64/ld-linux-x86-64.so.2"}
	ARM64 = Arch{"arm64", "aarch64-linux-gnu", "lib/ld-linux-aarch64.so.1"}
)

// ByName returns a target.
func ByName(name string) (Arch, error) {
	for _, a := range []Arch{AMD64, ARM64} {
		if a.Name == name {
			return a, nil
		}
	}
	return Arch{}, fmt.Errorf("architecture %q: want amd64 or arm64", name)
}

// ModuleDir is where the image keeps PKCS#11 modules; "module_dirs" of tokend's
// configuration names it.
const ModuleDir = "usr/lib/mohr"

// group is a package, or some that belong together, and what is taken of them.
type group struct {
	packages  []string
	libraries []string // into lib/<triplet>
	why       string
}

// Debian's loader has lib/<triplet> compiled in: no cache, no LD_LIBRARY_PATH.
var groups = []group{
	{[]string{"libc6"}, []string{"libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2", "librt.so.1", "libresolv.so.2"},
		"and the loader; the last four are empty shells that older vendor modules still name"},
	{[]string{"libgcc-s1"}, []string{"libgcc_s.so.1"}, "loaded by name when a thread ends; without it pcscd aborts at its first"},
	{[]string{"libstdc++6"}, []string{"libstdc++.so.6"}, "vendor modules"},
	{[]string{"libusb-1.0-0", "libudev1"}, []string{"libusb-1.0.so.0", "libudev.so.1"}, "tokend, the reader driver"},
	{[]string{"pcscd"}, nil, "usr/sbin/pcscd"},
	{[]string{"libsystemd0", "libcap2", "libgcrypt20", "libgpg-error0", "liblzma5", "libzstd1", "liblz4-1"},
		[]string{"libsystemd.so.0", "libcap.so.2", "libgcrypt.so.20", "libgpg-error.so.0", "liblzma.so.5", "libzstd.so.1", "liblz4.so.1"},
		"pcscd as Debian builds it"},
	{[]string{"libccid"}, nil, "the reader driver, a bundle"},
	{[]string{"libpcsclite1"}, []string{"libpcsclite.so.1"}, "loaded by name by OpenSC"},
	{[]string{"opensc-pkcs11", "opensc"}, []string{"libopensc.so.8"}, "the module, and the profiles without which no key is made"},
	{[]string{"libssl3", "zlib1g"}, []string{"libcrypto.so.3", "libz.so.1"}, "OpenSC"},
	{[]string{"libglib2.0-0", "libmount1", "libblkid1", "libselinux1", "libffi8", "libpcre2-8-0"},
		[]string{"libgio-2.0.so.0", "libgobject-2.0.so.0", "libglib-2.0.so.0", "libgmodule-2.0.so.0",
			"libmount.so.1", "libblkid.so.1", "libselinux.so.1", "libffi.so.8", "libpcre2-8.so.0"},
		"OpenSC as Debian builds it, for desktop notifications that nobody sees"},
}

// buildOnly packages are linked with, or made into something else, not shipped.
var buildOnly = []string{"libusb-1.0-0-dev", "ca-certificates"}

// CertificatesFile is the list of the web's certification authorities, which the
// programs are told to use: the one that gokrazy puts in is the building machine's,
// with whatever its owner has added.
const CertificatesFile = "usr/share/mohr/ca-certificates.pem"

// LoadedByName are the libraries that no ELF file names as needed and that must be
// there all the same.
var LoadedByName = []string{"libgcc_s.so.1", "libpcsclite.so.1"}

// Packages are the names that the lock file must have.
func Packages() []string {
	names := slices.Clone(buildOnly)
	for _, g := range groups {
		names = append(names, g.packages...)
	}
	slices.Sort(names)
	return names
}

// entry is a file of the image: where it goes, where it is from, or what it points to.
type entry struct {
	to, from string
	mode     uint32
	link     string
}

// entries are the files for one target, glob patterns not yet resolved.
func entries(a Arch) []entry {
	lib := "lib/" + a.Triplet
	out := []entry{
		{to: a.Loader, mode: 0o755},
		{to: "usr/sbin/pcscd", mode: 0o755},
		// Debian's Info.plist is a link to /etc.
		{to: "usr/lib/pcsc/drivers/ifd-ccid.bundle/Contents/Info.plist", from: "etc/libccid_Info.plist", mode: 0o644},
		{to: "usr/lib/pcsc/drivers/ifd-ccid.bundle/Contents/Linux/libccid.so", mode: 0o755},
		{to: "usr/lib/" + a.Triplet + "/opensc-pkcs11.so", mode: 0o755},
		{to: ModuleDir + "/opensc-pkcs11.so", link: "../" + a.Triplet + "/opensc-pkcs11.so"},
		{to: "usr/share/opensc/*.profile", mode: 0o644},
	}
	for _, g := range groups {
		for _, l := range g.libraries {
			out = append(out, entry{to: lib + "/" + l, mode: 0o755})
		}
	}
	return out
}
