package noderun

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"hyzer/imaging/cli"
	"hyzer/imaging/zip"
)

const (
	partBytesMax     = 256
	diskBytesMax     = 32
	partitionsMax    = 128
	nicknameBytesMax = 128
	projectsDefault  = "/proj"
	swapImageSuffix  = "-swap.ndz"
)

// SwapPart says what of a node's disks is saved: the line of <vname>.part.
type SwapPart struct {
	Disk     string // without /dev/
	LoadPart int    // partition to save, 0 for the whole disk
	BootPart int    // partition that is booted, 0 if not given
}

// ParseSwapPart reads "DISK=<type><unit> LOADPART=<n> BOOTPART=<n>".
func ParseSwapPart(text string) (p SwapPart, err error) {
	p.LoadPart = -1
	for field := range strings.FieldsSeq(text) {
		key, value, ok := strings.Cut(field, "=")
		if !ok {
			return p, fmt.Errorf("%q is not KEY=value", field)
		}
		switch key {
		case "DISK":
			p.Disk = value
		case "LOADPART":
			p.LoadPart, err = partition(value)
		case "BOOTPART":
			p.BootPart, err = partition(value)
		}
		if err != nil {
			return p, fmt.Errorf("%s: %w", key, err)
		}
	}
	if !isDiskName(p.Disk) {
		return p, fmt.Errorf("DISK=%q is no disk", p.Disk)
	}
	if p.LoadPart < 0 {
		return p, errors.New("LOADPART is missing")
	}
	return p, nil
}

func partition(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > partitionsMax {
		return 0, fmt.Errorf("%q is not a number from 0 to %d", text, partitionsMax)
	}
	return n, nil
}

func isDiskName(s string) bool {
	return s != "" && len(s) <= diskBytesMax && !strings.ContainsFunc(s, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9')
	})
}

// Allocation is the reply of status for a node in an experiment.
type Allocation struct{ Project, Experiment, VName string }

// ParseAllocation reads "ALLOCATED=<pid>/<eid> NICKNAME=<vname>". The names
// become parts of paths here, and are refused if they could be more.
func ParseAllocation(reply string) (a Allocation, err error) {
	line, _, _ := strings.Cut(reply, "\n")
	where, name, _ := strings.Cut(line, " ")
	where, ok := strings.CutPrefix(where, "ALLOCATED=")
	if !ok {
		return a, fmt.Errorf("the node is in no experiment: %.100q", line)
	}
	a.Project, a.Experiment, _ = strings.Cut(where, "/")
	a.VName, ok = strings.CutPrefix(name, "NICKNAME=")
	if !ok {
		return Allocation{}, fmt.Errorf("the node has no name in its experiment: %.100q", line)
	}
	for _, part := range []string{a.Project, a.Experiment, a.VName} {
		if !isPathPart(part) {
			return Allocation{}, fmt.Errorf("%.100q names no experiment and node", line)
		}
	}
	return a, nil
}

func isPathPart(s string) bool {
	return s != "" && s[0] != '.' && s[0] != '-' && len(s) <= nicknameBytesMax && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r == '/' || r == '=' || r > '~'
	})
}

// CreateSwapImage saves what a node's disk has that its image has not: it makes
// <swapinfo>/<vname>-swap.ndz against the signature beside it. The image has
// its name only once it is whole and durable; until then the one before it
// stays. It returns 0, or 1 after any error (page swap, section 3.2).
//
//	create-swapimage [-f] [-s] [-d swapinfo -n vname]
func CreateSwapImage(args []string, _ io.Reader, _, stderr io.Writer) int {
	return createSwapImage(args, os.Getenv, stderr, nil)
}

// saver makes one swap image.
type saver struct {
	boss     Boss
	devices  string // folder of disks
	projects string // folder of projects
	swapinfo string
	vname    string
	full     bool          // everything, not what differs
	stats    bool          // say how large it would be
	growth   time.Duration // between words about how large it has become
	stderr   io.Writer
}

