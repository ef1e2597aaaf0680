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

// maxToken is far more than any token; a file that is larger is another file.
const maxToken = 4 << 10

// ReadToken reads a token from a file. It is read at each use, so that one which is
// rotated is seen, through the symbolic links of a mounted Secret too.
func ReadToken(file string) (string, error) {
	data, err := files.Read(file, maxToken)
	token := strings.TrimSpace(string(data))
	switch {
	case err != nil:
		return "", fmt.Errorf("reading the token: %w", err)
	case token == "":
		return "", fmt.Errorf("reading the token %q: it is empty: anybody could ask", file)
	case strings.ContainsAny(token, " \t\r\n"):
		return "", fmt.Errorf("reading the token %q: it has white space inside", file)
	}
	return token, nil
}

// readBearer is ReadToken for the token that Argo CD shows.
func readBearer(file string) (string, error) {
	token, err := ReadToken(file)
	if err == nil && strings.HasPrefix(token, "$") {
		return "", fmt.Errorf("reading the token %q: it begins with $, as a reference that Argo CD didn't resolve does: choose another", file)
	}
	return token, err
}

// authenticate checks who asks.
func authenticate(r *http.Request, file string) error {
	want, err := readBearer(file)
	if err != nil {
		return err
	}
	scheme, have, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	switch {
	case !strings.EqualFold(scheme, "Bearer") || have == "":
		return &problem{http.StatusUnauthorized, errors.New("checking who asks: want the header Authorization: Bearer TOKEN")}
	case strings.HasPrefix(have, "$"):
		// Argo CD sends its reference where it finds no such key.
		return &problem{http.StatusUnauthorized, errors.New("checking who asks: the token is a reference that wasn't resolved: " +
			"the Secret that the generator's ConfigMap names as $SECRET:KEY has no such key")}
	case !equal(have, want):
		return &problem{http.StatusForbidden, errors.New("checking who asks: the token is another: " +
			"the Secret that the generator's ConfigMap names must have the one of this service")}
	}
	return nil
}

// equal takes as long for any two texts: of hashes, so that the length doesn't show.
func equal(a, b string) bool {
	hashA, hashB := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(hashA[:], hashB[:]) == 1
}
