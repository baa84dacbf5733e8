package noderun

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// testVitals is a node with everything to report.
func testVitals(tb testing.TB) vitals {
	tb.Helper()
	root := tb.TempDir()
	for name, text := range map[string]string{
		"proc/loadavg": "0.10 0.20 0.30 1/100 4242\n", "var/lib/ntp/ntp.drift": "-12.345\n",
		"etc/ssh/ssh_host_rsa_key.pub": "ssh-rsa AAAA root@n1\n", "etc/ssh/ssh_host_dsa_key.pub": "ssh-dss 'quoted'\n",
		"etc/ssh/ssh_host_ed25519_key.pub": "ssh-ed25519 BBBB root@n1\n", "etc/ssh/ssh_host_rsa_key-cert.pub": "x\n",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			tb.Fatal(err)
		}
	}
	return vitals{root}
}

// watch runs a watchdog for a virtual time and returns what was asked, each
// with its second, by command.
func watch(t *testing.T, d time.Duration, answer func(n int, c Call) (string, error)) map[string][]int {
	t.Helper()
	asked := map[string][]int{}
	v := testVitals(t)
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		boss := &fakeBoss{answer: func(n int, c Call) (string, error) {
			key := c.Words[0]
			if c.UDP {
				key = "udp " + key
			}
			asked[key] = append(asked[key], int(time.Since(begin)/time.Second))
			return answer(n, c)
		}}
		ctx, cancel := context.WithTimeout(t.Context(), d)
		defer cancel()
		(&watchdog{boss: boss, vitals: v, notes: io.Discard}).run(ctx)
	})
	return asked
}

func answers(info string) func(int, Call) (string, error) {
	return func(_ int, c Call) (string, error) {
		return map[string]string{"watchdoginfo": info, "nodeid": "n1\n", "isalive": "UPDATE=0\n", "rusage": "UPDATE=0\n"}[c.Words[0]], nil
	}
}

// TestIntervals: each report comes at its interval from a place of its own,
// and those that are off never.
func TestIntervals(t *testing.T) {
	t.Parallel()
	asked := watch(t, 3*time.Hour+time.Minute,
		answers("INTERVAL=3600 ISALIVE=180 NTPDRIFT=7200 CVSUP=0 RUSAGE=-1 HOSTKEYS=59999940 DHCPDCONF=300 SETROOTPSWD=3600 JITTER=100\n"))
	if got := asked["udp watchdoginfo"]; !slices.Equal(got, []int{0, 3600, 7200, 10800}) {
		t.Errorf("watchdoginfo at %v", got)
	}
	alive := asked["udp isalive"]
	if len(alive) < 60 || len(alive) > 61 || alive[0] >= 100 {
		t.Fatalf("isalive at %v", alive)
	}
	for i := 1; i < len(alive); i++ {
		if alive[i]-alive[i-1] != 180 {
			t.Errorf("isalive at %d after %d", alive[i], alive[i-1])
		}
	}
	if drift := asked["ntpdrift"]; len(drift) != 2 || drift[1]-drift[0] != 7200 || drift[0] >= 100 {
		t.Errorf("ntpdrift at %v", drift)
	}
	for key, want := range map[string]int{"udp rusage": 0, "rusage": 0, "hostkeys": 2, "udp ntpdrift": 0, "isalive": 0, "nodeid": 1} {
		if got := len(asked[key]); got != want && key != "hostkeys" || key == "hostkeys" && got != 0 && got != want {
			t.Errorf("%s: %d times, want %d", key, got, want)
		}
	}
}

// TestBackOff: datagrams that are lost are sent again after 1, 2 and 4 s, the
// last one by TCP.
func TestBackOff(t *testing.T) {
	t.Parallel()
	asked := watch(t, 20*time.Second, func(_ int, c Call) (string, error) {
		if c.UDP {
			return "", io.ErrUnexpectedEOF
		}
		return "", nil
	})
	if udp, tcp := asked["udp watchdoginfo"], asked["watchdoginfo"]; !slices.Equal(udp, []int{0, 1, 3}) || !slices.Equal(tcp, []int{7}) {
		t.Errorf("by UDP at %v, by TCP at %v", udp, tcp)
	}
}

// TestSiteWithoutWatchdog is asked again each hour, one that is away each
// minute.
func TestSiteWithoutWatchdog(t *testing.T) {
	t.Parallel()
	for _, err := range []error{nil, io.ErrUnexpectedEOF} {
		asked := watch(t, 2*time.Hour+time.Minute, func(int, Call) (string, error) { return "", err })
		// An hour apart, or three datagrams each 67 s.
		if got := len(asked["udp watchdoginfo"]); got != 3 && err == nil || err != nil && got != 3*109 {
			t.Errorf("%v: asked %v", err, asked)
		}
		if len(asked["udp isalive"]) > 0 {
			t.Errorf("%v: isalive at %v", err, asked["udp isalive"])
		}
	}
}

