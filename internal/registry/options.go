package registry

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/spf13/pflag"

	"github.com/envladder/envladder/internal/files"
)

// Options are the certificates, hosts and credentials of a Client.
type Options struct {
	// CAs are HOST=FILE: the PEM certificates that a registry's certificate must chain
	// to, in place of the system's.
	CAs []string
	// PrivateHosts are the hosts with private addresses that registries may redirect to (for
	// a blob or a token).
	PrivateHosts []string
	// Configs are files of docker's configuration (pull secrets) whose credentials take
	// precedence over the user's.
	Configs []string
	// Keychains are queried if the files have no credentials.
	Keychains []authn.Keychain
}

// AddTo adds the flags of all programs that read registries.
func (o *Options) AddTo(flags *pflag.FlagSet) {
	flags.StringArrayVar(&o.CAs, "registry-ca", nil, "`HOST=FILE`: the PEM certificates that this registry is verified by; may be repeated")
	flags.StringArrayVar(&o.Configs, "registry-config", nil, "`file` of docker's configuration (.dockerconfigjson of a pull secret) with credentials, taken before those in $DOCKER_CONFIG; may be repeated")
	flags.StringArrayVar(&o.PrivateHosts, "registry-private-host", nil, "`HOST` with a private address that a registry may send us to, for a blob or a token; may be repeated")
}

// Client returns a Client with these options. It uses plain HTTP for loopback addresses only.
func (o *Options) Client() (*Client, error) {
	dial := newDialer(o.PrivateHosts)
	base := newTransport(dial)
	byHost := map[string]http.RoundTripper{}
	for _, one := range o.CAs {
		host, file, ok := strings.Cut(one, "=")
		if !ok || host == "" || file == "" {
			return nil, fmt.Errorf("--registry-ca %q: write HOST=FILE", one)
		}
		pool, err := files.ReadCertificates(file)
		if err != nil {
			return nil, fmt.Errorf("--registry-ca %q: %w", one, err)
		}
		own := newTransport(dial)
		own.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
		byHost[host] = own
	}
	keychain, err := o.keychain()
	if err != nil {
		return nil, err
	}
	client := NewClientOver(perHost{byHost, base})
	client.dialer, client.keychain = dial, keychain
	return client, nil
}

// perHost uses a separate transport for each host with its own CA certificates.
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
