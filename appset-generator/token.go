package appset

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/envladder/envladder/internal/files"
)

// maxToken is far more than any token has; a larger file isn't a token's.
const maxToken = 4 << 10

// ReadToken reads a token from a file. It is called at each use, so that a rotated token is
// noticed, also through the symbolic links of a mounted Secret.
func ReadToken(file string) (string, error) {
	data, err := files.Read(file, maxToken)
	token := strings.TrimSpace(string(data))
	switch {
	case err != nil:
		return "", fmt.Errorf("reading the token: %w", err)
	case token == "":
		return "", fmt.Errorf("reading the token %q: it is empty, and would admit anyone", file)
	case strings.ContainsAny(token, " \t\r\n"):
		return "", fmt.Errorf("reading the token %q: it contains white space", file)
	}
	return token, nil
}

// readBearer reads the token that Argo CD presents.
func readBearer(file string) (string, error) {
	token, err := ReadToken(file)
	if err == nil && strings.HasPrefix(token, "$") {
		return "", fmt.Errorf("reading the token %q: it begins with $, like a reference that Argo CD didn't resolve: choose another", file)
	}
	return token, err
}

// authenticate checks the token of a request.
func authenticate(r *http.Request, file string) error {
	want, err := readBearer(file)
	if err != nil {
		return err
	}
	scheme, have, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	switch {
	case !strings.EqualFold(scheme, "Bearer") || have == "":
		return &httpError{http.StatusUnauthorized, errors.New("authenticating: want the header Authorization: Bearer TOKEN")}
	case strings.HasPrefix(have, "$"):
		// Argo CD sends the reference itself where the Secret has no such key.
		return &httpError{http.StatusUnauthorized, errors.New("authenticating: the token is an unresolved reference: " +
			"the Secret that the generator's ConfigMap names as $SECRET:KEY has no such key")}
	case !constantTimeEqual(have, want):
		return &httpError{http.StatusForbidden, errors.New("authenticating: wrong token: " +
			"the Secret that the generator's ConfigMap names must have the token of this service")}
	}
	return nil
}

// constantTimeEqual takes the same time for any two texts. It compares hashes, so that the
// length isn't revealed.
func constantTimeEqual(a, b string) bool {
	hashA, hashB := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(hashA[:], hashB[:]) == 1
}
