package module

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"unsafe"

	p11 "github.com/miekg/pkcs11"
)

// probe is what a module itself says of its first slot with an initialised token
// that wants a login, past everything this package bears with.
type probe struct {
	Cryptoki   string
	Slot       uint
	Serial     string
	Mechanisms []uint
}

func (p probe) has(mech uint) bool {
	for _, m := range p.Mechanisms {
		if m == mech {
			return true
		}
	}
	return false
}

// probe asks the module in a process of its own: where it lives, a worker lives.
func (s soft) probe(tb testing.TB) (p probe) {
	tb.Helper()
	self, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	out := filepath.Join(tb.TempDir(), "probe")
	line := append(append([]string{}, s.via...), self, s.module)
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Env = append(append([]string{}, s.env...), "MODULE_TEST_PROBE="+out)
	if said, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("probe: %v\n%s", err, said)
	}
	b, err := os.ReadFile(out)
	if err == nil {
		err = json.Unmarshal(b, &p)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func probeMain(out string) {
	p, err := ask(os.Args[len(os.Args)-1])
	if err == nil {
		var b []byte
		if b, err = json.Marshal(p); err == nil {
			err = os.WriteFile(out, b, 0o600)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func ask(path string) (p probe, err error) {
	ctx := p11.New(path)
	if ctx == nil {
		return p, fmt.Errorf("%s cannot be loaded", path)
	}
	var opts []p11.InitializeOption
	if params := os.Getenv("MODULE_TEST_INIT"); params != "" {
		b := append([]byte(params), 0)
		var pin runtime.Pinner
		pin.Pin(&b[0])
		defer pin.Unpin()
		opts = append(opts, p11.InitializeWithReserved(unsafe.Pointer(&b[0])))
	}
	if err := ctx.Initialize(opts...); err != nil {
		return p, err
	}
	defer ctx.Finalize()
	info, err := ctx.GetInfo()
	if err != nil {
		return p, err
	}
	p.Cryptoki = fmt.Sprintf("%d.%02d", info.CryptokiVersion.Major, info.CryptokiVersion.Minor)
	slots, err := ctx.GetSlotList(true)
	if err != nil {
		return p, err
	}
	for _, slot := range slots {
		token, err := ctx.GetTokenInfo(slot)
		if err != nil || token.Flags&p11.CKF_TOKEN_INITIALIZED == 0 || token.Flags&p11.CKF_LOGIN_REQUIRED == 0 {
			continue
		}
		p.Slot, p.Serial = slot, trim(token.SerialNumber)
		list, err := ctx.GetMechanismList(slot)
		for _, m := range list {
			p.Mechanisms = append(p.Mechanisms, m.Mechanism)
		}
		return p, err
	}
	return p, fmt.Errorf("no token in %d slots", len(slots))
}
