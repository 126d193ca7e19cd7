package disk

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// Shelf is a mounted folder of disks, each of them a file.
type Shelf struct {
	dir    string
	server *fuse.Server
}

// Serve mounts the disks in an empty folder, as files 0, 1, and so on. The
// process that serves a disk must not use it through the kernel itself: killed
// at the wrong moment it would wait for its own answer for ever.
func Serve(dir string, disks ...*Disk) (*Shelf, error) {
	root := &folder{disks: disks}
	hour := time.Hour
	server, err := fs.Mount(dir, root, &fs.Options{
		AttrTimeout: &hour, EntryTimeout: &hour,
		MountOptions: fuse.MountOptions{
			DirectMountStrict: true, DisableXAttrs: true, FsName: "mohr-powercut", Name: "mohr-powercut",
			MaxWrite: 128 << 10, Logger: log.New(io.Discard, "", 0),
		},
	})
	if err != nil {
		return nil, fmt.Errorf("disk: serve in %s: %w", dir, err)
	}
	if err := keepPrivate(); err != nil {
		server.Unmount()
		return nil, err
	}
	return &Shelf{dir, server}, nil
}

// keepPrivate has no child process inherit our end of FUSE, which go-fuse opens
// without O_CLOEXEC. Our end must end with us: only then does the kernel answer
// whoever still waits for us, with an error, and lets everything go.
func keepPrivate() error {
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return fmt.Errorf("disk: %w", err)
	}
	for _, n := range names {
		fd, err := strconv.Atoi(n.Name())
		if target, _ := os.Readlink("/proc/self/fd/" + n.Name()); err == nil && target == "/dev/fuse" {
			unix.CloseOnExec(fd)
		}
	}
	return nil
}

// Path is the file of the n-th disk.
func (s *Shelf) Path(n int) string { return filepath.Join(s.dir, fmt.Sprint(n)) }

// Close unmounts the folder. It fails while a disk is in use.
func (s *Shelf) Close() error { return s.server.Unmount() }

type folder struct {
	fs.Inode
	disks []*Disk
}

var _ fs.NodeOnAdder = (*folder)(nil)

func (f *folder) OnAdd(ctx context.Context) {
	for i, d := range f.disks {
		f.AddChild(fmt.Sprint(i), f.NewPersistentInode(ctx, &node{disk: d}, fs.StableAttr{Mode: fuse.S_IFREG}), true)
	}
}

// node is a disk as a file. The kernel keeps none of its pages: what is loaded
// is what is read, and every write comes here before it is answered.
type node struct {
	fs.Inode
	disk *Disk
}

var _ = (interface {
	fs.NodeGetattrer
	fs.NodeOpener
	fs.NodeReader
	fs.NodeWriter
	fs.NodeFsyncer
})((*node)(nil))

func (n *node) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Mode, out.Size = fuse.S_IFREG|0o600, uint64(n.disk.Size())
	return 0
}

func (n *node) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, fuse.FOPEN_DIRECT_IO, 0
}

func (n *node) Read(_ context.Context, _ fs.FileHandle, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	got, err := n.disk.ReadAt(dest, off)
	if err != nil && err != io.EOF {
		return nil, syscall.EIO
	}
	return fuse.ReadResultData(dest[:got]), 0
}

func (n *node) Write(_ context.Context, _ fs.FileHandle, data []byte, off int64) (uint32, syscall.Errno) {
	done, err := n.disk.WriteAt(data, off)
	if err != nil {
		return 0, syscall.EIO
	}
	return uint32(done), 0
}

func (n *node) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	if n.disk.Flush() != nil {
		return syscall.EIO
	}
	return 0
}
