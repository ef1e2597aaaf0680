package registry

import (
	"errors"
	"regexp"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// errorCode is one of the distribution specification's, or of a registry's own.
var errorCode = regexp.MustCompile(`^[A-Z][A-Z_]{1,40}$`)

// Answer returns the HTTP status of a registry's answer that is an error, and the code of
// its error document; code is empty where it has none. ok is false where no registry
// answered. Unlike the error's text, they are the same for the same cause: a text may name
// the request.
func Answer(err error) (status int, code string, ok bool) {
	answer, ok := errors.AsType[*transport.Error](err)
	if !ok {
		return 0, "", false
	}
	if len(answer.Errors) > 0 && errorCode.MatchString(string(answer.Errors[0].Code)) {
		code = string(answer.Errors[0].Code)
	}
	return answer.StatusCode, code, true
}
