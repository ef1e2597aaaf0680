package admission

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	"github.com/envladder/envladder/internal/printable"
)

const (
	// maxBody: a write request to an API server has at most 3 MiB (twice etcd's
	// limit of 1.5 MiB, since JSON takes more than what is stored). A review holds
	// at most two such objects, the new one and the live one, and less than 1 MiB of
	// the rest: user, options, names.
	maxBody = 7 << 20
	// bodyTimeout is how long a body may take to arrive. API servers are near and send at
	// once.
	bodyTimeout = 5 * time.Second
	// defaultTimeout is the timeout of webhook configurations that set none.
	defaultTimeout = 10 * time.Second
	// MaxTimeout is the longest that a webhook configuration may set.
	MaxTimeout = 30 * time.Second
)

var errTooLarge = fmt.Errorf("the body has more than %d bytes", maxBody)

// timeoutOf returns how long the API server waits for an answer.
func timeoutOf(query url.Values) (time.Duration, error) {
	timeout := defaultTimeout
	if text := query.Get("timeout"); text != "" {
		parsed, err := time.ParseDuration(text)
		if err != nil || parsed <= 0 {
			return 0, fmt.Errorf("timeout %q: use a duration such as 10s", printable.Line(text, 64))
		}
		timeout = min(parsed, MaxTimeout)
	}
	return timeout, nil
}

// readBody reads a bounded body of JSON in bounded time. With an error it returns the HTTP
// status to answer with.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, int, error) {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return nil, http.StatusUnsupportedMediaType, fmt.Errorf("content type %q: send application/json", printable.Line(r.Header.Get("Content-Type"), 128))
	}
	control := http.NewResponseController(w)
	if err := control.SetReadDeadline(time.Now().Add(bodyTimeout)); err != nil {
		return nil, http.StatusInternalServerError, fmt.Errorf("bounding the time of the body: %w", err)
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, http.StatusRequestEntityTooLarge, errTooLarge
	case err != nil:
		return nil, http.StatusBadRequest, fmt.Errorf("reading the body: %w", err)
	}
	// A deadline that stays set would cancel the request while it is reviewed.
	if err := control.SetReadDeadline(time.Time{}); err != nil {
		return nil, http.StatusInternalServerError, fmt.Errorf("lifting the bound on the body: %w", err)
	}
	return body, http.StatusOK, nil
}

// parseReview parses a request of admission.k8s.io/v1, the only version that supported API
// servers send.
func parseReview(body []byte) (*admissionv1.AdmissionRequest, error) {
	var review admissionv1.AdmissionReview
	if err := utiljson.Unmarshal(body, &review); err != nil {
		return nil, fmt.Errorf("parsing the AdmissionReview: %w", err)
	}
	want := admissionv1.SchemeGroupVersion.WithKind("AdmissionReview")
	switch {
	case review.GroupVersionKind() != want:
		return nil, fmt.Errorf("the body is a %q: send %s", printable.Line(review.GroupVersionKind().String(), 256), want)
	case review.Request == nil:
		return nil, errors.New("the AdmissionReview has no request")
	case review.Request.UID == "":
		return nil, errors.New("the AdmissionReview's request has no uid")
	}
	return review.Request, nil
}