// TestIntervalsChange: what stays keeps its phase, what is new starts, what is
// off stops, and a lost answer changes nothing.
func TestIntervalsChange(t *testing.T) {
	t.Parallel()
	infos := []string{"INTERVAL=1000 ISALIVE=100 RUSAGE=50", "INTERVAL=1000 ISALIVE=100 RUSAGE=-1", "", "INTERVAL=1000 ISALIVE=10"}
	n := 0
	asked := watch(t, 4*time.Hour, func(_ int, c Call) (string, error) {
		if c.Words[0] != "watchdoginfo" {
			return "UPDATE=0", nil
		}
		info := infos[min(n, len(infos)-1)]
		n++
		return info, nil
	})
	alive := asked["udp isalive"]
	for _, at := range alive {
		if at < 2000 && at%100 != alive[0]%100 {
			t.Errorf("isalive at %d, began at %d", at, alive[0])
		}
		if at > 2000 && at < 5600 {
			t.Errorf("isalive at %d, though the site has no watchdog", at)
		}
	}
	if last := asked["udp rusage"]; len(last) < 19 || last[len(last)-1] > 1000 {
		t.Errorf("rusage at %v", last)
	}
	if late := alive[len(alive)-1]; late < 4*3600-20 {
		t.Errorf("last isalive at %d", late)
	}
}

// TestJitter: nodes are spread, and each is always at its place.
func TestJitter(t *testing.T) {
	t.Parallel()
	const nodes = 200
	places := map[time.Duration]int{}
	for i := range nodes {
		w := &watchdog{node: fmt.Sprint("pc", i)}
		at := w.jitter("isalive", 180*time.Second)
		if at != w.jitter("isalive", 180*time.Second) || at < 0 || at >= 18*time.Second {
			t.Errorf("%s: %v", w.node, at)
		}
		places[at/time.Second]++
		w.table.Jitter = time.Hour
		if at := w.jitter("isalive", 180*time.Second); at >= 180*time.Second {
			t.Errorf("%s: given jitter %v", w.node, at)
		}
	}
	for at, n := range places {
		if n > nodes/4 {
			t.Errorf("%d of %d nodes at second %d", n, nodes, at)
		}
	}
	if at := (&watchdog{}).jitter("x", 5); at != 0 {
		t.Errorf("%v", at)
	}
}

// TestAccounts: they are fetched once at a time while signs of life go on, and
// nothing is left when the watchdog ends.
func TestAccounts(t *testing.T) {
	t.Parallel()
	v := testVitals(t)
	synctest.Test(t, func(t *testing.T) {
		var began, ended []int
		var alive int
		begin := time.Now()
		boss := &fakeBoss{answer: func(_ int, c Call) (string, error) {
			if c.Words[0] == "isalive" {
				alive++
				return "UPDATE=1\n", nil
			}
			return "INTERVAL=3600 ISALIVE=60\n", nil
		}}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		w := &watchdog{boss: boss, vitals: v, notes: io.Discard, update: func(ctx context.Context) error {
			began = append(began, int(time.Since(begin)/time.Minute))
			err := pause(ctx, 150*time.Second)
			ended = append(ended, int(time.Since(begin)/time.Minute))
			return err
		}}
		w.run(ctx)
		if !slices.Equal(began, []int{0, 3, 6, 9}) || len(ended) != len(began) || alive < 10 {
			t.Errorf("began %v, ended %v, %d signs of life", began, ended, alive)
		}
	})
}

// TestParseIntervals reads what servers say.
func TestParseIntervals(t *testing.T) {
	t.Parallel()
	for reply, want := range map[string]Intervals{
		"":         {},
		"-\n":      {},
		"ISALIVE=": {},
		"INTERVAL=3600 ISALIVE=180 NTPDRIFT=14400 CVSUP=0 RUSAGE=300 HOSTKEYS=59999940 DHCPDCONF=300 SETROOTPSWD=3600\n": {
			Ask: time.Hour, IsAlive: 3 * time.Minute, NTPDrift: 4 * time.Hour, RUsage: 5 * time.Minute, HostKeys: 59999940 * time.Second, RootPassword: time.Hour},
		"INTERVAL=-1 ISALIVE=-60 RUSAGE=0 NTPDRIFT=x HOSTKEYS=99999999999999999999": {},
		"ISALIVE=9223372036854775807":           {IsAlive: intervalSecsMax * time.Second},
		"RUSAGE=5 JITTER=7\nISALIVE=1":          {RUsage: 5 * time.Second, Jitter: 7 * time.Second},
		strings.Repeat("X=1 ", 40) + "RUSAGE=5": {},
	} {
		if got := ParseIntervals(reply); got != want {
			t.Errorf("%.60q: %+v, want %+v", reply, got, want)
		}
	}
	for reply, want := range map[string]int{"UPDATE=1\n": 1, "UPDATE=0\n": 0, "UPDATE=3\nx": 3, "": 0, " UPDATE=1": 0, "UPDATE=x": 0} {
		if got := updateCount(reply); got != want {
			t.Errorf("%q: %d", reply, got)
		}
	}
}

