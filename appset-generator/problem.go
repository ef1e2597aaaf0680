package appset

import (
	"context"
	"errors"
	"net/http"

	"github.com/envladder/envladder/internal/panics"
	"github.com/envladder/envladder/internal/registry"
	"github.com/envladder/envladder/internal/scm"
)

// problem is an error with the HTTP status that it is answered with.
type problem struct {
	status int
	err    error
}

func (p *problem) Error() string { return p.err.Error() }

func (p *problem) Unwrap() error { return p.err }

// maxError bounds what an answer says: Argo CD copies it into the ApplicationSet's
// status. A ladder's faults come by the line.
const maxError = 2000

// statusOf is the status of an error: whose fault it is. To Argo CD all but 200 are the
// same: it leaves the Applications as they are.
func statusOf(err error) int {
	if p, ok := errors.AsType[*problem](err); ok {
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
