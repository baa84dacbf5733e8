package unzip

import (
	"errors"
	"io"
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

// asyncWriter does direct writes, as many at once as there are callers.
type asyncWriter struct {
	mu   sync.Mutex
	free []*request
}

// request is what one write at a time is done with. It is only made on the heap,
// for the kernel has addresses of it.
type request struct {
	context uintptr  // aio_context_t
	event   *os.File // becomes readable when the write is done
	eventFD uint32   // of event, which File.Fd would make block
	cb      iocb
	pieces  []unix.Iovec
}

// write is pwritev, which may write less than everything. Where the kernel has
// no asynchronous writes it blocks.
func (a *asyncWriter) write(f *os.File, pieces [][]byte, offset int64) (int, error) {
	r := a.take()
	if r == nil {
		return unix.Pwritev(int(f.Fd()), pieces, offset)
	}
	defer a.give(r)
	if err := r.submit(f, pieces, offset); errors.Is(err, unix.EAGAIN) {
		return unix.Pwritev(int(f.Fd()), pieces, offset)
	} else if err != nil {
		return 0, err
	}
	n, err := r.wait()
	runtime.KeepAlive(pieces)
	return n, err
}

func (a *asyncWriter) take() *request {
	a.mu.Lock()
	defer a.mu.Unlock()
	if n := len(a.free); n > 0 {
		r := a.free[n-1]
		a.free = a.free[:n-1]
		return r
	}
	r, err := newRequest()
	if err != nil {
		return nil
	}
	return r
}

func (a *asyncWriter) give(r *request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.free = append(a.free, r)
}

// close is called when no write is under way.
func (a *asyncWriter) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range a.free {
		r.close()
	}
	a.free = nil
}

func newRequest() (*request, error) {
	r := &request{}
	if _, _, errno := unix.Syscall(unix.SYS_IO_SETUP, 1, uintptr(unsafe.Pointer(&r.context)), 0); errno != 0 {
		return nil, errno
	}
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		unix.Syscall(unix.SYS_IO_DESTROY, r.context, 0, 0)
		return nil, err
	}
	r.event, r.eventFD = os.NewFile(uintptr(fd), "eventfd"), uint32(fd)
	return r, nil
}

func (r *request) close() {
	unix.Syscall(unix.SYS_IO_DESTROY, r.context, 0, 0)
	r.event.Close()
}

// submit begins a write of at most runPiecesMax pieces. They are the kernel's
// until wait returns.
func (r *request) submit(f *os.File, pieces [][]byte, offset int64) error {
	r.pieces = r.pieces[:0]
	for _, p := range pieces[:min(len(pieces), runPiecesMax)] {
		if len(p) > 0 {
			v := unix.Iovec{Base: &p[0]}
			v.SetLen(len(p))
			r.pieces = append(r.pieces, v)
		}
	}
	r.cb = iocb{
		opcode: aioPwritev, file: uint32(f.Fd()), offset: offset, flags: aioEventFlag, event: r.eventFD,
		pieces: uint64(uintptr(unsafe.Pointer(unsafe.SliceData(r.pieces)))), count: uint64(len(r.pieces)),
	}
	list := []*iocb{&r.cb}
	_, _, errno := unix.Syscall(unix.SYS_IO_SUBMIT, r.context, 1, uintptr(unsafe.Pointer(&list[0])))
	if errno != 0 {
		return errno
	}
	return nil
}

// wait returns when the write is done, whatever else happens: the memory is
// used until then.
func (r *request) wait() (int, error) {
	var signal [8]byte
	_, _ = r.event.Read(signal[:]) // the result says more than any error here
	var done ioEvent
	for {
		n, _, errno := unix.Syscall6(unix.SYS_IO_GETEVENTS, r.context, 1, 1, uintptr(unsafe.Pointer(&done)), 0, 0)
		switch {
		case errno == unix.EINTR:
		case errno != 0:
			return 0, errno
		case n == 0:
			return 0, io.ErrUnexpectedEOF
		case done.result < 0:
			return 0, unix.Errno(-done.result)
		default:
			return int(done.result), nil
		}
	}
}
