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

// stableText returns the text of an error for a response, always the same for the same
// cause: Argo CD 2 copies it into the ApplicationSet's status, and sends another request at
// once if that changes. Messages of a forge or a registry may contain the number of a request
// or the time; those are only logged.
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

// forgeCause returns the cause in a forge's response: for a server error, only the status.
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

// registryCause returns the status of a registry's response and its error code.
func registryCause(e *registry.Error) string {
	status, code, ok := registry.ErrorStatus(e)
	switch {
	case !ok:
		return networkCause(e.Err)
	case code != "":
		return fmt.Sprintf("the registry answered %d %s: %s", status, http.StatusText(status), code)
	}
	return fmt.Sprintf("the registry answered %d %s", status, http.StatusText(status))
}

// networkCause returns a network error without the parts that differ between connections.
func networkCause(err error) string {
	text := ownAddress.ReplaceAllString(err.Error(), "")
	text = timestamp.ReplaceAllString(text, "…")
	return streamID.ReplaceAllString(text, "${1}…")
}

var (
	// withDigits matches words that may be a number, a time, or the ID of a request.
	withDigits = regexp.MustCompile(`\S*\d\S*`)
	// ownAddress matches the local address of a connection.
	ownAddress = regexp.MustCompile(`\S+:\d+->`)
	// timestamp matches the time at which a certificate expires, or the current time.
	timestamp = regexp.MustCompile(`\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}\S*`)
	// streamID matches the number of an HTTP/2 stream.
	streamID = regexp.MustCompile(`((?:stream ID |StreamID=))\d+`)
)
