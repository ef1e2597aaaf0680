package registry

import (
	"errors"
	"fmt"
	"net"
	"net/http"
)

const schemeHTTPS = "https"

// maxRedirects of one read: registries send blobs to a storage's URL, once.
const maxRedirects = 5

// checkRedirect lets a registry send us to another host for a blob (its storage), but
// not into the cluster's own network: neither to an address that only we can reach,
// nor to a metadata service. Names are looked at when they are dialled.
func (c *Client) checkRedirect(request *http.Request, via []*http.Request) error {
	if len(via) >= maxRedirects {
		return errors.New("too many redirects")
	}
	from, to := via[0].URL, request.URL
	if from.Scheme == schemeHTTPS && to.Scheme != schemeHTTPS {
		return fmt.Errorf("refusing a redirect from https to %s", to.Scheme)
	}
	allowed := to.Hostname() == from.Hostname() || c.dialer != nil && c.dialer.allows(to.Hostname())
	if !allowed && isPrivate(to.Hostname()) {
		return fmt.Errorf("refusing a redirect from %s to the private address %s", from.Hostname(), to.Hostname())
	}
	return nil
}

func isPrivate(host string) bool {
	if isLoopback(host) {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && (ip.IsPrivate() || ip.IsLinkLocalUnicast() || ip.IsLinkLocalMulticast() || ip.IsUnspecified() || shared.Contains(ip))
}

// shared is RFC 6598's, which clusters use for pods and nodes.
var shared = net.IPNet{IP: net.IPv4(100, 64, 0, 0), Mask: net.CIDRMask(10, 32)}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
