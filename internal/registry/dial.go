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

// dialer connects to private addresses only if the host was named by the configuration: a
// registry of a Gate, a configured host, or the proxy. A registry chooses the hosts that it
// redirects to (for a blob or a token), and must not choose the cluster's own network. The
// dialled address is checked, so that a host name can't hide it.
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

// allow allows a private address for a host (with or without its port). The hosts are those
// of Gates, so there are few.
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

// DialContext dials an address for http.Transport, and rejects private ones that aren't
// allowed.
func (d *dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	checked := d.Dialer
	if !d.allows(host) {
		checked.ControlContext = func(_ context.Context, _, resolved string, _ syscall.RawConn) error {
			ip, _, err := net.SplitHostPort(resolved)
			if err == nil && isPrivate(ip) {
				err = fmt.Errorf("refusing to connect to %s, whose address %s is private (--registry-private-host would allow it)", host, ip)
			}
			return err
		}
	}
	return checked.DialContext(ctx, network, address)
}
