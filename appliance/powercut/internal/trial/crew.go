package trial

import (
	"bytes"
	"encoding/gob"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"mohr.internal/appliance/powercut/internal/disk"
)

// diskSize is enough for the journal of a trial and the file system's own.
const diskSize = 20 << 20

// limit is how long one power cut may take; the kiosk hangs if it takes longer.
const limit = 10 * time.Minute

// bench is a place where disks are recorded or examined: a disk, the folder it
// is mounted in, and a worker process, started when it is needed.
type bench struct {
	disk    *disk.Disk
	log     *disk.Log // of the last order to record
	said    []byte    // the kiosk's log meanwhile
	file    string
	mount   string
	scratch string
	fixture *fixture
	worker  *worker
}

// worker is a process that Work runs in.
type worker struct {
	cmd     *exec.Cmd
	orders  *gob.Encoder
	answers *gob.Decoder
	files   []*os.File
	stderr  bytes.Buffer
	once    sync.Once
}

// workerVariable in the environment makes a process a worker.
const workerVariable = "MOHR_POWERCUT_WORKER"

// IsWorker says whether this process was started to call Work.
func IsWorker() bool { return os.Getenv(workerVariable) != "" }

func startWorker() (*worker, error) {
	theirOrders, ourOrders, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	ourAnswers, theirAnswers, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	w := &worker{cmd: exec.Command("/proc/self/exe"), files: []*os.File{ourOrders, ourAnswers}}
	w.cmd.Env = append(os.Environ(), workerVariable+"=1")
	w.cmd.ExtraFiles = []*os.File{theirOrders, theirAnswers}
	w.cmd.Stderr = &w.stderr
	// A terminal's Ctrl-C is for us alone. What a worker mounts is unmounted by the
	// kernel in the worker's own end, whatever that is, and never in ours: there it
	// would wait for answers that only we can give.
	w.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, Unshareflags: syscall.CLONE_NEWNS}
	err = w.cmd.Start()
	theirOrders.Close()
	theirAnswers.Close()
	if err != nil {
		return nil, err
	}
	w.orders, w.answers = gob.NewEncoder(ourOrders), gob.NewDecoder(ourAnswers)
	return w, nil
}

// stop ends a worker: when its orders end it ends by itself, else it is killed.
func (w *worker) stop(kill bool) {
	w.once.Do(func() {
		if kill {
			w.cmd.Process.Kill()
		}
		w.files[0].Close()
		timer := time.AfterFunc(10*time.Second, func() { w.cmd.Process.Kill() })
		w.cmd.Wait()
		timer.Stop()
		w.files[1].Close()
	})
}

// crash is the end of a worker that nobody asked for.
type crash struct{ text string }

func (c *crash) Error() string { return "worker ended: " + c.text }

// do has the worker carry out an order and notes what it tells.
func (b *bench) do(o order) (Result, error) {
	if b.worker == nil {
		w, err := startWorker()
		if err != nil {
			return Result{}, err
		}
		b.worker = w
	}
	o.Disk, o.Mount, o.Scratch, o.Fixture = b.file, b.mount, b.scratch, b.fixture
	w := b.worker
	late := time.AfterFunc(limit, func() { w.cmd.Process.Kill() })
	defer late.Stop()
	if err := w.orders.Encode(o); err != nil {
		return Result{}, b.lost(err, late)
	}
	for {
		var a answer
		if err := w.answers.Decode(&a); err != nil {
			return Result{}, b.lost(err, late)
		}
		switch {
		case a.Done && a.Err != "":
			return a.Result, errors.New(a.Err)
		case a.Done:
			return a.Result, nil
		case a.Begin:
			b.disk.Record()
		case a.Break:
			b.disk.Break(o.fault)
		case a.End:
			b.log, b.said = b.disk.Stop(), a.Log
			b.disk.Break(disk.Fault{})
		case a.Note != nil:
			data, err := a.Note.encode()
			if err != nil {
				return Result{}, err
			}
			b.disk.Note(data)
		}
		if err := w.orders.Encode(true); err != nil {
			return Result{}, b.lost(err, late)
		}
	}
}

