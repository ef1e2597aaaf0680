package bed

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// A CA signs certificates for one bed or one cluster.
type CA struct {
	// PEM is the certificate, and File the path of a file that contains it.
	PEM  []byte
	File string

	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// lifetime is the validity of certificates. It is longer than any bed exists.
const lifetime = 7 * 24 * time.Hour

// newCA creates a CA in a folder.
func newCA(name, dir string) (*CA, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("creating CA %q: %w", name, err)
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("creating CA %q: %w", name, err)
	}
	ca := &CA{dir: dir, cert: template, key: key, File: filepath.Join(dir, "ca.crt")}
	der, err := ca.sign(template, key)
	if err != nil {
		return nil, fmt.Errorf("creating CA %q: %w", name, err)
	}
	if ca.cert, err = x509.ParseCertificate(der); err != nil {
		return nil, fmt.Errorf("creating CA %q: %w", name, err)
	}
	ca.PEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return ca, os.WriteFile(ca.File, ca.PEM, 0o600)
}

// sign signs template with the CA. The CA's own certificate is self-signed.
func (ca *CA) sign(template *x509.Certificate, key *ecdsa.PrivateKey) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial
	// Earlier than now, to tolerate clock differences.
	template.NotBefore = time.Now().Add(-time.Minute)
	template.NotAfter = time.Now().Add(lifetime)
	return x509.CreateCertificate(rand.Reader, template, ca.cert, &key.PublicKey, ca.key)
}

// pool returns a pool that contains the CA.
func (ca *CA) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	return pool
}

// Base64 returns the certificate encoded for a caBundle in a JSON object.
func (ca *CA) Base64() string { return base64.StdEncoding.EncodeToString(ca.PEM) }

// A KeyPair is a certificate and its key, in memory and as files.
type KeyPair struct {
	Cert, Key         []byte
	CertFile, KeyFile string
}

// Server creates a certificate for a server on loopback and for more names.
func (ca *CA) Server(name string, more ...string) (KeyPair, error) {
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: name},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	for _, n := range more {
		if ip := net.ParseIP(n); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, n)
		}
	}
	return ca.pair("server-"+name, template)
}

// Client creates a client certificate with which an API server authenticates a user in groups.
func (ca *CA) Client(user string, groups ...string) (KeyPair, error) {
	return ca.pair("client", &x509.Certificate{
		Subject:     pkix.Name{CommonName: user, Organization: groups},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}

// pair creates a key pair in a folder.
func (ca *CA) pair(file string, template *x509.Certificate) (KeyPair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return KeyPair{}, fmt.Errorf("creating a key for %q: %w", template.Subject.CommonName, err)
	}
	der, err := ca.sign(template, key)
	if err != nil {
		return KeyPair{}, fmt.Errorf("signing a certificate for %q: %w", template.Subject.CommonName, err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return KeyPair{}, fmt.Errorf("encoding the key of %q: %w", template.Subject.CommonName, err)
	}
	pair := KeyPair{
		Cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		Key:  pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER}),
	}
	return pair, pair.write(ca.dir, file)
}

// write writes the pair to a new folder, since two pairs may have the same name.
func (p *KeyPair) write(dir, name string) error {
	dir, err := os.MkdirTemp(dir, name+"-")
	if err != nil {
		return fmt.Errorf("writing a key pair: %w", err)
	}
	p.CertFile, p.KeyFile = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	if err := os.WriteFile(p.CertFile, p.Cert, 0o600); err != nil {
		return fmt.Errorf("writing a certificate: %w", err)
	}
	if err := os.WriteFile(p.KeyFile, p.Key, 0o600); err != nil {
		return fmt.Errorf("writing a key: %w", err)
	}
	return nil
}
