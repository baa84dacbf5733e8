package multicast

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hyzer/bench/netns"
)

// TestMain lets the test binary be our programs, as hyzer-bench is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "tool" {
		os.Exit(Main(context.Background(), os.Args[1:], os.Stdout))
	}
	os.Exit(m.Run())
}

// TestRun compares our ways on a small image, on real ports.
func TestRun(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"ip", "nft"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(err)
		}
	}
	dir := t.TempDir()
	o := options{
		dir: dir, work: dir, clients: []int{2}, losses: []float64{0, 0.02}, only: []string{ours, "old protocol", "HTTP"},
		mb: 3, totalMB: 10, rounds: 1, limit: time.Minute, self: []string{os.Args[0], "tool"},
	}
	var out strings.Builder
	err := o.run(t.Context(), &out)
	if errors.Is(err, netns.ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	text, err := os.ReadFile(filepath.Join(dir, "multicast.txt"))
	if err != nil || !strings.HasSuffix(out.String(), string(text)) {
		t.Errorf("table in the file is another: %v", err)
	}
	for _, row := range []string{"  2    0 %     3  hyzer  ", "  2    2 %     3  hyzer  ", "  2    2 %     3  hyzer, HTTP "} {
		if !strings.Contains(string(text), row) || strings.Contains(string(text), "failed") {
			t.Errorf("no row %q in\n%s", row, text)
		}
	}
	left, err := filepath.Glob(filepath.Join(dir, "hyzer-multicast-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestTable prints known figures.
func TestTable(t *testing.T) {
	t.Parallel()
	run := func(wall time.Duration, packets int64) measure {
		return measure{wall: wall, serverCPU: wall / 2, clientCPU: wall, sent: counts{bytes: packets * 1000, packets: packets}}
	}
	full := run(time.Second, 1024)
	full.overflows = 4 * 1024 / 100
	results := []result{
		{peer: peer{name: ours, framed: true}, clients: 4, bytes: 1 << 20, runs: []measure{run(3*time.Second, 2048), full}},
		{peer: peer{name: "other"}, clients: 4, bytes: 1 << 20, runs: []measure{run(2*time.Second, 1100)}},
		{peer: peer{name: "other"}, clients: 16, loss: 0.01, bytes: 1 << 20, err: errors.New("no\nroom")},
	}
	const want = `
server's link of 100 Mbit/s, N cores for all; best of 2; ratios are hyzer to the other
wire: bytes on the server's wire per byte of the image; blocks: frames sent per KiB of it;
full: share of the frames that reached a receiver, but found no room in its socket; it comes on top of the loss

  n   loss   MiB  program                   seconds    wire blocks    full srv s/GB cli s/GB    time  wire   srv
  4    0 %     1  hyzer                        1.00   0.977  1.000  0.98 %   476.84   238.42
  4    0 %     1  other                        2.00   1.049      -  0.00 %   953.67   476.84    0.50  0.93  0.50
 16    1 %     1  other                    failed: no; room
third: x is not installed
`
	got := table(&options{mbit: 100, rounds: 2}, results, []string{"third: x is not installed"})
	if i, j := strings.Index(got, "Mbit/s, ")+8, strings.Index(got, " cores"); i > 8 && j > i {
		got = got[:i] + "N" + got[j:]
	}
	if got != want {
		t.Errorf("table is\n%s", got)
	}
	if oursFailed(results) != nil {
		t.Error("failure of another counts as ours")
	}
	results[0].err = errors.New("lost")
	if oursFailed(results) == nil {
		t.Error("failure of ours is not told")
	}
}

// TestSameFiles finds every difference.
func TestSameFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name string, size int64) string {
		path := filepath.Join(dir, name)
		if err := makeImage(path, size); err != nil {
			t.Fatal(err)
		}
		return path
	}
	image, same, short, long := write("a", 3<<20+5), write("b", 3<<20+5), write("c", 3<<20), write("d", 4<<20)
	other := write("e", 3<<20+5)
	f, err := os.OpenFile(other, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("x"), 3<<20+4); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if err := sameFiles(image, same); err != nil {
		t.Error(err)
	}
	for _, path := range []string{short, long, other, dir, filepath.Join(dir, "none")} {
		if sameFiles(image, path) == nil {
			t.Errorf("%s is said to be the same", path)
		}
	}
}

func TestParseDev(t *testing.T) {
	t.Parallel()
	const text = "Inter-|   Receive\n face |bytes\n    lo: 1 2 0 0 0 0 0 0 1 2 0 0 0 0 0 0\n  eth0: 1 2 0 0 0 0 0 0 300 4 0 0 0 0 0 0\n"
	if c, err := parseDev(text, "eth0"); err != nil || c != (counts{300, 4}) {
		t.Errorf("got %v, %v", c, err)
	}
	for _, bad := range []string{"", "eth0: 1 2", "eth0: 1 2 0 0 0 0 0 0 x 4"} {
		if _, err := parseDev(bad, "eth0"); err == nil {
			t.Errorf("%q has counts", bad)
		}
	}
}

func TestParseSNMP(t *testing.T) {
	t.Parallel()
	const text = "Ip: A B\nIp: 1 2\nUdp: InDatagrams RcvbufErrors InCsumErrors\nUdp: 7 8 9\nUdpLite: RcvbufErrors\nUdpLite: 1\n"
	if n, err := parseSNMP(text, "Udp", "RcvbufErrors"); err != nil || n != 8 {
		t.Errorf("got %v, %v", n, err)
	}
	for _, bad := range []string{"", "Udp: RcvbufErrors\n", "Udp: A RcvbufErrors\nUdp: 1\n", "Udp: RcvbufErrors\nUdp: x\n"} {
		if _, err := parseSNMP(bad, "Udp", "RcvbufErrors"); err == nil {
			t.Errorf("%q has a count", bad)
		}
	}
}

func TestFlags(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-n", "0"}, {"-n", "x"}, {"-loss", "91"}, {"-mb", "0"}, {"-rounds", "0"}, {"-mbit", "-1"}} {
		if (&options{}).parse(args) == nil {
			t.Errorf("%v is taken", args)
		}
	}
	var o options
	if err := o.parse([]string{"-n", "1,2", "-loss", "0,2.5", "-only", "hyzer,C "}); err != nil || len(o.clients) != 2 || o.losses[1] != 0.025 {
		t.Errorf("%+v, %v", o, err)
	}
	peers, missing := o.installed()
	if len(peers) != 1 || peers[0].name != ours || len(missing) != 3 {
		t.Errorf("wanted %v, missing %v", peers, missing)
	}
}
