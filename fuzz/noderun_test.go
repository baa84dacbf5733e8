package fuzz

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hyzer/netsvc/noderun"
)

// FuzzWatchdogInfo reads intervals, which must be usable as they are.
func FuzzWatchdogInfo(f *testing.F) {
	f.Add("INTERVAL=3600 ISALIVE=180 NTPDRIFT=14400 CVSUP=0 RUSAGE=300 HOSTKEYS=59999940 DHCPDCONF=300 SETROOTPSWD=3600\n")
	f.Add("INTERVAL=-1 ISALIVE=9223372036854775807 JITTER=1\n")
	f.Fuzz(func(t *testing.T, reply string) {
		in := noderun.ParseIntervals(reply)
		secs := func(d time.Duration) int64 { return int64(d / time.Second) }
		for _, d := range []time.Duration{in.Ask, in.IsAlive, in.RUsage, in.NTPDrift, in.HostKeys, in.RootPassword, in.Jitter} {
			if d < 0 || d > 0 && d < time.Second || secs(d) > 10*365*86400 {
				t.Fatalf("interval %v", d)
			}
		}
		text := fmt.Sprintf("INTERVAL=%d ISALIVE=%d RUSAGE=%d NTPDRIFT=%d HOSTKEYS=%d SETROOTPSWD=%d JITTER=%d",
			secs(in.Ask), secs(in.IsAlive), secs(in.RUsage), secs(in.NTPDrift), secs(in.HostKeys), secs(in.RootPassword), secs(in.Jitter))
		if again := noderun.ParseIntervals(text); again != in {
			t.Fatalf("%+v comes back as %+v", in, again)
		}
	})
}

// FuzzSwapPart reads what of a disk is saved; it names a disk and nothing else.
func FuzzSwapPart(f *testing.F) {
	f.Add("DISK=sd0 LOADPART=0 BOOTPART=1")
	f.Add("DISK=../x LOADPART=-1")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := noderun.ParseSwapPart(text)
		if err != nil {
			return
		}
		if filepath.Dir(filepath.Join("/dev", p.Disk)) != "/dev" {
			t.Fatalf("%q is outside /dev", p.Disk)
		}
		again, err := noderun.ParseSwapPart(fmt.Sprintf("DISK=%s LOADPART=%d BOOTPART=%d", p.Disk, p.LoadPart, p.BootPart))
		if err != nil || again != p {
			t.Fatalf("%+v comes back as %+v, %v", p, again, err)
		}
	})
}

// FuzzAllocation reads names that become parts of paths.
func FuzzAllocation(f *testing.F) {
	f.Add("ALLOCATED=testproj/exp1 NICKNAME=nodea\n")
	f.Add("FREE\n")
	f.Add("ALLOCATED=../.. NICKNAME=/\n")
	f.Fuzz(func(t *testing.T, reply string) {
		a, err := noderun.ParseAllocation(reply)
		if err != nil {
			return
		}
		path := filepath.Join("/proj", a.Project, "exp", a.Experiment, "swapinfo", a.VName)
		if strings.Count(path, "/") != 6 || !strings.HasPrefix(path, "/proj/") {
			t.Fatalf("%+v leads to %s", a, path)
		}
		again, err := noderun.ParseAllocation(fmt.Sprintf("ALLOCATED=%s/%s NICKNAME=%s\n", a.Project, a.Experiment, a.VName))
		if err != nil || again != a {
			t.Fatalf("%+v comes back as %+v, %v", a, again, err)
		}
	})
}