// lost clears up after a worker that died.
func (b *bench) lost(err error, late *time.Timer) error {
	w := b.worker
	b.worker = nil
	text := fmt.Sprint(err)
	if !late.Stop() {
		text = fmt.Sprintf("no end after %v", limit)
	}
	w.stop(true)
	if s := w.stderr.String(); s != "" {
		text += "\n" + s[:min(len(s), 4000)]
	}
	return &crash{text}
}

// dismiss ends the worker; the next order starts another.
func (b *bench) dismiss() {
	if b.worker != nil {
		b.worker.stop(false)
		b.worker = nil
	}
}

// Need says what is missing on this machine for disks of our own, nil if
// nothing is.
func Need() error {
	if os.Geteuid() != 0 {
		return errors.New("not root: disks cannot be served and mounted")
	}
	for _, path := range []string{"/dev/fuse", "/dev/loop-control"} {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return fmt.Errorf("cannot open %s: %w", path, err)
		}
		defer f.Close()
		if path == "/dev/fuse" {
			continue
		}
		n, err := unix.IoctlRetInt(int(f.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return fmt.Errorf("no free loop device: %w", err)
		}
		if _, err := os.Stat(fmt.Sprintf("/dev/loop%d", n)); err != nil { // a container without the kernel's own /dev
			return fmt.Errorf("free loop device: %w", err)
		}
	}
	for _, name := range []string{"mkfs.ext4", "e2fsck"} {
		if _, err := exec.LookPath(name); err != nil {
			return fmt.Errorf("%s is missing (Debian package e2fsprogs)", name)
		}
	}
	return nil
}

// isolatedVariable in the environment says that Isolate has done its work.
const isolatedVariable = "MOHR_POWERCUT_ISOLATED"

// Isolate starts this program again in a mount namespace of its own, unless
// that is done. What is mounted there the kernel unmounts when the last process
// in it ends, whatever ends it; nothing is left behind and nothing of others is
// seen or touched.
func Isolate() error {
	if os.Getenv(isolatedVariable) != "" {
		return nil
	}
	if err := unshare(); err != nil {
		return fmt.Errorf("mount namespace: %w", err)
	}
	return syscall.Exec("/proc/self/exe", os.Args, append(os.Environ(), isolatedVariable+"=1"))
}

// site is where everything of a run is: a file system in memory with the
// fixture, the disks' files and the benches' folders.
type site struct {
	dir     string
	shelf   *disk.Shelf
	benches []*bench
	fixture *fixture
}

// newSite makes benches. Isolate has been called.
func newSite(n int, now time.Time) (s *site, err error) {
	s = &site{}
	if s.dir, err = os.MkdirTemp("", "mohr-powercut-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if err := unix.Mount("mohr-powercut", s.dir, "tmpfs", 0, "mode=0700,size=256m"); err != nil {
		return nil, fmt.Errorf("tmpfs: %w", err)
	}
	if s.fixture, err = newFixture(s.dir, now); err != nil {
		return nil, err
	}
	var disks []*disk.Disk
	for range n {
		disks = append(disks, disk.NewDisk(diskSize))
	}
	folder := func(name string) string {
		path := filepath.Join(s.dir, name)
		err = errors.Join(err, os.Mkdir(path, 0o700))
		return path
	}
	files := folder("disks")
	for i, d := range disks {
		s.benches = append(s.benches, &bench{
			disk: d, mount: folder(fmt.Sprint("mount-", i)), scratch: folder(fmt.Sprint("scratch-", i)), fixture: s.fixture,
		})
	}
	if err != nil {
		return nil, err
	}
	if s.shelf, err = disk.Serve(files, disks...); err != nil {
		return nil, err
	}
	for i, b := range s.benches {
		b.file = s.shelf.Path(i)
	}
	return s, nil
}

// close ends the workers and unmounts what newSite mounted.
func (s *site) close() error {
	for _, b := range s.benches {
		b.dismiss()
	}
	var err error
	if s.shelf != nil {
		err = s.shelf.Close()
	}
	unix.Unmount(s.dir, unix.MNT_DETACH)
	return errors.Join(err, os.Remove(s.dir))
}
