package tmcd

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"
)

// authority is a certificate authority of one test.
type authority struct {
	tb   testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(tb testing.TB, name string) *authority {
	tb.Helper()
	a := &authority{tb: tb, key: newKey(tb)}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour),
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

func newKey(tb testing.TB) *ecdsa.PrivateKey {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

// issue makes a certificate for servers and clients, valid for a while.
func (a *authority) issue(name string, valid time.Duration) tls.Certificate {
	a.tb.Helper()
	key := newKey(a.tb)
	template := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(valid), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		a.tb.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// TestTLSWithAuthority: both ends show certificates of the site's authority,
// as Emulab's do. A client without one, with an old one, or with somebody
// else's is not answered.
func TestTLSWithAuthority(t *testing.T) {
	t.Parallel()
	site, other := newAuthority(t, "site"), newAuthority(t, "other")
	s, _ := startServer(t, func(c *Config) {
		c.TLS = &tls.Config{Certificates: []tls.Certificate{site.issue("boss", time.Hour)}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: site.pool()}
	})
	ask := func(from string, version uint16, trust *authority, certs ...tls.Certificate) (string, error) {
		conn := dial(t, s, from)
		if _, err := io.WriteString(conn, legacyTLSTag); err != nil {
			return "", err
		}
		secured := tls.Client(conn, &tls.Config{RootCAs: trust.pool(), ServerName: "boss", Certificates: certs, MaxVersion: version})
		if _, err := io.WriteString(secured, "VERSION=44 nodeid "); err != nil {
			return "", err
		}
		reply, err := io.ReadAll(secured)
		return string(reply), err
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		if reply, err := ask("127.0.1.1", version, site, site.issue("n1", time.Hour)); err != nil || reply != "n1\n" {
			t.Errorf("with a certificate: %q, %v", reply, err)
		}
		// Who asks is said by the address; the certificate lets it in.
		if reply, err := ask("127.0.1.2", version, site, site.issue("n1", time.Hour)); err != nil || reply != "n2\n" {
			t.Errorf("from another address: %q, %v", reply, err)
		}
		for name, certs := range map[string][]tls.Certificate{
			"none": nil, "another authority's": {other.issue("n1", time.Hour)}, "an old one": {site.issue("n1", -time.Hour)},
		} {
			if reply, err := ask("127.0.1.1", version, site, certs...); err == nil || reply != "" {
				t.Errorf("certificate %s: %q, %v, want an error", name, reply, err)
			}
		}
		if _, err := ask("127.0.1.1", version, other, site.issue("n1", time.Hour)); err == nil || !strings.Contains(err.Error(), "unknown authority") {
			t.Errorf("a client of another site took the server's certificate: %v", err)
		}
	}
}
