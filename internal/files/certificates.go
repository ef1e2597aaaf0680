package files

import (
	"crypto/x509"
	"errors"
)

// maxCertificates bounds a file of certificates: the system's own have 200 KiB.
const maxCertificates = 1 << 20

// ReadCertificates reads a file of PEM certificates, such as that of a private CA.
func ReadCertificates(path string) (*x509.CertPool, error) {
	content, err := Read(path, maxCertificates)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(content) {
		return nil, errors.New("it holds no certificate in PEM")
	}
	return pool, nil
}
