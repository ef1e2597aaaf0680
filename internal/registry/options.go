package registry

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/pflag"
)

// Options are what a Client may do beyond the registries that it is asked for by name.
type Options struct {
	// CAs are HOST=FILE: the PEM certificates that a registry's certificate must chain
	// to, in place of the system's.
	CAs []string
	// PrivateHosts may be gone to on a registry's word (for a blob, for a token) though
	// their addresses are private.
	PrivateHosts []string
}

// AddTo adds the flags that every program has which reads registries.
func (o *Options) AddTo(flags *pflag.FlagSet) {
	flags.StringArrayVar(&o.CAs, "registry-ca", nil, "`HOST=FILE`: the PEM certificates that this registry is verified by; may be repeated")
	flags.StringArrayVar(&o.PrivateHosts, "registry-private-host", nil, "`HOST` with a private address that a registry may send us to, for a blob or a token; may be repeated")
}

// Client returns a Client with these options. Plain HTTP is spoken to loopback addresses
// only.
func (o *Options) Client() (*Client, error) {
	dial := newDialer(o.PrivateHosts)
	base := newTransport(dial)
	byHost := map[string]http.RoundTripper{}
	for _, one := range o.CAs {
		host, file, ok := strings.Cut(one, "=")
		if !ok || host == "" || file == "" {
			return nil, fmt.Errorf("--registry-ca %q: write HOST=FILE", one)
		}
		pool, err := readCAs(file)
		if err != nil {
			return nil, fmt.Errorf("--registry-ca %q: %w", one, err)
		}
		own := newTransport(dial)
		own.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
		byHost[host] = own
	}
	client := NewClientOver(perHost{byHost, base})
	client.dialer = dial
	return client, nil
}

// maxCAs bounds a file of certificates: the system's own have 200 KiB.
const maxCAs = 1 << 20

func readCAs(path string) (*x509.CertPool, error) {
	file, err := os.Open(path) //nolint:gosec // the operator names it
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // only read
	content, err := io.ReadAll(io.LimitReader(file, maxCAs))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(content) {
		return nil, errors.New("it holds no certificate in PEM")
	}
	return pool, nil
}

// perHost has a transport of their own for hosts with certificates of their own.
type perHost struct {
	byHost map[string]http.RoundTripper
	rest   http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (p perHost) RoundTrip(request *http.Request) (*http.Response, error) {
	if own, ok := p.byHost[request.URL.Host]; ok {
		return own.RoundTrip(request)
	}
	return p.rest.RoundTrip(request)
}