func createSwapImage(args []string, env func(string) string, stderr io.Writer, change func(*saver)) int {
	flags := newFlags("create-swapimage [options]", stderr)
	s := &saver{boss: newClient(env, "", ""), devices: "/dev", projects: projectsDefault, growth: growthEvery, stderr: stderr}
	flags.BoolVar(&s.full, "f", false, "make a full image")
	flags.BoolVar(&s.stats, "s", false, "only say how large the image would be")
	flags.StringVar(&s.swapinfo, "d", "", "`folder` of the signature and the image; else that of the node's experiment")
	flags.StringVar(&s.vname, "n", "", "the node's `name` in its experiment; else as the appliance says")
	if err := flags.Parse(args); err != nil {
		return min(statusOfFlags(err), 1)
	}
	if change != nil {
		change(s)
	}
	if flags.NArg() > 0 {
		flags.Usage()
		return 1
	}
	if err := s.save(context.Background()); err != nil {
		fmt.Fprintf(stderr, "create-swapimage: %v\n", err)
		return 1
	}
	return 0
}

func (s *saver) save(ctx context.Context) error {
	if err := s.locate(ctx); err != nil {
		return err
	}
	path := s.path(".part")
	text, err := readPart(path)
	if err != nil {
		return fmt.Errorf("%w; without it there is nothing to save", err)
	}
	part, err := ParseSwapPart(text)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	log, err := s.log()
	if err != nil {
		return err
	}
	defer log.Close()
	return s.create(part, cli.OneAtATime(io.MultiWriter(s.stderr, log)))
}

// create makes the image. out is written to by two goroutines.
func (s *saver) create(part SwapPart, out io.Writer) error {
	stop := func() {}
	if !s.stats {
		stop = s.showGrowth(out)
	}
	status := zip.Main(s.imagezip(part), strings.NewReader(""), io.Discard, out)
	stop()
	if status != 0 {
		return fmt.Errorf("imagezip of /dev/%s failed with status %d; the image before it is kept", part.Disk, status)
	}
	if info, err := os.Stat(s.path(swapImageSuffix)); err == nil && !s.stats {
		fmt.Fprintf(out, "create-swapimage: %s has %d bytes\n", s.path(swapImageSuffix), info.Size())
	}
	return nil
}

// locate asks the appliance what was not given.
func (s *saver) locate(ctx context.Context) error {
	if s.vname != "" && !isPathPart(s.vname) {
		return fmt.Errorf("%q is no name of a node", s.vname)
	}
	if s.vname != "" && s.swapinfo != "" {
		return nil
	}
	reply, err := s.boss.Ask(ctx, Call{Words: []string{"status"}})
	if err != nil {
		return err
	}
	a, err := ParseAllocation(reply)
	if err != nil {
		return err
	}
	if s.vname == "" {
		s.vname = a.VName
	}
	if s.swapinfo == "" {
		s.swapinfo = filepath.Join(s.projects, a.Project, "exp", a.Experiment, "swapinfo")
	}
	return nil
}

func (s *saver) path(suffix string) string { return filepath.Join(s.swapinfo, s.vname+suffix) }

// imagezip gives its arguments. It writes a temporary file and renames it.
func (s *saver) imagezip(p SwapPart) []string {
	var args []string
	if p.LoadPart > 0 {
		args = append(args, "-s", strconv.Itoa(p.LoadPart))
	}
	if !s.full {
		args = append(args, "-H", s.path(".sig"))
	}
	out := s.path(swapImageSuffix)
	if s.stats {
		out = "-" // which is thrown away
	}
	return append(args, "--", filepath.Join(s.devices, p.Disk), out)
}

// log is where Emulab's logs of experiments are, if the experiment has them.
func (s *saver) log() (io.WriteCloser, error) {
	folder := filepath.Join(s.swapinfo, "..", "logs")
	if info, err := os.Stat(folder); err != nil || !info.IsDir() {
		return nopCloser{io.Discard}, nil
	}
	name := fmt.Sprintf("imagezip.%s.%d", s.vname, time.Now().Unix())
	f, err := os.OpenFile(filepath.Join(folder, name), os.O_WRONLY|os.O_CREATE|os.O_APPEND|unix.O_NOFOLLOW, 0o644)
	if err != nil {
		return nil, fmt.Errorf("log of imagezip: %w", err)
	}
	return f, nil
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

func readPart(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, partBytesMax+1))
	if err == nil && len(b) > partBytesMax {
		err = fmt.Errorf("%s is over %d bytes", path, partBytesMax)
	}
	return string(bytes.TrimSpace(b)), err
}
