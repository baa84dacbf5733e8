package tmcc

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"
)

const (
	// tlsTag goes before the handshake, on the port of clear requests.
	tlsTag = "ISPEAKSSL_TMCDV10"
	// clientPEM holds the node's certificate and key, authorityPEM the
	// certificate of who signs them. They are looked for together.
	clientPEM    = "client.pem"
	authorityPEM = "emulab.pem"
	// handshakeTimeout bounds a server that takes the tag and says nothing.
	handshakeTimeout = 30 * time.Second
)

// tls returns what to speak TLS with. nil is to speak in clear: there are no
// certificates, or the command line or TMCCNOSSL says so.
// As C's, a client with certificates does not fall back to clear: it may have a
// key to send.
func (n node) tls(o *options) (*tls.Config, error) {
	if o.clear || o.udp || o.unix != "" || n.env("TMCCNOSSL") != "" {
		return nil, nil
	}
	return Certificates(n.root)
}

// Certificates returns what to speak TLS with by the files of a node: the first
// folder that has client.pem and emulab.pem; nil: there is none. root goes
// before every path; "" is the machine's own.
func Certificates(root string) (*tls.Config, error) {
	for _, dir := range configDirs() {
		client, authority := root+filepath.Join(dir, clientPEM), root+filepath.Join(dir, authorityPEM)
		if !exists(client) || !exists(authority) {
			continue
		}
		return tlsConfig(client, authority)
	}
	return nil, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func tlsConfig(client, authority string) (*tls.Config, error) {
	cert, err := tls.LoadX509KeyPair(client, client)
	if err != nil {
		return nil, fmt.Errorf("tmcc: %s: %w", client, err)
	}
	text, err := os.ReadFile(authority)
	if err != nil {
		return nil, fmt.Errorf("tmcc: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("tmcc: %s: no certificate in it", authority)
	}
	return &tls.Config{Certificates: []tls.Certificate{cert}, RootCAs: roots}, nil
}

// secure makes TLS of a connection, which it closes on an error.
func secure(ctx context.Context, raw net.Conn, config *tls.Config) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	defer stop()
	config = config.Clone()
	peer := raw.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap()
	// Certificates of Emulab have no alternative names, and crypto/tls looks
	// at nothing else: what it would verify is verified here.
	config.InsecureSkipVerify = true
	config.VerifyConnection = func(state tls.ConnectionState) error { return verifyServer(ctx, state, config.RootCAs, peer) }
	secured := tls.Client(raw, config)
	_, err := io.WriteString(raw, tlsTag)
	if err == nil {
		err = secured.HandshakeContext(ctx)
	}
	if err != nil {
		raw.Close()
		return nil, fmt.Errorf("tmcc: TLS: %w", err)
	}
	return secured, nil
}

var errNotServer = errors.New("the certificate's name is not that of the address")

// verifyServer holds the server's certificate against the authority, and its
// name against the address that was connected to.
func verifyServer(ctx context.Context, state tls.ConnectionState, roots *x509.CertPool, peer netip.Addr) error {
	if len(state.PeerCertificates) == 0 {
		return errors.New("the server has no certificate")
	}
	cert, between := state.PeerCertificates[0], x509.NewCertPool()
	for _, c := range state.PeerCertificates[1:] {
		between.AddCert(c)
	}
	if _, err := cert.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between}); err != nil {
		return err
	}
	for _, ip := range cert.IPAddresses {
		if addr, ok := netip.AddrFromSlice(ip); ok && addr.Unmap() == peer {
			return nil
		}
	}
	for _, name := range append([]string{cert.Subject.CommonName}, cert.DNSNames...) {
		if addr, err := netip.ParseAddr(name); err == nil && addr.Unmap() == peer {
			return nil
		}
		addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip4", name)
		if err == nil && len(addrs) > 0 && addrs[0].Unmap() == peer { // the first, as in C
			return nil
		}
	}
	return fmt.Errorf("%w %s: %q", errNotServer, peer, cert.Subject.CommonName)
}
