package registry

import (
	"net/http"
	"strings"
	"testing"
)

// answering is a network on which every host answers.
type answering struct{}

func (answering) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
}

func TestPlainHTTPOnlyForLoopback(t *testing.T) {
	for host, allowed := range map[string]bool{
		"127.0.0.1:5000":    true,
		"[::1]:5000":        true,
		"localhost":         true,
		"10.0.0.1":          false,
		"192.168.1.1:5000":  false,
		"registry.internal": false,
		"evil.localhost":    false,
		"127.0.0.1.evil.io": false,
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+host+"/v2/", nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = safeTransport{answering{}}.RoundTrip(request)
		if allowed != (err == nil) || err != nil && !strings.Contains(err.Error(), "plain HTTP") {
			t.Errorf("http://%s: %v, want allowed %v", host, err, allowed)
		}
	}
}
