package tmcd

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"hyzer/bench/shared"
	"hyzer/storage/registry"
	"hyzer/storage/registry/emulab/emulabtest"
)

// exchange is one golden request and what the C server did.
type exchange struct {
	ID        string            `json:"id"`
	Src       netip.Addr        `json:"src"`
	Transport string            `json:"transport"`
	Request   string            `json:"request"`
	Reply     string            `json:"reply"`
	End       string            `json:"end"`
	Events    []string          `json:"events"`
	DB        map[string]string `json:"db"`
}

func goldenExchanges(tb testing.TB) []exchange {
	tb.Helper()
	var list []exchange
	if err := json.Unmarshal(shared.ReadFile(tb, "vectors/tmcd/golden-replies.json"), &list); err != nil {
		tb.Fatal(err)
	}
	for i := range list {
		// Texts are latin-1: one rune is one byte.
		list[i].Request, list[i].Reply = latin1(list[i].Request), latin1(list[i].Reply)
	}
	return list
}

func goldenSite(tb testing.TB) *registry.SiteFile {
	tb.Helper()
	file, _ := emulabtest.GoldenSite(tb)
	return file
}

func latin1(s string) string {
	var b strings.Builder
	for _, r := range s {
		b.WriteByte(byte(r))
	}
	return b.String()
}

// deviations are exchanges in which this server differs from the C one on
// purpose, or in which the recording cannot be reached from the given rows.
var deviations = map[string]struct{ reply, why string }{
	"double-space":      {"ALLOCATED=testproj/exp1 NICKNAME=nodea\n", "C drops requests with an empty word; accepting them is asked for"},
	"booterrno":         {"", "C takes `booterrno -- -1` for a bad argument; here it is -1"},
	"bootlog-100k-raw":  {"", "C leaves what is over 32768 bytes unread; here all is stored"},
	"pnetnodeattrs-pc5": {"", "recorded with stray memory in the reply"},
	"readycount-pc5":    {"READY=0 TOTAL=2\n", "recorded with the nodes of a second site"},
}

// unanswered are the commands that answer nothing whatever the site is, and why.
func unanswered() map[string]string {
	const (
		planetLab = "PlanetLab is gone; its service's state is not in the registry"
		noBytes   = "the specs do not give the reply's bytes"
		tpm       = "TPM keys are not enrolled here: answered as where nothing is configured"
	)
	return map[string]string{
		"plabconfig": planetLab, "eplabconfig": planetLab, "elvindport": planetLab, "plabeventkeys": planetLab,
		"emulabconfig": noBytes, "attenuatorlist": noBytes, "attenuator": noBytes,
		"tpmblob": tpm, "tpmpubkey": tpm, "tpmdummy": tpm, "quoteprep": tpm, "imagekey": tpm,
	}
}

// fakeStates stands for the state machine.
type fakeStates struct{ events []string }

func (f *fakeStates) Report(_ context.Context, node, source string, states ...string) error {
	for _, state := range states {
		f.events = append(f.events, event("TBNODESTATE", node, state))
	}
	return nil
}

func (f *fakeStates) Expect(node, source string) recordAnswer { return reportOf(f, node, source) }

func (f *fakeStates) Reset(_ context.Context, node string) error {
	f.events = append(f.events, event("TBCONTROL", node, "RESET"))
	return nil
}

func event(kind, node, name string) string {
	return fmt.Sprintf("HOST=localhost OBJTYPE=%s OBJNAME=%s EVENTTYPE=%s", kind, node, name)
}

// fakeLogs keeps the newest log of each node.
type fakeLogs map[string]string

func (f fakeLogs) Store(_ context.Context, node string, text io.Reader) error {
	all, err := io.ReadAll(text)
	if trimmed := bytes.TrimLeft(all, " \t\n\r"); len(trimmed) > 0 {
		f[node] = string(trimmed)
	}
	return err
}

// replayer answers golden requests with the handler and a registry.
type replayer struct {
	t       *testing.T
	reg     *registry.Registry
	handler *Handler
	states  *fakeStates
	logs    fakeLogs
	effects *Recorder
}

func newReplayer(t *testing.T) *replayer {
	r := &replayer{t: t, reg: emulabtest.Open(t, goldenSite(t)), handler: NewHandler(), states: &fakeStates{}, logs: fakeLogs{}}
	r.effects = &Recorder{States: r.states, Registry: r.reg, Logs: r.logs, Now: time.Now}
	return r
}

