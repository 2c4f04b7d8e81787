package rest

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"sync"
	"time"
)

// TLS says how the connection is encrypted; https in the base URL turns it on.
type TLS struct {
	CAFile   string `yaml:"caFile"`   // PEM; instead of the system's roots
	CertFile string `yaml:"certFile"` // PEM; client certificate, read again when it changes
	KeyFile  string `yaml:"keyFile"`  // PEM; key of the client certificate
}

// config returns what crypto/tls needs; nil for the system's roots and no
// client certificate.
func (t TLS) config() (*tls.Config, error) {
	if t == (TLS{}) {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.CAFile != "" {
		c.RootCAs = x509.NewCertPool()
		if err := t.addCA(c.RootCAs); err != nil {
			return nil, err
		}
	}
	if t.CertFile != "" {
		own := &clientCertificate{files: t}
		if _, err := own.get(nil); err != nil {
			return nil, err
		}
		c.GetClientCertificate = own.get
	}
	return c, nil
}

// beside returns the same for a token endpoint. It may be somebody else's, so
// the system's roots count beside our own CA.
func (t TLS) beside(own *tls.Config) (*tls.Config, error) {
	if t.CAFile == "" {
		return own.Clone(), nil
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	c := own.Clone()
	c.RootCAs = roots
	return c, t.addCA(roots)
}

func (t TLS) addCA(to *x509.CertPool) error {
	pem, err := os.ReadFile(t.CAFile)
	if err != nil {
		return fmt.Errorf("reading tls.caFile: %w", err)
	}
	if !to.AppendCertsFromPEM(pem) {
		return fmt.Errorf("reading tls.caFile: %s holds no PEM certificate", t.CAFile)
	}
	return nil
}

// clientCertificate is read again when one of its files has changed: what
// issues certificates for a month exchanges them under a running process.
type clientCertificate struct {
	hidden
	files TLS

	mu      sync.Mutex
	changed time.Time // the later of both modification times
	pair    *tls.Certificate
}

// get returns the certificate for a new connection. One that cannot be read,
// half written as it may be, leaves the last one in use.
func (c *clientCertificate) get(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	changed, err := c.modified()
	if err == nil && c.pair != nil && changed.Equal(c.changed) {
		return c.pair, nil
	}
	if err == nil {
		var pair tls.Certificate
		if pair, err = tls.LoadX509KeyPair(c.files.CertFile, c.files.KeyFile); err == nil {
			c.pair, c.changed = &pair, changed
		}
	}
	if c.pair == nil {
		return nil, fmt.Errorf("reading tls.certFile and tls.keyFile: %w", err)
	}
	return c.pair, nil
}

func (c *clientCertificate) modified() (time.Time, error) {
	var latest time.Time
	for _, path := range []string{c.files.CertFile, c.files.KeyFile} {
		file, err := os.Stat(path)
		if err != nil {
			return latest, err
		}
		if file.ModTime().After(latest) {
			latest = file.ModTime()
		}
	}
	return latest, nil
}
