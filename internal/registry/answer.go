package registry

import (
	"errors"
	"regexp"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// errorCode matches a code of the distribution specification, or a registry's own code.
var errorCode = regexp.MustCompile(`^[A-Z][A-Z_]{1,40}$`)

// ErrorStatus returns the HTTP status of a registry's error response, and the code in its error
// document, or "" if it has none. ok is false if no registry responded. Unlike the error's
// text, which may name the request, they are the same for the same cause.
func ErrorStatus(err error) (status int, code string, ok bool) {
	answer, ok := errors.AsType[*transport.Error](err)
	if !ok {
		return 0, "", false
	}
	if len(answer.Errors) > 0 && errorCode.MatchString(string(answer.Errors[0].Code)) {
		code = string(answer.Errors[0].Code)
	}
	return answer.StatusCode, code, true
}
