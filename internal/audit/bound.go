package audit

import (
	"errors"
	"net/http"

	"github.com/envladder/envladder/internal/bounded"
)

// maxResponse bounds a response of the API server. Parsed, it may take ten times as much
// memory; a single object has at most 1.5 MiB in etcd, and twice that as JSON.
const maxResponse = 8 << 20

// errTooLarge is returned for a response beyond maxResponse; a smaller page can be requested.
var errTooLarge = errors.New("the API server's response is larger than the limit")

// boundResponses returns a transport whose responses end with errTooLarge beyond maxResponse:
// anyone who can create objects in a namespace decides how large a list of them is.
func boundResponses(inner http.RoundTripper) http.RoundTripper {
	return boundedTransport{inner}
}

type boundedTransport struct{ inner http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t boundedTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := t.inner.RoundTrip(request)
	if err == nil {
		response.Body = bounded.NewBody(response.Body, maxResponse, errTooLarge)
	}
	return response, err
}
