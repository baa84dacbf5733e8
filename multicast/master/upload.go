package master

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"hyzer/multicast/wire"
)

// Defaults of UploadConfig: those of the C server (spec frisbee B4).
const (
	UploadBytesMaxDefault = 20_000_000_000
	UploadTimeoutDefault  = 1200 * time.Second
	UploadIdleDefault     = 120 * time.Second
	UploadsMaxDefault     = 8
)

const (
	uploadBufferBytes = 256 << 10
	// uploadGrace is added to what the client allows itself, so that the two
	// do not give up at the same moment.
	uploadGrace = 2 * time.Second
	commitTime  = 10 * time.Minute
)

// UploadConfig says who may write images, and how much. Without a Receiver
// uploads are refused.
type UploadConfig struct {
	Receiver Receiver
	// PortBase and PortNum are the range of TCP ports; PortNum 0: any.
	PortBase, PortNum int
	BytesMax          int64         // of one image; 0: UploadBytesMaxDefault
	Timeout           time.Duration // of one upload, the most a client may ask for; 0: UploadTimeoutDefault
	Idle              time.Duration // without a byte; 0: UploadIdleDefault
	UploadsMax        int           // at one time; 0: UploadsMaxDefault
	// OnDone is told how each upload ended, from its goroutine; nil: nobody.
	OnDone func(UploadResult)
}

// UploadResult is how an upload ended.
type UploadResult struct {
	ImageID string
	Client  netip.Addr
	Bytes   int64
	Elapsed time.Duration
	Err     error // nil: it is the newest version now
}

func (c *UploadConfig) fillIn() {
	if c.BytesMax <= 0 {
		c.BytesMax = UploadBytesMaxDefault
	}
	if c.Timeout <= 0 {
		c.Timeout = UploadTimeoutDefault
	}
	if c.Idle <= 0 {
		c.Idle = UploadIdleDefault
	}
	if c.UploadsMax <= 0 {
		c.UploadsMax = UploadsMaxDefault
	}
}

// Errors of an upload.
var (
	errCut     = errors.New("the upload was cut short")
	errTooBig  = errors.New("the upload is larger than was said")
	errNothing = errors.New("the upload has no bytes")
)

// upload is one image that is awaited or comes in.
type upload struct {
	target         Target
	client, caller netip.Addr // whom it is from, and who asked: they may send it
	bytes          int64      // 0: not known
	marked         bool       // not known, but an end mark says that it is whole
	bytesMax       int64
	timeout        time.Duration
	mtime          time.Time

	listener *net.TCPListener
	at       netip.AddrPort
	started  bool // bytes may have come
}

// same says whether a request repeats that of u, whose reply was lost.
func (u *upload) same(o *upload) bool {
	return !u.started && u.client == o.client && u.caller == o.caller && u.bytes == o.bytes && u.marked == o.marked
}

// uploads runs all uploads, one for an image at a time.
type uploads struct {
	cfg    UploadConfig
	log    *slog.Logger
	ctx    context.Context
	cancel context.CancelFunc
	all    sync.WaitGroup

	lock    sync.Mutex
	plan    addressPlan
	running map[string]*upload // by image
}

// newUploads returns nil if there is nobody to take them.
func newUploads(cfg UploadConfig, log *slog.Logger) *uploads {
	if cfg.Receiver == nil {
		return nil
	}
	cfg.fillIn()
	u := &uploads{cfg: cfg, log: log, running: make(map[string]*upload)}
	u.plan = addressPlan{portBase: cfg.PortBase, portNum: cfg.PortNum}
	u.ctx, u.cancel = context.WithCancel(context.Background())
	return u
}

// close breaks off all uploads and waits for them.
func (u *uploads) close() {
	if u == nil {
		return
	}
	u.lock.Lock()
	u.cancel() // under the lock: nothing starts after it
	u.lock.Unlock()
	u.all.Wait()
}

func (u *uploads) bytesMax(t Target) int64 {
	if t.BytesMax > 0 {
		return min(t.BytesMax, u.cfg.BytesMax)
	}
	return u.cfg.BytesMax
}

func (u *uploads) timeout(asked uint32) time.Duration {
	if asked == 0 {
		return u.cfg.Timeout
	}
	return min(time.Duration(asked)*time.Second+uploadGrace, u.cfg.Timeout)
}

// busy returns an error if an upload of the image goes on, unless up is the
// same again. Who only asks for the status never is.
func (u *uploads) busy(up *upload, status bool) error {
	u.lock.Lock()
	defer u.lock.Unlock()
	is, err := u.other(up)
	if status && is != nil {
		err = goesOn(is)
	}
	return err
}

// other returns the upload of the image that goes on, and an error unless up
// repeats it. The caller holds the lock.
func (u *uploads) other(up *upload) (*upload, error) {
	is := u.running[up.target.ID]
	if is == nil || is.same(up) {
		return is, nil
	}
	return is, goesOn(is)
}

func goesOn(is *upload) error {
	return fmt.Errorf("%w: an upload of %s from %v goes on", wire.MasterTryAgain, is.target.ID, is.client)
}

