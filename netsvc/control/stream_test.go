package control_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hyzer/netsvc/control"
	"hyzer/netsvc/control/controltest"
	"hyzer/storage/registry"
)

// patience bounds what must happen soon; a test that meets it has failed.
const patience = 2 * time.Minute

// stream runs a stream on the side. Its lines come on the channel, its end is
// the error.
type stream struct {
	lines chan string
	end   chan error
	close context.CancelFunc
}

func open(t *testing.T, s *controltest.Site, method, path string, in any) *stream {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	st := &stream{make(chan string, 1000), make(chan error, 1), cancel}
	client := control.Dial(s.Address)
	go func() {
		defer client.Close()
		defer close(st.lines)
		st.end <- client.Stream(ctx, method, path, in, func(line []byte) error {
			st.lines <- string(line)
			return nil
		})
	}()
	t.Cleanup(func() { cancel(); <-st.end })
	return st
}

// next returns the next line that holds a text.
func (st *stream) next(t *testing.T, text string) string {
	t.Helper()
	for line := range st.lines {
		if strings.Contains(line, text) {
			return line
		}
	}
	t.Fatalf("the stream ended without %q: %v", text, st.ended())
	return ""
}

func (st *stream) ended() error {
	err := <-st.end
	st.end <- err
	return err
}

func (st *stream) rest() (lines []string) {
	for line := range st.lines {
		lines = append(lines, line)
	}
	return lines
}

func report(t *testing.T, s *controltest.Site, node string, states ...string) {
	t.Helper()
	if err := s.Runner.Report(t.Context(), node, "client", states...); err != nil {
		t.Fatal(err)
	}
}

func TestWait(t *testing.T) {
	t.Parallel()
	s := controltest.New(t)
	report(t, s, "pc1", "SHUTDOWN", "BOOTING", "ISUP")
	after := s.Registry.Snapshot().Revision()
	st := open(t, s, "POST", "/v1/wait", control.WaitRequest{Nodes: []string{"pc1", "pc2", "pc3", "pc1"}, Pattern: "ISUP", TimeoutSecs: 0.2})
	st.next(t, `"node":"pc1","outcome":"reached"`)
	report(t, s, "pc2", "SHUTDOWN", "TBFAILED")
	st.next(t, `"node":"pc2","outcome":"failed"`)
	st.next(t, `"node":"pc3","outcome":"timeout"`)
	if rest, err := st.rest(), st.ended(); len(rest) != 0 || err != nil {
		t.Errorf("after the last result: %q, %v", rest, err)
	}
	// What came after a revision is found also when the question comes late.
	late := open(t, s, "POST", "/v1/wait", control.WaitRequest{Nodes: []string{"pc2"}, Pattern: "SHUTDOWN > TBFAILED", After: after})
	late.next(t, `"outcome":"reached"`)
	nofail := open(t, s, "POST", "/v1/wait", control.WaitRequest{Nodes: []string{"pc2"}, Pattern: "ISUP", After: after, NoFail: true, TimeoutSecs: 0.1})
	nofail.next(t, `"outcome":"timeout"`)
}

func TestFollowLoad(t *testing.T) {
	t.Parallel()
	s := controltest.New(t)
	s.Machines.Script("pc2", "SHUTDOWN") // and then nothing
	var job control.LoadState
	err := s.Client.Call(t.Context(), "POST", "/v1/loads", control.LoadRequest{
		Nodes: []string{"pc1", "pc2"}, Images: []registry.Ref{registry.HeadRef("emulab-ops", "DEBIAN-STD")}, By: "op"}, &job)
	if err != nil {
		t.Fatal(err)
	}
	id := job.Job.ID
	st := open(t, s, "GET", "/v1/loads/"+id+"/follow", nil)
	st.next(t, `"node":"pc1","result":"done"`)
	run(t, s, []request{
		{"GET /v1/loads/" + id, "", 200, `"result":"waiting"`},
		{"GET /v1/loads", "", 200, id},
		{"DELETE /v1/nodes/pc2", "", 409, ""},
		{"DELETE /v1/loads/" + id, "", 200, "{}"},
		{"DELETE /v1/loads/" + id, "", 409, "has finished"},
	})
	st.next(t, `"node":"pc2","result":"cancelled"`)
	if err := st.ended(); err != nil {
		t.Errorf("followed to the end: %v", err)
	}
	again := open(t, s, "GET", "/v1/loads/"+id+"/follow", nil)
	if lines := again.rest(); len(lines) != 2 || again.ended() != nil {
		t.Errorf("followed again: %q, %v", lines, again.ended())
	}
}

func TestChanges(t *testing.T) {
	t.Parallel()
	s := controltest.New(t)
	report(t, s, "pc1", "SHUTDOWN")
	st := open(t, s, "GET", "/v1/changes?after=0", nil)
	var seen control.Change
	if err := json.Unmarshal([]byte(st.next(t, `"to":"SHUTDOWN"`)), &seen); err != nil {
		t.Fatal(err)
	}
	st.close()
	if err := st.ended(); !errors.Is(err, context.Canceled) {
		t.Errorf("closed by the client: %v", err)
	}
	// Resumed, it goes on without gap or repetition.
	report(t, s, "pc2", "SHUTDOWN")
	resumed := open(t, s, "GET", fmt.Sprintf("/v1/changes?after=%d", seen.Entry.Revision), nil)
	if line := resumed.next(t, `"entry"`); !strings.Contains(line, `"node":"pc2"`) {
		t.Errorf("resumed with %s", line)
	}
	s.SetProgress("pc1", control.Progress{Image: "emulab-ops/DEBIAN-STD:0", ChunksDone: 3, ChunksTotal: 9})
	resumed.next(t, `"progress":{"image":"emulab-ops/DEBIAN-STD:0","chunks_done":3`)
}