// play returns the reply, the command and the events.
func (r *replayer) play(x *exchange) (reply string, adm Admission, events []string) {
	request := x.Request
	if x.ID == "bootlog-100k-raw" {
		request = "VERSION=44 bootlog " + strings.Repeat("x", 100000)
	}
	data := []byte(request)
	head, rest, err := ParseHead(data, true)
	if err != nil {
		return "", Admission{Refused: err.Error()}, nil
	}
	req := Request{Head: head, From: x.Src}
	if x.Transport == "udp" {
		req.Transport = UDP
	}
	adm = r.handler.Admit(r.reg.Snapshot(), req)
	result, err := adm.Run(bytes.NewReader(data[rest:]))
	if err != nil {
		r.t.Fatal(err)
	}
	r.states.events = nil
	for _, effect := range result.Effects {
		switch e := effect.(type) {
		case AccountsFetched:
			events = append(events, event("TBUPDATEACCOUNTS", e.Node, fmt.Sprint(e.Count)))
		case StartStatus:
			events = append(events, event("TBSTARTSTATUS", e.Node, fmt.Sprint(e.Status)))
		}
		if err := effect.apply(context.Background(), r.effects); err != nil {
			r.t.Errorf("%s: effect %T: %v", x.ID, effect, err)
		}
	}
	return string(result.Reply), adm, append(events, r.states.events...)
}

// database answers the golden queries from the registry.
func (r *replayer) database(query string) string {
	snap := r.reg.Snapshot()
	run, status := snap.Runtime("pc1"), snap.Status("pc1")
	switch query {
	case "select status from node_status where node_id='pc1'":
		return status.Status
	case "select update_accounts from nodes where node_id='pc1'":
		return fmt.Sprint(run.UpdateAccounts)
	case "select boot_errno from nodes where node_id='pc1'":
		return fmt.Sprint(run.BootErrno)
	case "select ready from nodes where node_id='pc1'":
		return zeroOne(run.Ready)
	case "select startstatus from nodes where node_id='pc1'":
		return run.StartStatus
	case "select length(bootlog) from node_bootlogs where node_id='pc1'":
		return fmt.Sprint(len(r.logs["pc1"]))
	case "select ntpdrift from nodes where node_id='pc1'":
		return run.NTPDrift
	case "select load_1min,load_5min,load_15min,disk_used from node_rusage where node_id='pc1'":
		return fmt.Sprintf("%v\t%v\t%v\t%v", status.Load[0], status.Load[1], status.Load[2], status.DiskUsed)
	case "select sshrsa_v1,sshrsa_v2,sshdsa_v2 from node_hostkeys where node_id='pc1'":
		keys := run.SSHKeys
		return cmp.Or(keys["SSH_HOST_KEY"], "NULL") + "\t" + cmp.Or(keys["SSH_HOST_RSA_KEY"], "NULL") + "\t" + cmp.Or(keys["SSH_HOST_DSA_KEY"], "NULL")
	case "select cd_version from nodes where node_id='pc1'":
		return run.CDVersion
	case "select battery_percentage,battery_voltage from nodes where node_id='pc1'":
		return fmt.Sprintf("%v\t%v", status.BatteryPercent, status.BatteryVolts)
	case "select service,port,node_id from port_registration where service='newsvc' and node_id='pc1'":
		return fmt.Sprintf("newsvc\t%d\tpc1", run.Services["newsvc"])
	}
	r.t.Fatalf("unknown query %q", query)
	return ""
}

// tally counts exchanges by how they ended.
type tally struct {
	equal      int // of commands that are answered, with their effects
	equalEmpty int // of those, the ones in which nothing is the answer
	refused    int // of those, the ones that were refused
	deviating  int // listed in deviations
	unanswered map[string]int
}

func (a tally) unansweredSum() (sum int) {
	for _, n := range a.unanswered {
		sum += n
	}
	return sum
}

