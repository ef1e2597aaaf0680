package appset

import (
	"context"
	"errors"
	"net/http"

	"github.com/envladder/envladder/internal/panics"
	"github.com/envladder/envladder/internal/registry"
	"github.com/envladder/envladder/internal/scm"
)

// httpError is an error with the HTTP status of its response.
type httpError struct {
	status int
	err    error
}

func (e *httpError) Error() string { return e.err.Error() }

func (e *httpError) Unwrap() error { return e.err }

// maxError bounds an error: Argo CD copies it into the ApplicationSet's status. Errors of a
// ladder have a line each.
const maxError = 2000

// statusOf returns the HTTP status of an error. Argo CD treats all but 200 alike: it leaves
// the Applications as they are.
func statusOf(err error) int {
	if p, ok := errors.AsType[*httpError](err); ok {
		return p.status
	}
	if _, ok := errors.AsType[*panics.Error](err); ok {
		return http.StatusInternalServerError
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return http.StatusGatewayTimeout
	}
	if _, ok := errors.AsType[*scm.Error](err); ok {
		return http.StatusBadGateway
	}
	if _, ok := errors.AsType[*registry.Error](err); ok {
		return http.StatusBadGateway
	}
	return http.StatusInternalServerError
}
