package tmcd

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// pemOf is a certificate and its key as files have them.
func pemOf(t *testing.T, c tls.Certificate) (cert, key []byte) {
	t.Helper()
	der, err := x509.MarshalECPrivateKey(c.PrivateKey.(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]}), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
}

// TestCertificatesAreReadAgain: while the server runs its files are replaced one
// by one, broken, taken away and restored. It goes on with the last good ones,
// and complains once of what is wrong.
func TestCertificatesAreReadAgain(t *testing.T) {
	t.Parallel()
	dir, site, next := t.TempDir(), newAuthority(t, "site"), newAuthority(t, "next")
	files := CertificateFiles{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), filepath.Join(dir, "ca.pem")}
	put := func(path string, text []byte) {
		t.Helper()
		if err := os.WriteFile(path+".new", text, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	authorityPEM := func(a *authority) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
	}
	firstCert, firstKey := pemOf(t, site.issue("first", time.Hour))
	secondCert, secondKey := pemOf(t, site.issue("second", time.Hour))
	put(files.Cert, firstCert)
	put(files.Key, firstKey)
	put(files.ClientCA, authorityPEM(site))
	var log lines
	certs, err := OpenCertificates(files, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	certs.pause = 0
	s, _ := startServer(t, func(c *Config) { c.TLS = certs.Config() })
	sessions := tls.NewLRUClientSessionCache(8)
	served := func(client *authority) string { // the server's name, or "refused"
		conn := dial(t, s, "127.0.1.1")
		defer conn.Close()
		own := client.issue("n1", time.Hour)
		secured := tls.Client(conn, &tls.Config{RootCAs: site.pool(), InsecureSkipVerify: true, Certificates: []tls.Certificate{own}, ClientSessionCache: sessions})
		if _, err := io.WriteString(secured, "VERSION=44 nodeid "); err != nil {
			return "refused"
		}
		if reply, err := io.ReadAll(secured); err != nil || string(reply) != "n1\n" {
			return "refused"
		}
		return secured.ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	for _, step := range []struct {
		name           string
		do             func()
		client         *authority
		want           string
		errors, reread int // in the log so far
	}{
		{"at first", func() {}, site, "first", 0, 0},
		{"another authority's client", func() {}, next, "refused", 0, 0},
		{"a certificate without its key", func() { put(files.Cert, secondCert) }, site, "first", 1, 0},
		{"again", func() {}, site, "first", 1, 0},
		{"and its key", func() { put(files.Key, secondKey) }, site, "second", 1, 1},
		{"broken", func() { put(files.Cert, secondCert[:len(secondCert)/2]) }, site, "second", 2, 1},
		{"again", func() {}, site, "second", 2, 1},
		{"gone", func() { os.Remove(files.Cert) }, site, "second", 3, 1},
		{"restored", func() { put(files.Cert, secondCert) }, site, "second", 3, 2},
		{"no authority in the file", func() { put(files.ClientCA, []byte("x")) }, site, "second", 4, 2},
		{"another authority", func() { put(files.ClientCA, authorityPEM(next)) }, next, "second", 4, 3},
		{"the authority before, with a ticket", func() {}, site, "refused", 4, 3},
	} {
		step.do()
		if got := served(step.client); got != step.want {
			t.Errorf("%s: served as %s, want %s", step.name, got, step.want)
		}
		if errors, reread := strings.Count(log.String(), "level=ERROR"), strings.Count(log.String(), "certificates read again"); errors != step.errors || reread != step.reread {
			t.Errorf("%s: %d errors, %d times read again; want %d, %d", step.name, errors, reread, step.errors, step.reread)
		}
	}
}

// TestBadCertificatesAtStart are an error that says which file.
func TestBadCertificatesAtStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key := pemOf(t, newAuthority(t, "site").issue("boss", time.Hour))
	path := func(name string, text []byte) string {
		full := filepath.Join(dir, name)
		if err := os.WriteFile(full, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return full
	}
	c, k, bad, long := path("c", cert), path("k", key), path("bad", []byte("x")), path("long", make([]byte, certificateBytesMax+1))
	for _, tc := range []struct {
		files CertificateFiles
		want  string
	}{
		{CertificateFiles{c, filepath.Join(dir, "none"), c}, "none"},
		{CertificateFiles{c, bad, c}, "key " + bad},
		{CertificateFiles{c, k, bad}, "client_ca " + bad},
		{CertificateFiles{long, k, c}, "long is over"},
	} {
		if _, err := OpenCertificates(tc.files, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%+v: %v, want %q", tc.files, err, tc.want)
		}
	}
}