// TestGoldenExchanges replays the recording of the C server in its order.
// Every exchange of an answered command must match, also one whose answer is
// nothing: the golden site has no rows for it, and TestConfigured shows what
// the command says where there are some. Those of the commands in unanswered
// were recorded as empty too.
func TestGoldenExchanges(t *testing.T) {
	t.Parallel()
	r := newReplayer(t)
	exchanges := goldenExchanges(t)
	got := tally{unanswered: map[string]int{}}
	for i := range exchanges {
		r.compare(&exchanges[i], &got)
	}
	t.Logf("of %d exchanges %d are equal with their effects (%d of them empty, of which %d were refused), %d deviate on purpose, "+
		"%d are of commands that answer nothing here and were recorded so: %v",
		len(exchanges), got.equal, got.equalEmpty, got.refused, got.deviating, got.unansweredSum(), got.unanswered)
	if got.equal != 1138 || got.deviating != len(deviations) || got.unansweredSum() != 68 {
		t.Error("there have been 1138 equal, 5 deviating and 68 of commands that answer nothing")
	}
}

func (r *replayer) compare(x *exchange, got *tally) {
	if x.ID == "isalive-update" { // the recorder raised the counter here
		if err := r.effects.runtime(context.Background(), "pc1", func(run *registry.Runtime) { run.UpdateAccounts = 2 }); err != nil {
			r.t.Fatal(err)
		}
	}
	reply, adm, events := r.play(x)
	deviation, deviates := deviations[x.ID]
	switch {
	case adm.call != nil && adm.call.cmd.run == nil:
		got.unanswered[adm.Command]++
		if x.Reply != "" {
			r.t.Errorf("%s: %s was recorded with the answer %q", x.ID, adm.Command, x.Reply)
		}
		return
	case deviates:
		got.deviating++
		if reply != deviation.reply {
			r.t.Errorf("%s (%s):\n got %q\nwant %q", x.ID, deviation.why, reply, deviation.reply)
		}
		return
	case !sameReply(r.handler, adm.Command, reply, x.Reply):
		r.t.Errorf("%s: %q\n got %q\nwant %q", x.ID, x.Request, reply, x.Reply)
		return
	}
	got.equal++
	if x.Reply == "" {
		got.equalEmpty++
		if adm.Refused != "" {
			got.refused++
		}
	}
	r.checkEffects(x, events)
}

// TestUnanswered holds the table to its list of commands without a reply.
func TestUnanswered(t *testing.T) {
	t.Parallel()
	listed := unanswered()
	for _, cmd := range newCommands() {
		if _, ok := listed[cmd.name]; ok != (cmd.run == nil) {
			t.Errorf("%s: listed as unanswered %v, answers %v", cmd.name, ok, cmd.run != nil)
		}
	}
}

func (r *replayer) checkEffects(x *exchange, events []string) {
	if !slices.Equal(events, x.Events) && len(events)+len(x.Events) > 0 {
		r.t.Errorf("%s: events\n got %q\nwant %q", x.ID, events, x.Events)
	}
	for query, want := range x.DB {
		if got := r.database(query); got != strings.TrimSuffix(want, "\n") {
			r.t.Errorf("%s: %s\n got %q\nwant %q", x.ID, query, got, want)
		}
	}
}

// sameReply compares exactly, or as sets where the C queries have no order.
func sameReply(h *Handler, command, got, want string) bool {
	switch command {
	case "ifconfig", "accounts":
		return got == want || slices.Equal(sortedLines(got), sortedLines(want))
	case "intfcmap":
		return slices.Equal(wordSets(got), wordSets(want))
	case "fullconfig":
		return slices.Equal(sections(h, got), sections(h, want))
	}
	return got == want
}

func sortedLines(s string) []string {
	lines := strings.SplitAfter(s, "\n")
	slices.Sort(lines)
	return lines
}

func wordSets(s string) []string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		words := strings.Fields(line)
		slices.Sort(words)
		lines[i] = strings.Join(words, " ")
	}
	return lines
}

var randomHash = regexp.MustCompile("HASH=[0-9a-f]{32}\n")

// sections splits a fullconfig reply and leaves only the frame of commands not
// yet answered.
func sections(h *Handler, s string) []string {
	s = randomHash.ReplaceAllString(s, "HASH=random\n") // of ipodinfo
	var out []string
	skipping := ""
	for line := range strings.SplitAfterSeq(s, "\n") {
		name, isFrame := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "*** ")
		switch {
		case isFrame && skipping == name:
			skipping = ""
		case isFrame && skipping == "":
			if cmd := h.table.find([]byte(name)); cmd != nil && cmd.run == nil {
				skipping = name
			}
		case skipping != "":
			continue
		}
		out = append(out, line)
	}
	return out
}
