package tmcd

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"maps"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"hyzer/storage/registry"
	"hyzer/storage/registry/emulab/emulabtest"
)

// testCertificate signs itself.
func testCertificate(tb testing.TB) tls.Certificate {
	tb.Helper()
	key := newKey(tb)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		tb.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// TestLegacyTLS speaks as tmcc does: the tag, in two pieces here, then TLS on
// the same connection, and no half-close.
func TestLegacyTLS(t *testing.T) {
	t.Parallel()
	s, effects := startServer(t, func(c *Config) {
		c.TLS = &tls.Config{Certificates: []tls.Certificate{testCertificate(t)}}
	})
	log := strings.Repeat("boot message\n", 8000) // several TLS records
	for _, tc := range []struct{ request, reply string }{
		{"VERSION=44 nodeid ", "n1\n"},
		{"VERSION=44 bootlog " + log, ""},
	} {
		conn := dial(t, s, "127.0.1.1")
		for _, part := range []string{legacyTLSTag[:6], legacyTLSTag[6:]} {
			if _, err := io.WriteString(conn, part); err != nil {
				t.Fatal(err)
			}
			waitUntilSent(t, conn)
		}
		secured := tls.Client(conn, &tls.Config{InsecureSkipVerify: true}) // the test is about framing
		if _, err := io.WriteString(secured, tc.request); err != nil {
			t.Fatal(err)
		}
		if reply, err := io.ReadAll(secured); err != nil || string(reply) != tc.reply {
			t.Errorf("%.20q: reply %q, %v", tc.request, reply, err)
		}
	}
	if got := effects.log("n1"); got != log {
		t.Errorf("stored %d bytes of %d", len(got), len(log))
	}
}

// TestAnswersFromTheAddressAsked: a client that looks at the sender gets its
// reply from a server that listens on all addresses.
func TestAnswersFromTheAddressAsked(t *testing.T) {
	t.Parallel()
	s, _ := startServer(t, func(c *Config) { c.Addrs = []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:0")} })
	target := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 5), Port: int(s.Addrs()[0].Port())}
	conn, err := net.DialUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 1, 1)}, target)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "VERSION=44 nodeid "); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	if n, err := conn.Read(buf); err != nil || string(buf[:n]) != "n1\n" {
		t.Errorf("reply %q, %v", buf[:n], err)
	}
}

// TestRecorder runs the registry's side of effects.
func TestRecorder(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	site := loopSite()
	site.Runtimes = []registry.Runtime{{Node: "n1", UpdateAccounts: 3, RPMs: "/a.rpm"}}
	reg := emulabtest.Open(t, site)
	now := time.Unix(1000, 0)
	r := &Recorder{Registry: reg, Now: func() time.Time { return now }}
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}

	var fetches sync.WaitGroup
	for range 4 { // one more than the counter
		fetches.Go(func() {
			if err := r.AccountsFetched(ctx, "n1"); err != nil {
				t.Error(err)
			}
		})
	}
	fetches.Wait()
	do(r.BootErrno(ctx, "n1", -1))
	do(r.Ready(ctx, "n2")) // has no runtime record yet
	run := reg.Snapshot().Runtime("n1")
	if run.UpdateAccounts != 0 || run.BootErrno != -1 || run.RPMs != "/a.rpm" || !reg.Snapshot().Runtime("n2").Ready {
		t.Errorf("runtime %+v", run)
	}

	do(r.HostReport(ctx, HostReport{Node: "n1", CDVersion: "a", SSHKeys: map[string]string{"SSH_HOST_KEY": "k"}}))
	do(r.HostReport(ctx, HostReport{Node: "n1", NTPDrift: "-1"}))
	if run := reg.Snapshot().Runtime("n1"); run.CDVersion != "a" || run.NTPDrift != "-1" || run.SSHKeys["SSH_HOST_KEY"] != "k" {
		t.Errorf("host report %+v", run)
	}

	do(r.UsageReport(ctx, UsageReport{Node: "n1", DiskUsed: 5}))
	do(r.Alive(ctx, "n1"))
	revision := reg.Snapshot().Revision()
	do(r.Alive(ctx, "n1")) // heard from just now: no write
	if reg.Snapshot().Revision() != revision {
		t.Error("a second sign of life was written")
	}
	now = now.Add(aliveEvery)
	do(r.Alive(ctx, "n1"))
	if s := reg.Snapshot().Status("n1"); s.Status != "up" || !s.LastSeen.Equal(now) || s.DiskUsed != 5 {
		t.Errorf("status %+v", s)
	}
}

