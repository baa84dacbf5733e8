package unzip

import (
	"errors"
	"os"
	"runtime"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The kernel's interface for writes that nobody waits for in it (io_submit(2),
// linux/aio_abi.h). A blocked system call keeps a processor of the Go scheduler
// from others until that notices, which takes about as long as such a write; a
// goroutine that waits for an event keeps nothing.
const (
	aioPwritev   = 8 // IOCB_CMD_PWRITEV
	aioEventFlag = 1 // IOCB_FLAG_RESFD
)

// iocb is a request, struct iocb.
type iocb struct {
	data     uint64
	key, rwf uint32 // the other way round on big-endian machines; both are 0
	opcode   uint16
	priority int16
	file     uint32
	pieces   uint64 // address of them
	count    uint64
	offset   int64
	_        uint64
	flags    uint32
	event    uint32
}

// ioEvent is a result, struct io_event.
type ioEvent struct {
	data, request uint64
	result, _     int64
}

// asyncWritesMax is how many writes are under way at once; more block.
const asyncWritesMax = 32

// asyncWriter does direct writes, as many at once as there are callers.
type asyncWriter struct {
	mu      sync.Mutex
	context uintptr // aio_context_t; it takes long to destroy, so there is one
	absent  bool    // the kernel has none
	all     []*request
	free    []*request
}

// request is what one write at a time is done with. It is only made on the heap,
// for the kernel has addresses of it.
type request struct {
	event   *os.File // becomes readable when the write is done
	eventFD uint32   // of event, which File.Fd would make block
	cb      iocb
	pieces  []unix.Iovec
	done    bool
	result  int64 // of a write that is done: bytes, or the error as a negative number
}

// write is pwritev, which may write less than everything. Where the kernel has
// no asynchronous writes it blocks.
func (a *asyncWriter) write(f *os.File, pieces [][]byte, offset int64) (int, error) {
	r := a.take()
	if r == nil {
		return unix.Pwritev(int(f.Fd()), pieces, offset)
	}
	defer a.give(r)
	if err := r.submit(a.context, f, pieces, offset); errors.Is(err, unix.EAGAIN) {
		return unix.Pwritev(int(f.Fd()), pieces, offset)
	} else if err != nil {
		return 0, err
	}
	n, err := a.wait(r)
	runtime.KeepAlive(pieces)
	return n, err
}

// take returns nil if there is none to be had.
func (a *asyncWriter) take() *request {
	a.mu.Lock()
	defer a.mu.Unlock()
	if n := len(a.free); n > 0 {
		r := a.free[n-1]
		a.free, r.done = a.free[:n-1], false
		return r
	}
	if a.absent || len(a.all) == asyncWritesMax {
		return nil
	}
	if len(a.all) == 0 {
		_, _, errno := unix.Syscall(unix.SYS_IO_SETUP, asyncWritesMax, uintptr(unsafe.Pointer(&a.context)), 0)
		a.absent = errno != 0
	}
	fd, err := -1, error(nil)
	if !a.absent {
		fd, err = unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	}
	if a.absent || err != nil {
		return nil
	}
	r := &request{event: os.NewFile(uintptr(fd), "eventfd"), eventFD: uint32(fd)}
	r.cb.data = uint64(len(a.all))
	a.all = append(a.all, r)
	return r
}

func (a *asyncWriter) give(r *request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.free = append(a.free, r)
}

// close is called when no write is under way.
func (a *asyncWriter) close() {
	for _, r := range a.all {
		r.event.Close()
	}
	if a.context != 0 {
		unix.Syscall(unix.SYS_IO_DESTROY, a.context, 0, 0)
	}
	a.all, a.free, a.context = nil, nil, 0
}

// wait returns when the write of r is done, whatever else happens: the memory
// is used until then.
func (a *asyncWriter) wait(r *request) (int, error) {
	var signal [8]byte
	_, _ = r.event.Read(signal[:]) // if that fails reap waits
	a.mu.Lock()
	defer a.mu.Unlock()
	for !r.done {
		if err := a.reap(); err != nil {
			return 0, err
		}
	}
	if r.result < 0 {
		return 0, unix.Errno(-r.result)
	}
	return int(r.result), nil
}

// reap takes the results of writes that are done, and waits for one.
func (a *asyncWriter) reap() error {
	var events [asyncWritesMax]ioEvent
	n, _, errno := unix.Syscall6(unix.SYS_IO_GETEVENTS, a.context, 1, uintptr(len(events)), uintptr(unsafe.Pointer(&events)), 0, 0)
	if errno == unix.EINTR {
		return nil
	}
	if errno != 0 {
		return errno
	}
	for _, e := range events[:n] {
		r := a.all[e.data]
		r.done, r.result = true, e.result
	}
	return nil
}

// submit begins a write of at most runPiecesMax pieces. They are the kernel's
// until wait returns.
func (r *request) submit(context uintptr, f *os.File, pieces [][]byte, offset int64) error {
	r.pieces = r.pieces[:0]
	for _, p := range pieces[:min(len(pieces), runPiecesMax)] {
		if len(p) > 0 {
			v := unix.Iovec{Base: &p[0]}
			v.SetLen(len(p))
			r.pieces = append(r.pieces, v)
		}
	}
	r.cb = iocb{
		data: r.cb.data, opcode: aioPwritev, file: uint32(f.Fd()), offset: offset, flags: aioEventFlag, event: r.eventFD,
		pieces: uint64(uintptr(unsafe.Pointer(unsafe.SliceData(r.pieces)))), count: uint64(len(r.pieces)),
	}
	list := []*iocb{&r.cb}
	_, _, errno := unix.Syscall(unix.SYS_IO_SUBMIT, context, 1, uintptr(unsafe.Pointer(&list[0])))
	if errno != 0 {
		return errno
	}
	return nil
}
