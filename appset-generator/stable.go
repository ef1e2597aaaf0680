package appset

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/envladder/envladder/internal/printable"
	"github.com/envladder/envladder/internal/registry"
	"github.com/envladder/envladder/internal/scm"
)

// stableText returns an error's text for an answer, the same each time for the same cause:
// Argo CD 2 copies it into the ApplicationSet's status, and asks again at once where that
// changes. What a forge or a registry wrote may have a request's number or the time in it;
// the log has that.
func stableText(err error) string {
	text := err.Error()
	if e, ok := errors.AsType[*scm.Error](err); ok && e.Err != nil {
		text = replaceCause(text, e.Err, forgeCause(e))
	}
	if e, ok := errors.AsType[*registry.Error](err); ok && e.Err != nil {
		text = replaceCause(text, e.Err, registryCause(e))
	}
	return printable.Line(text, maxError)
}

func replaceCause(text string, cause error, stable string) string {
	if cause.Error() == "" {
		return text
	}
	return strings.Replace(text, cause.Error(), stable, 1)
}

// forgeCause returns what a forge answered: of an error of its own, the status alone.
func forgeCause(e *scm.Error) string {
	switch {
	case errors.Is(e, scm.ErrLimited):
		return e.Err.Error()
	case e.Status >= http.StatusInternalServerError:
		return http.StatusText(e.Status)
	case e.Status != 0:
		return withDigits.ReplaceAllString(e.Err.Error(), "…")
	}
	return networkCause(e.Err)
}

// registryCause returns what a registry answered: the status, and the code of its error.
func registryCause(e *registry.Error) string {
	status, code, ok := registry.Answer(e)
	switch {
	case !ok:
		return networkCause(e.Err)
	case code != "":
		return fmt.Sprintf("the registry answered %d %s: %s", status, http.StatusText(status), code)
	}
	return fmt.Sprintf("the registry answered %d %s", status, http.StatusText(status))
}

// networkCause returns an error of the network without what differs from one connection to
// the next.
func networkCause(err error) string {
	text := ownAddress.ReplaceAllString(err.Error(), "")
	text = timestamp.ReplaceAllString(text, "…")
	return streamID.ReplaceAllString(text, "${1}…")
}

var (
	// withDigits are words that may be a number, a time, or the name of a request.
	withDigits = regexp.MustCompile(`\S*\d\S*`)
	// ownAddress is the address that a connection was made from.
	ownAddress = regexp.MustCompile(`\S+:\d+->`)
	// timestamp is one that a certificate ends at, or the current one.
	timestamp = regexp.MustCompile(`\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}\S*`)
	// streamID is the number of an HTTP/2 stream.
	streamID = regexp.MustCompile(`((?:stream ID |StreamID=))\d+`)
)
