package tmcd

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// CertificateFiles are PEM files.
type CertificateFiles struct {
	Cert string // and those of authorities between it and the root
	Key  string // may be the same file
	// ClientCA is whose certificates clients must have, as Emulab's do.
	ClientCA string
}

const (
	certificateBytesMax = 1 << 20     // of one file
	certificatePause    = time.Second // between two looks at the files
)

// Certificates are what a server speaks TLS with. When a client comes and the
// files have changed, they are read again: a certificate is renewed without a
// restart. Files that are no good change nothing, and are complained of once.
// There are no tickets of sessions, with which a client could come back after its
// authority was taken out; Emulab's clients do not ask for any.
type Certificates struct {
	files CertificateFiles
	log   *slog.Logger
	pause time.Duration

	config atomic.Pointer[tls.Config]

	mu     sync.Mutex // held while looking
	looked time.Time
	seen   string // what the files held, or why they could not be read
}

// OpenCertificates reads the files for the first time.
func OpenCertificates(files CertificateFiles, log *slog.Logger) (*Certificates, error) {
	c := &Certificates{files: files, log: log, pause: certificatePause}
	texts, seen, err := files.read()
	if err == nil {
		err = c.take(texts)
	}
	if err != nil {
		return nil, err
	}
	c.seen, c.looked = seen, time.Now()
	return c, nil
}

// Config is for Config.TLS.
func (c *Certificates) Config() *tls.Config {
	return &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		c.look()
		return c.config.Load(), nil
	}}
}

// look takes what has changed. A client does not wait for another's look.
func (c *Certificates) look() {
	if !c.mu.TryLock() {
		return
	}
	defer c.mu.Unlock()
	now := time.Now()
	if now.Sub(c.looked).Abs() < c.pause {
		return
	}
	c.looked = now
	texts, seen, err := c.files.read()
	if seen == c.seen {
		return
	}
	c.seen = seen
	if err == nil {
		err = c.take(texts)
	}
	if err != nil {
		c.log.Error("certificates stay as they were: the new files are no good; put them right, and they are read again",
			"service", "tmcd", "error", err)
		return
	}
	c.log.Info("certificates read again", "service", "tmcd", "file", c.files.Cert)
}

// take makes a configuration of the texts of cert, key and client CA.
func (c *Certificates) take(texts [3][]byte) error {
	cert, err := tls.X509KeyPair(texts[0], texts[1])
	if err != nil {
		return fmt.Errorf("tls: cert %s, key %s: %w", c.files.Cert, c.files.Key, err)
	}
	clients := x509.NewCertPool()
	if !clients.AppendCertsFromPEM(texts[2]) {
		return fmt.Errorf("tls: client_ca %s: no certificate in it", c.files.ClientCA)
	}
	c.config.Store(&tls.Config{Certificates: []tls.Certificate{cert}, ClientCAs: clients,
		ClientAuth: tls.RequireAndVerifyClientCert, SessionTicketsDisabled: true, NextProtos: []string{"tmc/2"}})
	return nil
}

// read returns cert, key and client CA. seen is the same as long as the files, or
// what is wrong with reading them, are.
func (f CertificateFiles) read() (texts [3][]byte, seen string, err error) {
	sum := sha256.New()
	for i, path := range [...]string{f.Cert, f.Key, f.ClientCA} {
		text, readErr := readPEM(path)
		texts[i], err = text, errors.Join(err, readErr)
		each := sha256.Sum256(text)
		sum.Write(each[:])
	}
	if err != nil {
		return texts, err.Error(), err
	}
	return texts, string(sum.Sum(nil)), nil
}

func readPEM(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	defer file.Close()
	var text bytes.Buffer
	if n, err := io.Copy(&text, io.LimitReader(file, certificateBytesMax+1)); err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	} else if n > certificateBytesMax {
		return nil, fmt.Errorf("tls: %s is over %d bytes", path, certificateBytesMax)
	}
	return text.Bytes(), nil
}
