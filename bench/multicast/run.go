package multicast

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"hyzer/bench/netns"
)

const (
	// startWait is how long a program may take to bind its port; startPoll how
	// often that is looked at.
	startWait = 5 * time.Second
	startPoll = 10 * time.Millisecond
	// stopWait is how long one may take to end when it is told to.
	stopWait = time.Second
	// errorTailBytes is how much of what a failed program said is kept.
	errorTailBytes = 300
)

// race is one run of one peer.
type race struct {
	*options
	network     *network
	peer        peer
	work, image string
}

// measure is what a run came to.
type measure struct {
	wall                 time.Duration
	serverCPU, clientCPU time.Duration
	sent                 counts
	overflows            int64 // at all clients' sockets
}

// process is a program in a namespace.
type process struct {
	cmd  *exec.Cmd
	said bytes.Buffer
	done chan struct{}
	err  error // after done
}

// run starts server and clients, waits until all have the image, and compares.
func (r *race) run(ctx context.Context) (measure, error) {
	out, err := os.MkdirTemp(r.work, "out-")
	if err != nil {
		return measure{}, err
	}
	defer os.RemoveAll(out)
	limited, cancel := context.WithTimeout(ctx, r.limit)
	defer cancel()
	m, err := r.compete(limited, out)
	if err == nil {
		err = r.compare(out)
	}
	if limited.Err() != nil && ctx.Err() == nil {
		err = fmt.Errorf("not finished after %v: %w", r.limit, err)
	}
	return m, err
}

// compete runs the processes and leaves none behind.
func (r *race) compete(ctx context.Context, out string) (m measure, err error) {
	var servers, clients []*process
	defer func() {
		stop(append(servers, clients...))
		m.serverCPU, m.clientCPU = cpu(servers), cpu(clients)
		for _, p := range servers {
			if r.verbose != nil {
				fmt.Fprintf(r.verbose, "%s with %d receivers:\n%s", r.peer.name, len(clients), p.said.Bytes())
			}
		}
	}()
	launch := []func() error{
		func() (err error) { servers, err = r.launchServer(ctx, out); return err },
		func() (err error) { clients, err = r.launchClients(ctx, out); return err },
	}
	if r.peer.clientsFirst {
		launch[0], launch[1] = launch[1], launch[0]
	}
	if err := launch[0](); err != nil {
		return m, err
	}
	if err := r.ready(ctx, append(servers, clients...)); err != nil {
		return m, err
	}
	before, err := r.network.sent()
	overflowed, oerr := r.network.overflows()
	if err := errors.Join(err, oerr); err != nil {
		return m, err
	}
	start := time.Now()
	if err := launch[1](); err != nil {
		return m, err
	}
	if r.peer.clientsFirst {
		err = wait(servers)
	} else {
		err = wait(clients)
	}
	m.wall = time.Since(start)
	after, serr := r.network.sent()
	m.sent = counts{after.bytes - before.bytes, after.packets - before.packets}
	m.overflows, oerr = r.network.overflows()
	m.overflows -= overflowed
	return m, errors.Join(err, serr, oerr)
}

func (r *race) launchServer(ctx context.Context, out string) ([]*process, error) {
	p, err := r.start(ctx, r.network.server, r.words(r.peer.server, out, 0))
	if err != nil {
		return nil, err
	}
	return []*process{p}, nil
}

func (r *race) launchClients(ctx context.Context, out string) (ps []*process, err error) {
	for i, ns := range r.network.clients {
		if err := os.Mkdir(filepath.Dir(outFile(out, i)), 0o755); err != nil {
			return ps, err
		}
		p, err := r.start(ctx, ns, r.words(r.peer.client, out, i))
		if err != nil {
			return ps, err
		}
		ps = append(ps, p)
	}
	return ps, nil
}

// outFile is where client i has its copy: uftp names it as the image.
func outFile(out string, i int) string { return filepath.Join(out, strconv.Itoa(i), "image") }

