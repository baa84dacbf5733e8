package mfs

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"hyzer/imaging/unzip"
	"hyzer/imaging/zip"
	"hyzer/netsvc/appliance"
	"hyzer/netsvc/control"
	"hyzer/netsvc/diskloader"
)

// testTimeout ends a test that hangs.
const testTimeout = 3 * time.Minute

// roleEnv makes this program one of a test's machines, see TestMain.
const roleEnv = "HYZER_MFS_TEST_ROLE"

// TestMain is a test's appliance or one of its nodes, where a test needs them
// in network namespaces of their own: a process is in one as a whole.
func TestMain(m *testing.M) {
	switch role, rest, _ := strings.Cut(os.Getenv(roleEnv), " "); role {
	case "appliance":
		os.Exit(appliance.Main([]string{"-config", rest}, os.Stderr))
	case "node":
		os.Exit(nodeMain(rest))
	}
	os.Exit(m.Run())
}

// nodeRole is a node of a test.
type nodeRole struct {
	IP, Server netip.Addr
	Disk       string
	FetchAfter time.Duration
}

func nodeMain(text string) int {
	var role nodeRole
	if err := json.Unmarshal([]byte(text), &role); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	m := nodeAt(os.Stderr, role.IP, role.Server)
	err := m.loadFile(ctx, role.Disk, func(c *diskloader.Config) { c.Timing.FetchAfter = role.FetchAfter })
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// nodeAt is a machine that has its address.
func nodeAt(console io.Writer, ip, server netip.Addr) *machine {
	m := newMachine(console)
	m.net.lease.IP, m.net.lease.Next = ip, server
	return m
}

// loadFile is loadDisk with a file as the disk and a config that is changed
// first.
func (m *machine) loadFile(ctx context.Context, path string, change func(*diskloader.Config)) error {
	disk, err := unzip.OpenTarget(path)
	if err != nil {
		return err
	}
	defer disk.Close()
	cfg := m.loader(func(string) (diskloader.Disk, error) { return disk, nil })
	change(&cfg)
	return diskloader.Run(ctx, cfg)
}

// loadSite is a site whose nodes have one image to load.
type loadSite struct {
	dir   string
	boss  netip.Addr
	nodes []netip.Addr
	want  []byte // of each disk
	cfg   appliance.Config
}

// newLoadSite makes the image of a disk of noise, in a network whose appliance
// is at .1 and whose nodes are from .11 on.
func newLoadSite(t *testing.T, network netip.Prefix, nodes, diskBytes int) *loadSite {
	t.Helper()
	s := &loadSite{dir: t.TempDir(), want: make([]byte, diskBytes)}
	at := network.Masked().Addr().As4()
	host := func(n int) netip.Addr { return netip.AddrFrom4([4]byte{at[0], at[1], at[2], byte(n)}) }
	s.boss = host(1)
	for n := range nodes {
		s.nodes = append(s.nodes, host(11+n))
	}
	_, _ = rand.NewChaCha8([32]byte{9}).Read(s.want)
	source := zip.Source{ReaderAt: bytes.NewReader(s.want), Bytes: int64(diskBytes)}
	if _, err := zip.CreateFile(t.Context(), source, s.imagePath(), "", zip.Options{Raw: true}); err != nil {
		t.Fatal(err)
	}
	s.cfg = appliance.DefaultConfig()
	s.cfg.DataDir, s.cfg.Control = filepath.Join(s.dir, "data"), filepath.Join(s.dir, "c")
	s.cfg.Multicast.Interface = s.boss
	return s
}

func (s *loadSite) imagePath() string { return filepath.Join(s.dir, "image.ndz") }

func (s *loadSite) diskPath(n int) string { return filepath.Join(s.dir, "disk"+strconv.Itoa(n)) }

// records are the site's.
func (s *loadSite) records() io.Reader {
	var b bytes.Buffer
	fmt.Fprintf(&b, `site: {domain: testbed.example, boss_name: boss, boss_ip: %v}
projects: [{id: p}]
oses:
  - {project: p, name: LINUX, versions: [{version: 0, family: Linux, features: [isup], op_mode: NORMALv2}]}
  - {project: p, name: LOADER, versions: [{version: 0, family: Linux, path: /tftpboot/frisbee, mfs: true, op_mode: RELOAD}]}
images:
  - {project: p, name: image, versions: [{version: 0, path: %s, load_part: 0, load_length: 4, boot_os: p/LINUX, boot_part: 1}]}
types: [{name: pc, class: pc, imageable: true, default_os: p/LINUX, loader_os: p/LOADER}]
nodes:
`, s.boss, s.imagePath())
	for n, ip := range s.nodes {
		fmt.Fprintf(&b, "  - {id: pc%d, type: pc, role: testnode, interfaces: [{name: eth0, role: ctrl, mac: \"02:48:59:00:09:%02x\", ip: %v}]}\n", n, n, ip)
	}
	fmt.Fprintln(&b, "loads:")
	for n := range s.nodes {
		fmt.Fprintf(&b, "  - {node: pc%d, images: [{image: \"p/image:0\"}]}\n", n)
	}
	return &b
}

// blankDisks makes the nodes' disks, all ones.
func (s *loadSite) blankDisks(t *testing.T) {
	t.Helper()
	for n := range s.nodes {
		if err := os.WriteFile(s.diskPath(n), bytes.Repeat([]byte{0xff}, len(s.want)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// ready waits until the appliance answers, and gives it its records. It returns
// where the services are.
func (s *loadSite) ready(t *testing.T) map[string]netip.AddrPort {
	t.Helper()
	c := control.Dial(s.cfg.Control)
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	var status control.Status
	for err := error(io.EOF); err != nil; {
		if err = c.Call(ctx, http.MethodGet, "/v1/status", nil, &status); err == nil {
			break
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			t.Fatal(err)
		}
	}
	if err := c.Call(ctx, http.MethodPost, "/v1/import", s.records(), nil); err != nil {
		t.Fatal(err)
	}
	services := map[string]netip.AddrPort{}
	for _, v := range status.Services {
		services[v.Name], _ = netip.ParseAddrPort(v.Addr)
	}
	return services
}

// loaded compares a disk with the image.
func (s *loadSite) loaded(t *testing.T, n int) {
	t.Helper()
	if got, err := os.ReadFile(s.diskPath(n)); err != nil || !bytes.Equal(got, s.want) {
		t.Errorf("node %d: the disk is not as the image says (%v)", n, err)
	}
}

// run is an appliance in this process until the test is over.
func (s *loadSite) run(t *testing.T) map[string]netip.AddrPort {
	t.Helper()
	a, err := appliance.New(t.Context(), s.cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return s.ready(t)
}