// TestRegisteredPorts: a service of an experiment is at one node, and any other
// finds it.
func TestRegisteredPorts(t *testing.T) {
	t.Parallel()
	site := loopSite()
	site.Reservations = append(site.Reservations, registry.Reservation{Node: "n2", Experiment: "p/e", VName: "b"})
	reg := emulabtest.Open(t, site)
	r := &Recorder{Registry: reg, Now: time.Now}
	register := func(node string, port int) map[string]string {
		t.Helper()
		registration := PortRegistration{Node: node, Experiment: "p/e", Service: "web", Port: port}
		if err := r.RegisterPort(context.Background(), registration); err != nil {
			t.Fatal(err)
		}
		found := map[string]string{}
		for _, id := range []string{"n1", "n2"} {
			head := Head{Version: 44, Word: []byte("portregister")}
			from := map[string]string{"n1": "127.0.1.1", "n2": "127.0.1.2"}[id]
			result := NewHandler().Handle(reg.Snapshot(), Request{Head: head, From: netip.MustParseAddr(from)}, []byte("web "))
			found[id] = string(result.Reply)
		}
		return found
	}
	for _, tc := range []struct {
		node string
		port int
		want string
	}{
		{"n1", 80, "PORT=80 NODEID=n1.example.org\n"},
		{"n2", 81, "PORT=81 NODEID=n2.example.org\n"},
		{"n2", 0, ""},
	} {
		if got := register(tc.node, tc.port); !maps.Equal(got, map[string]string{"n1": tc.want, "n2": tc.want}) {
			t.Errorf("after %s registered %d: %q", tc.node, tc.port, got)
		}
	}
}

// TestFullConfigOverUDPIsCut: a reply that does not fit is cut where C cuts.
func TestFullConfigOverUDPIsCut(t *testing.T) {
	t.Parallel()
	site := loopSite()
	for range 1000 {
		site.Experiments[0].Environment = append(site.Experiments[0].Environment, registry.Setting{Name: "NAME", Value: "value"})
	}
	head := Head{Version: 44, Word: []byte("userenv")}
	req := Request{Head: head, From: netip.MustParseAddr("127.0.1.1")}
	whole := NewHandler().Handle(registry.NewSnapshot(site), req, nil).Reply
	req.Transport = UDP
	cut := NewHandler().Handle(registry.NewSnapshot(site), req, nil).Reply
	if len(whole) != 11000 || len(cut) != udpReplyBytesMax || !bytes.HasPrefix(whole, cut) {
		t.Errorf("whole %d bytes, over UDP %d", len(whole), len(cut))
	}
}

// TestReplies covers what the golden site has no rows for.
func TestReplies(t *testing.T) {
	t.Parallel()
	site := loopSite()
	site.Site.FSName, site.Site.Dirs = "fs", registry.SiteDirs{Proj: "/q/proj", Groups: "/q/groups", Users: "/q/users", Scratch: "/q/scratch"}
	site.Site.Vars = map[string]string{"images/frisbee/heartbeat": "5", "node/user_passwords": "0"}
	site.Users = []registry.User{
		{ID: "u1", UnixUID: 1, Status: "active", PubKeys: []string{"k1"}},
		{ID: "u2", UnixUID: 2, Status: "active"}, {ID: "u3", UnixUID: 3, Status: "frozen"}, {ID: "u4", UnixUID: 4, Status: "active", WebOnly: true},
	}
	site.Groups = []registry.Group{
		{Project: "p", ID: "g", UnixName: "p-g", UnixGID: 20, Members: []registry.Member{{User: "u1", Trust: "local_root"}}},
		{Project: "p", ID: "p", UnixName: "p", UnixGID: 10, Members: []registry.Member{
			{User: "u1", Trust: "user"}, {User: "u2", Trust: "user"}, {User: "u3", Trust: "user"}, {User: "u4", Trust: "user"}}},
	}
	site.Experiments[0].Group = "g"
	site.Experiments[0].NFSMounts = "genidefault"
	site.OSes = []registry.OS{{Project: "p", Name: "o", Versions: []registry.OSVersion{{Family: "Linux", Release: "1", OpMode: "NORMALv2"}}}}
	site.Images = []registry.Image{{Project: "p", Name: "i", Versions: []registry.ImageVersion{
		{Version: 0, Path: "/i0", BootPart: 1, BootOS: registry.HeadRef("p", "o"), SizeBytes: 1}, {Version: 1, Path: "/i1", LoadPart: 1}}}}
	site.Loads = []registry.NodeLoad{{Node: "n1", Images: []registry.LoadImage{
		{Image: registry.Ref{Project: "p", Name: "i", Version: 0}, MustWipe: 2}, {Image: registry.HeadRef("p", "i")}}}}
	site.Nodes[0].Attributes = map[string]string{"disktype": "nvme", "bootdisk_bios_id": "0x80", "dom0mem": "8192M", "console": "sio2"}
	snap := registry.NewSnapshot(site)
	for _, tc := range []struct{ request, want string }{
		{"VERSION=44 accounts ", "ADDGROUP NAME=p-g GID=20\nADDGROUP NAME=p GID=10\n" +
			"ADDUSER LOGIN=u1 PSWD=* UID=1 GID=20 ROOT=1 NAME=\"\" HOMEDIR=/users/u1 GLIST=\"10\" SERIAL=0 EMAIL=\"\" SHELL=\n" +
			"PUBKEY LOGIN=u1 KEY=\"k1\"\n"},
		{"VERSION=44 mounts ", "FSTYPE=NFS\nREMOTE=fs:/q/proj/p LOCAL=/proj/p\nREMOTE=fs:/q/groups/p/g LOCAL=/groups/p/g\n" +
			"REMOTE=fs:/q/scratch/p LOCAL=/scratch/p\n"},
		{"VERSION=44 loadinfo ",
			"ADDR= PART=0 PARTOS=Linux SERVER=127.0.0.1 OSVERSION=1 BOOTPART=1 DISK=nvme0 ZFILL=2 ACPI=unknown MBRVERS=1 ASF=unknown PREPARE=0 " +
				"NOCLFLUSH=unknown CONSOLE=sio2 BIOSDISK=0x80 DOM0MEM=8192M HEARTBEAT=5 IMAGEID=p,p,i:0 IMAGEMTIME=0 IMAGECHUNKS=1 PATH=/i0\n" +
				"ADDR= PART=1 PARTOS= SERVER=127.0.0.1 OSVERSION= DISK=nvme0 ZFILL=0 ACPI=unknown MBRVERS=1 ASF=unknown PREPARE=0 " +
				"NOCLFLUSH=unknown CONSOLE=sio2 BIOSDISK=0x80 DOM0MEM=8192M HEARTBEAT=5 IMAGEID=p,p,i IMAGEMTIME=0 IMAGECHUNKS=0 PATH=/i1\n"},
		{"VERSION=44 watchdoginfo ", ""},
		{"VERSION=44 bootwhat ", "STATUS=success TYPE=4 FLAGS=0\n"},
	} {
		head, rest, err := ParseHead([]byte(tc.request), true)
		if err != nil {
			t.Fatal(err)
		}
		result := NewHandler().Handle(snap, Request{Head: head, From: netip.MustParseAddr("127.0.1.1")}, []byte(tc.request)[rest:])
		if string(result.Reply) != tc.want {
			t.Errorf("%s:\n got %q\nwant %q", tc.request, result.Reply, tc.want)
		}
	}
}