// start listens for the bytes and returns where.
func (u *uploads) start(ctx context.Context, here netip.Addr, up upload) (netip.AddrPort, error) {
	u.lock.Lock()
	defer u.lock.Unlock()
	if err := u.ctx.Err(); err != nil {
		return netip.AddrPort{}, err
	}
	is, err := u.other(&up)
	switch {
	case err != nil:
		return netip.AddrPort{}, err
	case is != nil:
		is.mtime = up.mtime // nobody looks at it before started
		return is.at, nil
	}
	if len(u.running) >= u.cfg.UploadsMax {
		return netip.AddrPort{}, fmt.Errorf("%w: %d uploads go on", wire.MasterTryAgain, len(u.running))
	}
	if err := u.listen(here, &up); err != nil {
		return netip.AddrPort{}, err
	}
	in, err := u.cfg.Receiver.Create(ctx, up.client, up.target)
	if err != nil {
		return netip.AddrPort{}, errors.Join(err, up.listener.Close())
	}
	u.running[up.target.ID] = &up
	u.all.Go(func() { u.run(&up, in) })
	return up.at, nil
}

func (u *uploads) listen(here netip.Addr, up *upload) error {
	var err error
	u.plan.index++
	found := u.plan.ports(int(u.plan.index), func(port uint16) bool {
		at := net.TCPAddrFromAddrPort(netip.AddrPortFrom(here, port))
		up.listener, err = net.ListenTCP("tcp4", at)
		return !errors.Is(err, syscall.EADDRINUSE)
	})
	if err != nil || !found {
		return fmt.Errorf("%w: listening for an upload on %v: %w", ErrNoAddress, here, err)
	}
	up.at = up.listener.Addr().(*net.TCPAddr).AddrPort()
	return nil
}

// run takes one upload to its end.
func (u *uploads) run(up *upload, in Incoming) {
	began := time.Now()
	n, err := u.receive(up, in)
	if err == nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(u.ctx), commitTime)
		err = in.Commit(ctx, up.mtime)
		cancel()
	} else {
		err = errors.Join(err, in.Abort())
	}
	u.lock.Lock()
	delete(u.running, up.target.ID)
	u.lock.Unlock()
	r := UploadResult{up.target.ID, up.client, n, time.Since(began), err}
	if err != nil {
		u.log.Error("image upload failed, nothing was replaced", "node", r.Client.String(), "image", r.ImageID, "bytes", n, "err", err)
	} else {
		u.log.Info("image uploaded", "node", r.Client.String(), "image", r.ImageID, "bytes", n, "elapsed", r.Elapsed)
	}
	if u.cfg.OnDone != nil {
		u.cfg.OnDone(r)
	}
}

// receive waits for the client and reads the image: plain bytes up to the end
// of the stream (spec frisbee B3).
func (u *uploads) receive(up *upload, in io.Writer) (int64, error) {
	ctx, cancel := context.WithTimeout(u.ctx, up.timeout)
	defer cancel()
	c, err := u.accept(ctx, up)
	if err != nil {
		return 0, fmt.Errorf("waiting on %v for %v to send: %w", up.at, up.client, err)
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	n, err := up.copy(in, idleReader{c, u.cfg.Idle})
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("after %d bytes in %v: %w", n, up.timeout, context.Cause(ctx))
	}
	return n, err
}

// copy reads to the end, and holds what came against what was said.
func (up *upload) copy(in io.Writer, from io.Reader) (int64, error) {
	most := up.bytesMax
	if up.bytes > 0 {
		most = up.bytes
	}
	if up.marked {
		from = newUntilMark(from)
	}
	n, err := io.CopyBuffer(struct{ io.Writer }{in}, struct{ io.Reader }{io.LimitReader(from, most+1)}, make([]byte, uploadBufferBytes))
	switch {
	case err != nil:
		return n, err
	case n > most:
		return n, fmt.Errorf("%w: over %d bytes", errTooBig, most)
	case n == 0:
		return n, errNothing
	case n < up.bytes:
		return n, fmt.Errorf("%w: %d of %d bytes", errCut, n, up.bytes)
	}
	return n, nil
}

// accept lets in whoever asked. Others are closed and do not end the wait.
func (u *uploads) accept(ctx context.Context, up *upload) (net.Conn, error) {
	defer up.listener.Close()
	ctx, cancel := context.WithTimeout(ctx, u.cfg.Idle)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { up.listener.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	for {
		c, err := up.listener.Accept()
		if err != nil {
			return nil, errors.Join(err, ctx.Err())
		}
		if from := addrOf(c.RemoteAddr()); from == up.client || from == up.caller {
			u.lock.Lock()
			up.started = true
			u.lock.Unlock()
			return c, nil
		}
		c.Close()
	}
}

// idleReader gives each read a deadline of its own.
type idleReader struct {
	c    net.Conn
	idle time.Duration
}

func (r idleReader) Read(p []byte) (int, error) {
	if err := r.c.SetReadDeadline(time.Now().Add(r.idle)); err != nil {
		return 0, err
	}
	return r.c.Read(p)
}
