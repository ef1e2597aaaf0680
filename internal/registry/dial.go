package registry

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"sync"
	"syscall"
	"time"
)

// dialer connects to private addresses only where somebody asked for the host by name:
// a registry of a Gate, a host that is configured, the proxy. Where a registry sends us
// (for a blob, for a token) is its choice, and mustn't be the cluster's own network. It
// looks at the address that is dialled, so that a name can't hide it.
type dialer struct {
	net.Dialer

	mu    sync.Mutex
	hosts map[string]bool
}

func newDialer(private []string) *dialer {
	d := &dialer{Dialer: net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}, hosts: map[string]bool{}}
	for _, host := range private {
		d.allow(host)
	}
	for _, variable := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"} {
		if proxy, err := url.Parse(os.Getenv(variable)); err == nil && proxy.Hostname() != "" {
			d.allow(proxy.Hostname())
		}
	}
	return d
}

// allow lets a host (with or without its port) have a private address. Which hosts are
// asked for by name is a Gate's choice, so there are few.
func (d *dialer) allow(host string) {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hosts[host] = true
}

func (d *dialer) allows(host string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.hosts[host]
}

// DialContext is http.Transport's.
func (d *dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	guarded := d.Dialer
	if !d.allows(host) {
		guarded.ControlContext = func(_ context.Context, _, resolved string, _ syscall.RawConn) error {
			ip, _, err := net.SplitHostPort(resolved)
			if err == nil && isPrivate(ip) {
				err = fmt.Errorf("refusing to go to %s, whose address %s is private (--registry-private-host would allow it)", host, ip)
			}
			return err
		}
	}
	return guarded.DialContext(ctx, network, address)
}