// words fills in a command.
func (r *race) words(command, out string, client int) []string {
	bits, ids := int64(r.mbit)*1e6, make([]string, 0, len(r.network.clients))
	if r.mbit == 0 {
		bits = 10e9
	}
	for i := range r.network.clients {
		ids = append(ids, uftpID(clientAddr(i)))
	}
	fill := strings.NewReplacer(
		"{c}", r.c, "{image}", r.image, "{out}", outFile(out, client), "{outdir}", filepath.Dir(outFile(out, client)),
		"{server}", serverAddr().String(), "{me}", clientAddr(client).String(), "{n}", strconv.Itoa(len(r.network.clients)),
		"{bits}", strconv.FormatInt(bits, 10), "{kbit}", strconv.FormatInt(bits/1000, 10), "{ids}", strings.Join(ids, ","))
	var words []string
	for _, word := range strings.Fields(command) {
		if word == "{tool}" {
			words = append(words, r.self...)
			continue
		}
		words = append(words, fill.Replace(word))
	}
	return words
}

func (r *race) start(ctx context.Context, ns *netns.Namespace, words []string) (*process, error) {
	p := &process{cmd: exec.CommandContext(ctx, words[0], words[1:]...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.said, &p.said
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.Cancel = func() error { return syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) }
	if err := ns.Start(p.cmd); err != nil {
		return nil, err
	}
	go func() {
		defer close(p.done)
		if err := p.cmd.Wait(); err != nil {
			said := bytes.TrimSpace(p.said.Bytes())
			p.err = fmt.Errorf("%s: %w: %s", words[0], err, said[max(0, len(said)-errorTailBytes):])
		}
	}()
	return p, nil
}

// ready waits until those that were started first have bound their port.
func (r *race) ready(ctx context.Context, ps []*process) error {
	spaces := []*netns.Namespace{r.network.server}
	if r.peer.clientsFirst {
		spaces = r.network.clients
	}
	until := time.Now().Add(startWait)
	for i, ns := range spaces {
		for {
			ok, err := listening(ns, r.peer.port)
			if ok || err != nil {
				if err != nil {
					return err
				}
				break
			}
			select {
			case <-ps[i].done:
				return errors.Join(errors.New("ended before it began"), ps[i].err)
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(startPoll):
			}
			if time.Now().After(until) {
				return fmt.Errorf("port %d was not bound within %v", r.peer.port, startWait)
			}
		}
	}
	return nil
}

// wait waits for all and returns the first failure.
func wait(ps []*process) error {
	for _, p := range ps {
		<-p.done
		if p.err != nil {
			return p.err
		}
	}
	return nil
}

// stop ends what still runs.
func stop(ps []*process) {
	late := time.After(stopWait)
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		for _, p := range ps {
			select {
			case <-p.done:
			default:
				_ = syscall.Kill(-p.cmd.Process.Pid, sig) // it may end this moment
			}
		}
		for _, p := range ps {
			select {
			case <-p.done:
			case <-late:
				late = closed()
			}
		}
	}
	for _, p := range ps {
		<-p.done
	}
}

func closed() <-chan time.Time {
	c := make(chan time.Time)
	close(c)
	return c
}

func cpu(ps []*process) (sum time.Duration) {
	for _, p := range ps {
		if s := p.cmd.ProcessState; s != nil {
			sum += s.UserTime() + s.SystemTime()
		}
	}
	return sum
}

// makeImage writes bytes that nothing can compress.
func makeImage(path string, size int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = io.CopyN(f, rand.NewChaCha8([32]byte{7}), size)
	return errors.Join(err, f.Close())
}

// compare reads every client's copy beside the image.
func (r *race) compare(out string) error {
	for i := range r.network.clients {
		if err := sameFiles(r.image, outFile(out, i)); err != nil {
			return fmt.Errorf("client %d: %w", i, err)
		}
	}
	return nil
}

func sameFiles(a, b string) error {
	fa, err := os.Open(a)
	if err != nil {
		return err
	}
	defer fa.Close()
	fb, err := os.Open(b)
	if err != nil {
		return err
	}
	defer fb.Close()
	bufA, bufB := make([]byte, 1<<20), make([]byte, 1<<20)
	for at := int64(0); ; {
		n, errA := io.ReadFull(fa, bufA)
		m, errB := io.ReadFull(fb, bufB)
		if n != m || !bytes.Equal(bufA[:n], bufB[:m]) {
			return fmt.Errorf("%s differs from the image within %d bytes from %d", b, max(n, m), at)
		}
		if errA != nil || errB != nil {
			if ended(errA) && ended(errB) {
				return nil
			}
			return errors.Join(errA, errB)
		}
		at += int64(n)
	}
}

func ended(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }
