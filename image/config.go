package image

import (
	"encoding/json"
	"fmt"
	"slices"
)

// Programs of ours, as import paths. init is built by gokrazy like any package, but
// stands in for its own.
const (
	Module = "mohr.internal"
	Kioskd = Module + "/appliance/kioskd"
	Syncd  = Module + "/appliance/syncd"
	Tokend = Module + "/appliance/tokend"
	Init   = Module + "/image/gokrazy/init"
	Hello  = Module + "/image/gokrazy/hello"
)

// system is what runs of gokrazy: an address, the time, and randomness that survives
// a restart.
var system = []string{
	"github.com/gokrazy/gokrazy/cmd/dhcp",
	"github.com/gokrazy/gokrazy/cmd/ntp",
	"github.com/gokrazy/gokrazy/cmd/randomd",
}

// Build is what a configuration needs to know of the machine that builds.
type Build struct {
	Version string
	Sysroot string // absolute path of the unpacked packages
	Runtime string // absolute path of the runtime's tar without "_<arch>.tar"
	CC      string
}

// gokConfig are the keys of gokrazy's config.json that we use. What is left out is
// off, with two exceptions: FirmwarePackage and EEPROMPackage left out are the Pi's.
type gokConfig struct {
	Hostname        string
	Environment     []string
	Packages        []string
	PackageConfig   map[string]packageConfig `json:",omitempty"`
	GokrazyPackages []string
	KernelPackage   string
	FirmwarePackage *string  `json:",omitempty"`
	EEPROMPackage   *string  `json:",omitempty"`
	SerialConsole   string   `json:",omitempty"`
	KernelExtraArgs []string `json:",omitempty"`
	Update          struct {
		NoPassword bool
		UseTLS     string
	}

	InternalCompatibilityFlags struct {
		InitPkg string `json:",omitempty"`
	}
}

type packageConfig struct {
	GoBuildFlags       []string          `json:",omitempty"`
	GoBuildEnvironment []string          `json:",omitempty"`
	ExtraFilePaths     map[string]string `json:",omitempty"`
}

func (i Instance) base() gokConfig {
	c := gokConfig{
		Hostname:        "mohr",
		Environment:     []string{"GOOS=linux", "GOARCH=" + i.Arch.Name},
		GokrazyPackages: system,
		KernelPackage:   i.Kernel,
		SerialConsole:   i.Serial,
		KernelExtraArgs: i.KernelArgs,
	}
	c.Update.NoPassword, c.Update.UseTLS = true, "off"
	if !i.RaspberryPi {
		none := ""
		c.FirmwarePackage, c.EEPROMPackage = &none, &none
	}
	return c
}

// Config is the config.json of the appliance. It holds paths of the building machine
// and belongs among the build's output.
func (i Instance) Config(b Build) ([]byte, error) {
	c := i.base()
	c.Packages = []string{Kioskd, Syncd, Tokend}
	c.InternalCompatibilityFlags.InitPkg = Init
	flags := []string{"-trimpath", "-buildvcs=false", "-ldflags=-s -w"}
	static := packageConfig{GoBuildFlags: flags, GoBuildEnvironment: []string{"CGO_ENABLED=0"}}
	c.PackageConfig = map[string]packageConfig{
		Kioskd: static,
		Syncd:  static,
		Init:   {GoBuildFlags: []string{flags[0], flags[1], flags[2] + " -X main.version=" + b.Version}, GoBuildEnvironment: static.GoBuildEnvironment},
		Tokend: {GoBuildFlags: flags, GoBuildEnvironment: i.cgo(b), ExtraFilePaths: map[string]string{"/": b.Runtime}},
	}
	for _, p := range system {
		c.PackageConfig[p] = static
	}
	return marshal(c)
}

// Bare is the config.json of a plain gokrazy with a program that says hello: what size
// and boot time are compared with.
func (i Instance) Bare() ([]byte, error) {
	c := i.base()
	c.Hostname = "bare"
	c.Packages = []string{Hello}
	return marshal(c)
}

// cgo is the environment in which tokend is compiled and linked against the very
// libraries that are shipped.
func (i Instance) cgo(b Build) []string {
	u, l := b.Sysroot+"/usr/lib/"+i.Arch.Triplet, b.Sysroot+"/lib/"+i.Arch.Triplet
	return []string{
		"CGO_ENABLED=1",
		"CC=" + b.CC,
		"PKG_CONFIG_SYSROOT_DIR=" + b.Sysroot,
		"PKG_CONFIG_LIBDIR=" + u + "/pkgconfig",
		fmt.Sprintf("CGO_LDFLAGS=-L%s -L%s -Wl,-rpath-link,%s -Wl,-rpath-link,%s", u, l, u, l),
	}
}

func marshal(c gokConfig) ([]byte, error) {
	slices.Sort(c.Packages)
	b, err := json.MarshalIndent(c, "", "\t")
	if err != nil {
		return nil, err
	}
	return append(b, '\n'), nil
}