// TestFirstRootPassword: of two requests that both made one, only the first is
// answered, so that no node is told a hash of a password that is not kept.
func TestFirstRootPassword(t *testing.T) {
	t.Parallel()
	reg := emulabtest.Open(t, loopSite())
	r := &Recorder{Registry: reg, Now: time.Now}
	head := Head{Version: 44, Word: []byte("rootpswd")}
	req := Request{Head: head, From: netip.MustParseAddr("127.0.1.1")}
	first, second := NewHandler().Handle(reg.Snapshot(), req, nil), NewHandler().Handle(reg.Snapshot(), req, nil)
	if err := first.Effects[0].apply(context.Background(), r); err != nil {
		t.Fatal(err)
	}
	if err := second.Effects[0].apply(context.Background(), r); err == nil {
		t.Error("a second password was taken")
	}
	if err := first.Effects[0].apply(context.Background(), r); err != nil {
		t.Errorf("the same again: %v", err)
	}
	if kept := first.Effects[0].(RootPassword).Password; reg.Snapshot().Runtime("n1").RootPassword != kept {
		t.Errorf("kept %q, want %q", reg.Snapshot().Runtime("n1").RootPassword, kept)
	}
	again := NewHandler().Handle(reg.Snapshot(), req, nil)
	if len(again.Effects) > 0 || !bytes.HasPrefix(again.Reply, []byte("HASH=$1$")) || bytes.Equal(again.Reply, first.Reply) {
		t.Errorf("asked again: %q and %v, at first %q", again.Reply, again.Effects, first.Reply)
	}
}

// TestConsoleOfVirtualNode goes into the node's record, which is not written if
// it says so already.
func TestConsoleOfVirtualNode(t *testing.T) {
	t.Parallel()
	reg := emulabtest.Open(t, loopSite())
	r := &Recorder{Registry: reg, Now: time.Now}
	console := registry.Console{Server: "h", Port: 7, KeyLen: 2, Key: "00ff"}
	var revisions []uint64
	for range 2 {
		if err := r.ConsoleAt(context.Background(), ConsoleReport{"n1", console}); err != nil {
			t.Fatal(err)
		}
		revisions = append(revisions, uint64(reg.Snapshot().Revision()))
	}
	if got := reg.Snapshot().Node("n1").Console; got != console || revisions[0] != revisions[1] {
		t.Errorf("%+v, revisions %v", got, revisions)
	}
	if err := r.ConsoleAt(context.Background(), ConsoleReport{"gone", console}); err == nil {
		t.Error("a node that is gone got a console")
	}
}
