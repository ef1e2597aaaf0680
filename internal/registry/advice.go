package registry

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/envladder/envladder/internal/printable"
)

// storeElsewhere is the advice for a registry that can't store attestations.
const storeElsewhere = "store attestations in a repository that can hold them (--evidence REPOSITORY, and images[].evidence in the Gate)"

// advise adds advice to a registry's refusal to store a manifest.
func advise(err error) error {
	err = shorten(err)
	var answer *transport.Error
	if !errors.As(err, &answer) {
		return err
	}
	switch advice := adviceFor(answer); advice {
	case "":
		return err
	default:
		return fmt.Errorf("%w\n%s", err, advice)
	}
}

func adviceFor(answer *transport.Error) string {
	isTag := answer.Request != nil && strings.Contains(answer.Request.URL.Path, "/manifests/sha256-")
	switch answer.StatusCode {
	case http.StatusRequestEntityTooLarge:
		return "it is larger than the registry allows: " + storeElsewhere
	case http.StatusNotFound:
		return "the registry has no such repository, or takes attestations only where their image is: create the repository, or attest next to the image"
	case http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusConflict, http.StatusPreconditionFailed, http.StatusUnprocessableEntity:
		if isTag {
			return "the registry has no Referrers API, and it seems that its tags are immutable: exempt the tags sha256-*, or " + storeElsewhere
		}
		return "the registry doesn't seem to accept OCI 1.1 artifacts (manifests with a subject): " + storeElsewhere
	case http.StatusUnsupportedMediaType, http.StatusNotImplemented:
		return "the registry doesn't seem to accept OCI 1.1 artifacts (manifests with a subject): " + storeElsewhere
	case http.StatusForbidden:
		if isTag {
			return "the registry has no Referrers API, and its tags can't be written twice with these credentials: allow that for the tags sha256-*, or " + storeElsewhere
		}
	}
	return ""
}

// adviseReading adds advice to the error of a tag that can't be read before it is written.
func adviseReading(err error) error {
	var answer *transport.Error
	if errors.As(err, &answer) && (answer.StatusCode == http.StatusForbidden || answer.StatusCode == http.StatusUnauthorized) {
		return fmt.Errorf("%w\nsome registries respond like this to a missing tag: use credentials that may list and read the whole repository, or %s", err, storeElsewhere)
	}
	return err
}

const (
	// maxDiagnostics bounds the reported errors of a response. Registries send one.
	maxDiagnostics = 3
	// maxDiagnostic bounds the text of each.
	maxDiagnostic = 256
)

// shorten shortens the response of a registry in an error: its text may be a whole web page,
// and errors are shown in verdicts and logs.
func shorten(err error) error {
	var answer *transport.Error
	if !errors.As(err, &answer) {
		return err
	}
	short := &transport.Error{StatusCode: answer.StatusCode, Request: answer.Request}
	for _, d := range answer.Errors[:min(len(answer.Errors), maxDiagnostics)] {
		if d.Detail != nil && len(fmt.Sprint(d.Detail)) > maxDiagnostic {
			d.Detail = nil
		}
		d.Code = transport.ErrorCode(printable.Line(string(d.Code), maxDiagnostic))
		d.Message = printable.Line(d.Message, maxDiagnostic)
		short.Errors = append(short.Errors, d)
	}
	return short
}
