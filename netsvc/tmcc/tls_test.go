package tmcc

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"hyzer/netsvc/tmcd"
	"hyzer/storage/registry"
)

// authority signs certificates as a site's does: with a common name alone.
type authority struct {
	tb   testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(tb testing.TB) *authority {
	tb.Helper()
	a := &authority{tb: tb}
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	if err != nil {
		tb.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		tb.Fatal(err)
	}
	return a
}

// pem is the authority's certificate as a file has it.
func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

// issue returns certificate and key in one file, as client.pem and server.pem
// have them.
func (a *authority) issue(name string, valid time.Duration) []byte {
	a.tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.tb.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(valid)}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		a.tb.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.tb.Fatal(err)
	}
	return append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})...)
}

// startTLSServer is a server whose node must show its certificate.
func startTLSServer(tb testing.TB, a *authority, name string) (port uint16, effects *sinkEffects) {
	tb.Helper()
	both := a.issue(name, time.Hour)
	cert, err := tls.X509KeyPair(both, both)
	if err != nil {
		tb.Fatal(err)
	}
	clients := x509.NewCertPool()
	clients.AddCert(a.cert)
	return startServerWith(tb, func(c *tmcd.Config, site *registry.SiteFile) {
		c.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, ClientCAs: clients, ClientAuth: tls.RequireAndVerifyClientCert}
		site.Types[0].Attributes = map[string]string{tmcd.AttributePolicy: "auth-always"}
	})
}

// TestTLS runs the command with certificates of every kind, framed and in text.
func TestTLS(t *testing.T) {
	t.Parallel()
	site, foreign := newAuthority(t), newAuthority(t)
	good, _ := startTLSServer(t, site, "127.0.0.1")
	misnamed, _ := startTLSServer(t, site, "127.0.0.2")
	for _, tc := range []struct {
		name      string
		port      uint16
		dir       string
		client    []byte
		authority *authority
		env, args string
		exit      int
		stdout    string
		stderr    string // a part of it
	}{
		{name: "valid", port: good, dir: "/etc/emulab", client: site.issue("n1", time.Hour), authority: site, stdout: "n1\n"},
		{name: "in the last folder", port: good, dir: "/usr/local/etc/emulab", client: site.issue("n1", time.Hour), authority: site, stdout: "n1\n"},
		{name: "another node's", port: good, dir: "/etc/emulab", client: site.issue("n2", time.Hour), authority: site, exit: 22},
		{name: "expired", port: good, dir: "/etc/emulab", client: site.issue("n1", -time.Hour), authority: site, exit: 255, stderr: "expired certificate"},
		{name: "of a foreign authority", port: good, dir: "/etc/emulab", client: foreign.issue("n1", time.Hour), authority: site, exit: 255, stderr: "tls:"},
		{name: "a foreign server", port: good, dir: "/etc/emulab", client: site.issue("n1", time.Hour), authority: foreign, exit: 255, stderr: "unknown authority"},
		{name: "a server with another name", port: misnamed, dir: "/etc/emulab", client: site.issue("n1", time.Hour), authority: site, exit: 255, stderr: errNotServer.Error()},
		{name: "no certificate", port: good, authority: site, exit: 23},
		{name: "-i", port: good, dir: "/etc/emulab", client: site.issue("n1", time.Hour), authority: site, args: "-i", exit: 23},
		{name: "TMCCNOSSL", port: good, dir: "/etc/emulab", client: site.issue("n1", time.Hour), authority: site, env: "1", exit: 23},
		{name: "not a certificate", port: good, dir: "/etc/emulab", client: []byte("x"), authority: site, exit: 255, stderr: "client.pem"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			env := map[string]string{"HYZER_BIND": "127.0.1.1", "TMCCNOSSL": tc.env}
			n := node{root: t.TempDir(), env: func(key string) string { return env[key] }}
			if tc.dir != "" {
				putFile(t, filepath.Join(n.root, tc.dir, clientPEM), tc.client)
				putFile(t, filepath.Join(n.root, tc.dir, authorityPEM), tc.authority.pem())
			}
			for _, text := range []bool{false, true} {
				args := append([]string{"-s", "127.0.0.1", "-p", strconv.Itoa(int(tc.port)), "-t", "20", "--exit-status"}, strings.Fields(tc.args)...)
				exit := tc.exit
				if text { // where a refusal is an empty reply
					args = append(args, "--legacy")
					if exit < 255 {
						exit = 0
					}
				}
				var stdout, stderr bytes.Buffer
				got := n.main(context.Background(), append(args, "nodeid"), &stdout, &stderr)
				if got != exit || stdout.String() != tc.stdout || !strings.Contains(stderr.String(), tc.stderr) {
					t.Errorf("text %t: exit %d, %q, %q; want %d, %q, %q", text, got, &stdout, &stderr, exit, tc.stdout, tc.stderr)
				}
			}
		})
	}
}

func putFile(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestTLSLog sends a log of many records, framed and in text.
func TestTLSLog(t *testing.T) {
	t.Parallel()
	site := newAuthority(t)
	port, effects := startTLSServer(t, site, "127.0.0.1")
	env := map[string]string{"HYZER_BIND": "127.0.1.1"}
	n := node{root: t.TempDir(), env: func(key string) string { return env[key] }}
	putFile(t, filepath.Join(n.root, "/etc/emulab", clientPEM), site.issue("n1", time.Hour))
	putFile(t, filepath.Join(n.root, "/etc/emulab", authorityPEM), site.pem())
	file := filepath.Join(n.root, "log")
	for _, option := range []string{"-R", "--legacy"} {
		log := strings.Repeat("a line of a boot log "+option+"\n", 10000)
		putFile(t, file, []byte(log))
		var stdout, stderr bytes.Buffer
		args := []string{"-s", "127.0.0.1", "-p", strconv.Itoa(int(port)), "-t", "20", option, "-f", file, "bootlog"}
		if exit := n.main(context.Background(), args, &stdout, &stderr); exit != 0 {
			t.Errorf("%s: exit %d: %s", option, exit, &stderr)
		}
		effects.mu.Lock()
		if effects.log != log {
			t.Errorf("%s: %d bytes came as %d", option, len(log), len(effects.log))
		}
		effects.mu.Unlock()
	}
}
