package appliance

import (
	"crypto/tls"
	"log/slog"

	"hyzer/netsvc/tmcd"
)

// config reads the files, and again when they change; nil if there are none.
func (t TLS) config(log *slog.Logger) (*tls.Config, error) {
	if t == (TLS{}) {
		return nil, nil
	}
	certs, err := tmcd.OpenCertificates(tmcd.CertificateFiles{Cert: t.Cert, Key: t.Key, ClientCA: t.ClientCA}, log)
	if err != nil {
		return nil, err
	}
	return certs.Config(), nil
}