// TestStopWithStreams: open streams do not hold the server, and are told.
func TestStopWithStreams(t *testing.T) {
	t.Parallel()
	s := controltest.New(t)
	s.Machines.Script("pc1")
	var job control.LoadState
	err := s.Client.Call(t.Context(), "POST", "/v1/loads", control.LoadRequest{
		Nodes: []string{"pc1", "pc2"}, Images: []registry.Ref{registry.HeadRef("emulab-ops", "DEBIAN-STD")}}, &job)
	if err != nil {
		t.Fatal(err)
	}
	report(t, s, "pc3", "SHUTDOWN")
	streams := []*stream{
		open(t, s, "POST", "/v1/wait", control.WaitRequest{Nodes: []string{"pc1", "pc3"}, Pattern: "SHUTDOWN"}),
		open(t, s, "GET", "/v1/changes?after=0", nil),
		open(t, s, "GET", "/v1/loads/"+job.Job.ID+"/follow", nil),
	}
	streams[0].next(t, `"node":"pc3"`)
	streams[1].next(t, `"node":"pc3"`)
	streams[2].next(t, `"node":"pc2"`)
	idle, err := net.Dial("unix", s.Address) // connected, has asked nothing
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	stops(t, s)
	for i, st := range streams {
		for _, line := range st.rest() {
			if strings.Contains(line, "cancelled") {
				t.Errorf("stream %d tells of a cancelled wait that nobody cancelled: %s", i, line)
			}
		}
		var told *control.Error
		if err := st.ended(); !errors.As(err, &told) || !strings.Contains(told.Text, "stopping") {
			t.Errorf("stream %d ended with %v", i, err)
		}
	}
}

// TestSlowReader: a client that reads nothing does not hold the server's stop.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	s := controltest.New(t)
	conn, err := net.Dial("unix", s.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET /v1/changes?after=0 HTTP/1.1\r\nHost: localhost\r\n\r\n")
	if _, err := bufio.NewReader(io.LimitReader(conn, 1)).ReadByte(); err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", 1<<20)
	s.SetProgress("pc1", control.Progress{Image: long}) // fills the socket
	report(t, s, "pc1", "SHUTDOWN")
	stops(t, s)
}

// stops stops a server, for which none of its clients may keep it.
func stops(t *testing.T, s *controltest.Site) {
	t.Helper()
	began := time.Now()
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > patience {
		t.Errorf("stopping took %s", took)
	}
}

// TestCut: a stream without its last line is an error.
func TestCut(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, sent string
		abort      bool
		want       error
	}{
		{"ended", "{\"node\":\"pc1\"}\n{\"end\":true}\n", false, nil},
		{"no end", "{\"node\":\"pc1\"}\n", false, control.ErrCut},
		{"nothing", "", false, control.ErrCut},
		{"aborted", "{\"node\":\"pc1\"}\n", true, control.ErrCut},
		{"half a line", "{\"node\":\"pc1\"}\n{\"end\"", false, control.ErrCut},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(w, c.sent)
				_ = http.NewResponseController(w).Flush()
				if c.abort {
					panic(http.ErrAbortHandler)
				}
			}))
			defer server.Close()
			client := control.Dial(server.URL)
			defer client.Close()
			err := client.Stream(t.Context(), "GET", "/", nil, func([]byte) error { return nil })
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if c.abort {
				if err := client.Copy(t.Context(), "GET", "/", nil, io.Discard); !errors.Is(err, control.ErrCut) {
					t.Errorf("copy: got %v", err)
				}
			}
		})
	}
}

// TestManyConnections: clients over the limit wait, none is lost.
func TestManyConnections(t *testing.T) {
	t.Parallel()
	s := controltest.NewOn(t, "unix", filepath.Join(t.TempDir(), "s"))
	var idle []net.Conn
	defer func() {
		for _, c := range idle {
			c.Close()
		}
	}()
	for range 300 {
		conn, err := net.Dial("unix", s.Address)
		if err != nil {
			break // the backlog is full, too
		}
		idle = append(idle, conn)
	}
	answered := make(chan error, 1)
	go func() { answered <- s.Client.Call(t.Context(), "GET", "/v1/status", nil, nil) }()
	for _, c := range idle {
		c.Close()
	}
	if err := <-answered; err != nil {
		t.Error(err)
	}
}

// TestRunWaits: Run returns when its last request has ended, also one whose
// client was cut off: what is below the server is closed next.
func TestRunWaits(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	asked, cutOff := make(chan struct{}), make(chan struct{})
	ended := make(chan struct{}, 1)
	server := control.New(control.Config{Listener: listener, Log: slog.New(slog.DiscardHandler), Status: func() control.Status {
		close(asked)
		<-cutOff
		ended <- struct{}{}
		return control.Status{}
	}})
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		client := control.Dial(listener.Addr().String())
		if err := client.Call(t.Context(), "GET", "/v1/status", nil, nil); err == nil {
			t.Error("the request was answered")
		}
		close(cutOff)
	}()
	go func() { <-asked; stop() }()
	if err := server.Run(ctx); err != nil {
		t.Error(err)
	}
	select {
	case <-ended:
	default:
		t.Error("Run returned before its request had ended")
	}
}
