package image

import (
	"slices"
	"strings"
	"testing"

	"mohr.internal/image/runtime"
)

// complete is a root that passes.
func complete(i Instance) []string {
	var out []string
	for _, p := range i.Names() {
		p = strings.ReplaceAll(p, "**", "6.12/kernel/x.ko")
		out = append(out, strings.ReplaceAll(p, "*", "myeid"))
	}
	return out
}

func TestCheckNames(t *testing.T) {
	for _, inst := range Instances {
		root := complete(inst)
		if err := inst.CheckNames(root, nil); err != nil {
			t.Fatalf("%s: %v", inst.Name, err)
		}
		// Each that is missing is named, and so is each that does not belong there.
		for i, name := range root {
			less := slices.Delete(slices.Clone(root), i, i+1)
			if name == maybe {
				if err := inst.CheckNames(less, nil); err != nil {
					t.Errorf("%s: without %s: %v", inst.Name, name, err)
				}
				continue
			}
			if err := inst.CheckNames(less, nil); err == nil || !strings.Contains(err.Error(), " is missing") {
				t.Errorf("%s: without %s: %v", inst.Name, name, err)
			}
		}
		for _, name := range []string{
			"etc/gokr-pw.txt", "etc/ssl/gokrazy-web.pem", "etc/ssl/gokrazy-web.key.pem",
			"user/breakglass", "user/fbstatus", "bin/sh", "perm/sh", "usr/lib/mohr/libvendor.so",
			"usr/share/opensc/sub/x.profile", "lib/other/libc.so.6", "user/hello",
		} {
			err := inst.CheckNames(append(slices.Clone(root), name), nil)
			if err == nil || !strings.Contains(err.Error(), name+" is not expected") {
				t.Errorf("%s: with %s: %v", inst.Name, name, err)
			}
		}
		more := []string{"usr/lib/mohr/libvendor.so"}
		if err := inst.CheckNames(append(slices.Clone(root), more...), more); err != nil {
			t.Errorf("%s: a vendor's module: %v", inst.Name, err)
		}
		if err := inst.CheckNames(root, more); err == nil {
			t.Errorf("%s: a vendor's module that is not there is not missed", inst.Name)
		}
	}
}

// The golden list knows what the dependency lists do not.
func TestNamesHoldTheInvisible(t *testing.T) {
	for _, inst := range Instances {
		names := inst.Names()
		for _, l := range runtime.LoadedByName {
			if !slices.Contains(names, "lib/"+inst.Arch.Triplet+"/"+l) {
				t.Errorf("%s: %s is not in root.txt", inst.Name, l)
			}
		}
		for _, n := range []string{"usr/share/opensc/*.profile", "usr/lib/pcsc/drivers/ifd-ccid.bundle/Contents/Info.plist", inst.Arch.Loader} {
			if !slices.Contains(names, n) {
				t.Errorf("%s: %s is not in root.txt", inst.Name, n)
			}
		}
	}
}
