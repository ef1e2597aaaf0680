package registry

import (
	"net/http"
	"time"
)

// Observe sets a function that is called after each request: with the response's status, or 0
// if there was no response, and the time until its headers. It must be called before the
// Client is used; report must be safe for concurrent use.
func (c *Client) Observe(report func(status int, took time.Duration)) {
	c.base = meteredTransport{c.base, report}
}

// Wrap wraps the Client's transport in the caller's. It must be called before the Client is
// used.
func (c *Client) Wrap(wrap func(http.RoundTripper) http.RoundTripper) {
	c.base = wrap(c.base)
}

type meteredTransport struct {
	inner  http.RoundTripper
	report func(status int, took time.Duration)
}

// RoundTrip implements http.RoundTripper.
func (m meteredTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	began := time.Now()
	response, err := m.inner.RoundTrip(request)
	status := 0
	if err == nil {
		status = response.StatusCode
	}
	m.report(status, time.Since(began))
	return response, err
}
