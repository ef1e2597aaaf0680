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
// nor to a metadata service.
func checkRedirect(request *http.Request, via []*http.Request) error {
	if len(via) >= maxRedirects {
		return errors.New("too many redirects")
	}
	from, to := via[0].URL, request.URL
	if from.Scheme == schemeHTTPS && to.Scheme != schemeHTTPS {
		return fmt.Errorf("refusing a redirect from https to %s", to.Scheme)
	}
	if to.Hostname() != from.Hostname() && isPrivate(to.Hostname()) {
		return fmt.Errorf("refusing a redirect from %s to the private address %s", from.Hostname(), to.Hostname())
	}
	return nil
}

func isPrivate(host string) bool {
	if isLoopback(host) {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && (ip.IsPrivate() || ip.IsLinkLocalUnicast() || ip.IsLinkLocalMulticast() || ip.IsUnspecified())
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
