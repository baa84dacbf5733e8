package vnode

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Step is a place in a node's life where it can be made to fail.
type Step string

// The steps. What a failure at each looks like:
const (
	StepDHCP      Step = "dhcp"      // no carrier: nothing is sent, the machine stays dark
	StepTFTP      Step = "tftp"      // the boot program does not arrive: reset, again and again
	StepBootinfo  Step = "bootinfo"  // no answer is heard: the loader boots the disk or resets
	StepLoadInfo  Step = "loadinfo"  // the disk loader gives up and says nothing
	StepMulticast Step = "multicast" // the load breaks off: a log is uploaded, no state sent
	StepUnzip     Step = "unzip"     // the disk refuses to write: the same
	StepTBSetup   Step = "tbsetup"   // log, booterrno and TBFAILED, then silence
	StepISUP      Step = "isup"      // everything is done but never said
)

var steps = []Step{StepDHCP, StepTFTP, StepBootinfo, StepLoadInfo, StepMulticast, StepUnzip, StepTBSetup, StepISUP}

// Kinds of faults.
const (
	kindFail = "fail"
	kindHang = "hang"
	kindSlow = "slowdisk"
)

// SlowDiskBytesPerSec is what a slow disk writes unless the fault says more.
const SlowDiskBytesPerSec = 1 << 20

// Fault is something wrong with a node.
type Fault struct {
	kind        string
	step        Step
	bytesPerSec int64
	left        int // times; -1: always
}

// ParseFault reads a fault:
//
//	STEP          the node fails at a step: dhcp, tftp, bootinfo, loadinfo,
//	              multicast, unzip, tbsetup, isup
//	hang@STEP     it stops dead there until its power is cut
//	slowdisk      its disk writes 1 MiB a second; slowdisk=BYTES another rate
//
// With ":N" after it, the fault strikes N times and then is gone. Empty text
// is no fault.
func ParseFault(text string) (*Fault, error) {
	if text == "" {
		return nil, nil
	}
	f := &Fault{kind: kindFail, left: -1}
	what, times, counted := strings.Cut(text, ":")
	if counted {
		n, err := strconv.Atoi(times)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("fault %.60q: %q is no number of times", text, times)
		}
		f.left = n
	}
	if rate, ok := strings.CutPrefix(what, kindSlow); ok {
		return f, f.slow(rate)
	}
	if step, ok := strings.CutPrefix(what, kindHang+"@"); ok {
		f.kind, what = kindHang, step
	}
	f.step = Step(what)
	if !slices.Contains(steps, f.step) {
		return nil, fmt.Errorf("fault %.60q: no step %q; want one of %v, hang@ one of them, or slowdisk", text, what, steps)
	}
	return f, nil
}

func (f *Fault) slow(rate string) error {
	f.kind, f.bytesPerSec = kindSlow, SlowDiskBytesPerSec
	if rate == "" {
		return nil
	}
	n, err := strconv.ParseInt(strings.TrimPrefix(rate, "="), 10, 64)
	if err != nil || n <= 0 || rate[0] != '=' {
		return fmt.Errorf("fault slowdisk%.40s: want slowdisk=BYTES per second", rate)
	}
	f.bytesPerSec = n
	return nil
}

// String is the text ParseFault reads.
func (f *Fault) String() string {
	if f == nil {
		return ""
	}
	text := string(f.step)
	switch f.kind {
	case kindHang:
		text = kindHang + "@" + text
	case kindSlow:
		text = kindSlow + "=" + strconv.FormatInt(f.bytesPerSec, 10)
	}
	if f.left >= 0 {
		text += ":" + strconv.Itoa(f.left)
	}
	return text
}

// faults holds the fault of a node; it can be changed while the node is on.
type faults struct {
	mu    sync.Mutex
	fault *Fault
}

func (h *faults) set(f *Fault) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fault = f
}

// strike tells which kind of fault strikes at a step, "" for none, and counts
// it.
func (h *faults) strike(at Step) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fault == nil || h.fault.step != at || !h.use() {
		return ""
	}
	return h.fault.kind
}

// slowdown is the disk's rate for this load, 0 for as fast as it can.
func (h *faults) slowdown() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fault == nil || h.fault.kind != kindSlow || !h.use() {
		return 0
	}
	return h.fault.bytesPerSec
}

func (h *faults) use() bool {
	if h.fault.left == 0 {
		return false
	}
	if h.fault.left > 0 {
		h.fault.left--
	}
	return true
}
