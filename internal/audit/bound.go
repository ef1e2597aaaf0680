package audit

import (
	"errors"
	"net/http"

	"github.com/envladder/envladder/internal/bounded"
)

// maxAnswer bounds what the API server sends at once. Parsed, it may take ten times as
// much; an object alone has at most 1.5 MiB in etcd, and twice that as JSON.
const maxAnswer = 8 << 20

// errTooLarge is about an answer beyond maxAnswer: less can be asked for at once.
var errTooLarge = errors.New("the API server's answer is larger than what is read at once")

// boundAnswers has a transport's answers end with errTooLarge beyond maxAnswer: who may
// create objects in a namespace decides how large a list of them is.
func boundAnswers(inner http.RoundTripper) http.RoundTripper {
	return boundedTransport{inner}
}

type boundedTransport struct{ inner http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t boundedTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := t.inner.RoundTrip(request)
	if err == nil {
		response.Body = bounded.NewBody(response.Body, maxAnswer, errTooLarge)
	}
	return response, err
}
