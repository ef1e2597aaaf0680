package registry

import (
	"net/http"
	"time"
)

// Observe has each request reported: the status that came back, 0 where none did, and how
// long it took until the answer's headers. It is called before the Client is used; report
// is called from several goroutines at once.
func (c *Client) Observe(report func(status int, took time.Duration)) {
	c.base = measured{c.base, report}
}

// Wrap has each request go through a transport of the caller's, around the Client's own.
// It is called before the Client is used.
func (c *Client) Wrap(wrap func(http.RoundTripper) http.RoundTripper) {
	c.base = wrap(c.base)
}

type measured struct {
	inner  http.RoundTripper
	report func(status int, took time.Duration)
}

// RoundTrip implements http.RoundTripper.
func (m measured) RoundTrip(request *http.Request) (*http.Response, error) {
	began := time.Now()
	response, err := m.inner.RoundTrip(request)
	status := 0
	if err == nil {
		status = response.StatusCode
	}
	m.report(status, time.Since(began))
	return response, err
}
