package httpboot

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/netip"
	"path"
	"strings"
	"time"

	"hyzer/netsvc/bootfiles"
)

// contentType tells UEFI what it gets (UEFI 2.5 section 24.7: the type or the
// extension decides; RAM disks are told apart from applications). All else is
// bytes: no browser's guess may turn a boot file into a page.
func contentType(name string) string {
	switch strings.ToLower(path.Ext(name)) {
	case ".efi":
		return "application/efi"
	case ".iso":
		return "application/vnd.efi-iso"
	case ".img":
		return "application/vnd.efi-img"
	case ".ipxe", ".cfg", ".txt":
		return "text/plain; charset=utf-8"
	}
	return "application/octet-stream"
}

// Transfer is one request's fate.
type Transfer struct {
	Client   netip.AddrPort
	Method   string
	Name     string // as asked: untrusted, use bootfiles.LogName to print it
	Status   int    // HTTP status that was answered
	Bytes    int64  // of the body, handed to the kernel
	Size     int64  // of the file; 0 if it was not opened
	Duration time.Duration
	Err      error // nil: all that was asked for was sent
}

// ServeHTTP answers one request and reports it.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.enter() {
		return
	}
	defer s.handlers.Done()
	began := time.Now()
	client, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		client = netip.AddrPort{}
	}
	t := Transfer{
		Client: netip.AddrPortFrom(client.Addr().Unmap().WithZone(""), client.Port()),
		Method: r.Method, Name: r.URL.Path,
	}
	out := &progressWriter{ResponseWriter: w, control: http.NewResponseController(w), idle: s.cfg.WriteTimeout}
	if err := out.extend(); err == nil {
		t.Size, t.Err = s.serve(out, r, t.Client.Addr())
	}
	t.Status, t.Bytes, t.Duration = out.status, out.bytes, time.Since(began)
	if t.Err == nil {
		t.Err = out.err
	}
	s.report(t)
}

func (s *Server) serve(w *progressWriter, r *http.Request, client netip.Addr) (size int64, err error) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		w.refuse(http.StatusMethodNotAllowed)
		return 0, fmt.Errorf("method %s", bootfiles.LogName(r.Method))
	}
	f, err := s.open(r, client)
	if err != nil {
		w.refuse(openStatus(err))
		return 0, err
	}
	defer f.Close()
	var modified time.Time
	if stamped, ok := f.(bootfiles.Stamped); ok {
		modified = stamped.ModTime()
	}
	if tagged, ok := f.(bootfiles.Tagged); ok {
		w.Header().Set("ETag", tagged.ETag())
	}
	w.Header().Set("Content-Type", contentType(r.URL.Path))
	w.Header().Set("X-Content-Type-Options", "nosniff")
	body := &fileReader{SectionReader: io.NewSectionReader(f, 0, f.Size())}
	http.ServeContent(w, r, "", modified, body)
	return f.Size(), body.err
}

// open looks among the images first if the name is of one.
func (s *Server) open(r *http.Request, client netip.Addr) (bootfiles.File, error) {
	if id, ok := strings.CutPrefix(r.URL.Path, ImagesPath); ok && s.cfg.Images != nil {
		f, err := s.cfg.Images.Open(r.Context(), client, id)
		if !errors.Is(err, fs.ErrNotExist) {
			return f, err
		}
	}
	return s.cfg.Files.Open(r.Context(), client, r.URL.Path)
}

func openStatus(err error) int {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return http.StatusNotFound
	case errors.Is(err, bootfiles.ErrBusy):
		return http.StatusServiceUnavailable
	case errors.Is(err, bootfiles.ErrRefused), errors.Is(err, fs.ErrPermission):
		return http.StatusForbidden
	}
	return http.StatusInternalServerError
}

// fileReader remembers why a body ended early: a file that shrank or a disk
// error. net/http then closes the connection before Content-Length is reached,
// which every client takes for a failure.
type fileReader struct {
	*io.SectionReader
	at  int64
	err error
}

func (f *fileReader) Seek(off int64, whence int) (int64, error) {
	at, err := f.SectionReader.Seek(off, whence)
	f.at = at
	return at, err
}

func (f *fileReader) Read(p []byte) (int, error) {
	n, err := f.SectionReader.Read(p)
	f.at += int64(n)
	switch {
	case errors.Is(err, io.EOF) && f.at < f.Size():
		f.err = fmt.Errorf("file shrank at byte %d while it was served: replace it by rename", f.at)
		return n, io.ErrUnexpectedEOF
	case err != nil && !errors.Is(err, io.EOF):
		f.err = err
	}
	return n, err
}

// progressWriter gives the client a fresh write deadline with each piece: a
// slow link may take as long as it needs, a dead one may not. It hides the
// connection's ReadFrom on purpose, that would write all in one call.
type progressWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	idle    time.Duration
	status  int
	bytes   int64
	err     error
}

func (w *progressWriter) extend() error {
	return w.control.SetWriteDeadline(time.Now().Add(w.idle))
}

func (w *progressWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *progressWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	if err := w.extend(); err != nil {
		w.err = err
		return 0, err
	}
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	if err != nil {
		w.err = err
	}
	return n, err
}

// refuse answers with the status and its standard text.
func (w *progressWriter) refuse(status int) {
	http.Error(w, http.StatusText(status), status)
}