// TestVitals of a made-up root.
func TestVitals(t *testing.T) {
	t.Parallel()
	v := testVitals(t)
	usage, err := v.rusage()
	if got := strings.Join(usage[:3], " "); err != nil || got != "LA1=0.10 LA5=0.20 LA15=0.30" || !strings.HasPrefix(usage[3], "DUSED=") {
		t.Errorf("%q, %v", usage, err)
	}
	if got := fmt.Sprint(v.drift()); got != "[-12.345]" {
		t.Errorf("drift %s", got)
	}
	const old, young = "SSH_HOST_RSA_KEY='ssh-rsa AAAA root@n1'", "SSH_HOST_ED25519_KEY='ssh-ed25519 BBBB root@n1'"
	if got := v.hostKeys(); !slices.Equal(got, []string{old, young + " " + old}) { // an old server refuses the second
		t.Errorf("keys %q", got)
	}
	none := vitals{t.TempDir()}
	if _, err := none.rusage(); err == nil || none.drift() != nil || none.hostKeys() != nil {
		t.Errorf("a node with nothing: %v %q %q", err, none.drift(), none.hostKeys())
	}
	for _, c := range [][4]uint64{{100, 50, 40, 56}, {100, 100, 100, 0}, {100, 0, 0, 100}, {0, 0, 0, 0}, {100, 200, 10, 0}} {
		if got := percentUsed(c[0], c[1], c[2]); got != int(c[3]) {
			t.Errorf("%v: %d", c, got)
		}
	}
}

// TestWatchdogWholePath reports to the real server until all has arrived.
func TestWatchdogWholePath(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := newClient(s.env, "", "")
	w := &watchdog{boss: b, vitals: testVitals(t), notes: io.Discard}
	w.jobs = []*job{{name: "watchdoginfo"}, {name: "isalive"}, {name: "rusage"}, {name: "ntpdrift"}, {name: "hostkeys"}, {name: "rootpswd"}}
	hash := ""
	w.setRoot = func(_ context.Context, h string) error { hash = h; return nil }
	for _, do := range []func(context.Context) error{w.ask, w.isAlive, w.rusage, w.ntpDrift, w.hostKeys, w.rootPassword} {
		if err := do(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if w.node != "n1" || w.table.IsAlive != 3*time.Minute || w.jobs[1].every != 3*time.Minute {
		t.Errorf("%s: %+v", w.node, w.table)
	}
	snap := s.reg.Snapshot()
	if status := snap.Status("n1"); status.Status != "up" || status.Load != [3]float64{0.1, 0.2, 0.3} {
		t.Errorf("%+v", status)
	}
	run := snap.Runtime("n1")
	if run.NTPDrift != "-12.345" || run.SSHKeys["SSH_HOST_RSA_KEY"] != "ssh-rsa AAAA root@n1" || run.SSHKeys["SSH_HOST_ED25519_KEY"] != "ssh-ed25519 BBBB root@n1" {
		t.Errorf("%+v", run)
	}
	if len(run.RootPassword) != 12 || !strings.HasPrefix(hash, "$1$") {
		t.Errorf("root's password %q, hash %q", run.RootPassword, hash)
	}
}

// TestUpdateCommand runs a real one, and kills one that takes too long.
func TestUpdateCommand(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	path := script(t, t.TempDir(), "update", "echo fetched $1")
	if err := runUpdate(t.Context(), []string{path, "now"}, &out); err != nil || out.String() != "fetched now\n" {
		t.Errorf("%q, %v", &out, err)
	}
	slow := script(t, t.TempDir(), "slow", "echo $$; sleep 300 & wait")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var once sync.Once
	if err := runUpdate(ctx, []string{slow}, &onText{&out, "\n", func() { once.Do(cancel) }}); err == nil {
		t.Error("a command that was killed succeeded")
	}
}

// TestRootHash: only an MD5 hash as crypt writes it becomes an argument.
func TestRootHash(t *testing.T) {
	t.Parallel()
	const good = "$1$abcdefgh$f6By0S.mvh2u7uOB0ifxs1"
	if got, err := parseRootHash("HASH=" + good + "\n"); err != nil || got != good {
		t.Errorf("%q, %v", got, err)
	}
	for _, bad := range []string{"", "HASH=\n", good, "HASH=$1$a b$f6By0S.mvh2u7uOB0ifxs1", "HASH=-r", "HASH=$6$abcdefgh$f6By0S.mvh2u7uOB0ifxs1",
		"HASH=" + good + "\nHASH=x", "HASH=$1$abcdefgh$f6By0S.mvh2u7uOB0ifx;1", "HASH=$1$abcdefghi$f6By0S.mvh2u7uOB0ifxs1"} {
		if got, err := parseRootHash(bad); err == nil {
			t.Errorf("%q gives %q", bad, got)
		}
	}
}
