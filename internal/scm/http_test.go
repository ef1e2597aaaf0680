package scm

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

func TestBoundedTransport(t *testing.T) {
	for name, test := range map[string]struct {
		size int
		want error
	}{
		"exactly_the_maximum_is_accepted":       {maxBody, nil},
		"one_byte_above_the_maximum_is_refused": {maxBody + 1, errTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			body := "[]" + strings.Repeat(" ", test.size-2)
			transport := boundedTransport{roundTripper(func(*http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(body))}, nil
			})}
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://forge.example.com/pulls", nil)
			if err != nil {
				t.Fatal(err)
			}
			response, err := transport.RoundTrip(request)
			if !errors.Is(err, test.want) {
				t.Fatalf("got %v, want %v", err, test.want)
			}
			if err != nil {
				return
			}
			if content, err := io.ReadAll(response.Body); len(content) != test.size || err != nil {
				t.Errorf("read %d bytes of %d: %v", len(content), test.size, err)
			}
		})
	}
}
