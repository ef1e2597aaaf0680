package registry

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/envladder/envladder/internal/loopback"
)

const schemeHTTPS = "https"

// maxRedirects of one read: registries send blobs to a storage's URL, once.
const maxRedirects = 5

// checkRedirect allows a registry to redirect to another host for a blob (its storage), but
// not into the cluster's own network: neither to an address that only we can reach, nor to
// a metadata service. The addresses of names are checked when they are dialled.
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

// apiRedirects answers 404 where a registry redirects a request for referrers away from
// its API: it has no Referrers API. GHCR does so, to pages with a rate limit of their own.
type apiRedirects struct{ inner http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t apiRedirects) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := t.inner.RoundTrip(request)
	if err != nil || !isReferrersPath(request.URL.Path) || !leavesAPI(request, response) {
		return response, err
	}
	response.Body.Close()
	return emptyResponse(request, http.StatusNotFound), nil
}

// leavesAPI reports whether a response redirects to a path that isn't below /v2/.
func leavesAPI(request *http.Request, response *http.Response) bool {
	location := response.Header.Get("Location")
	if response.StatusCode/100 != 3 || location == "" {
		return false
	}
	to, err := request.URL.Parse(location)
	return err != nil || !strings.HasPrefix(to.Path, "/v2/")
}

func isReferrersPath(path string) bool {
	return strings.HasPrefix(path, "/v2/") && strings.Contains(path, "/referrers/sha256:")
}

// emptyResponse returns a response without a body, in place of a server's.
func emptyResponse(request *http.Request, status int) *http.Response {
	return &http.Response{
		StatusCode: status, Status: fmt.Sprintf("%d %s", status, http.StatusText(status)),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, Body: http.NoBody, Request: request,
	}
}

func isPrivate(host string) bool {
	if loopback.IsHost(host) {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && (ip.IsPrivate() || ip.IsLinkLocalUnicast() || ip.IsLinkLocalMulticast() || ip.IsUnspecified() || shared.Contains(ip))
}

// shared is the address range of RFC 6598, which clusters use for pods and nodes.
var shared = net.IPNet{IP: net.IPv4(100, 64, 0, 0), Mask: net.CIDRMask(10, 32)}
