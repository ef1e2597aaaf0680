package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"runtime/debug"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/printable"
)

const (
	// maxBody: a write request to an API server has at most 3 MiB (twice etcd's
	// limit of 1.5 MiB, since JSON takes more than what is stored). A review holds
	// at most two such objects, the new one and the live one, and less than 1 MiB of
	// the rest: user, options, names.
	maxBody = 7 << 20
	// bodyTime is how long a body may take to arrive. API servers are near and send
	// at once.
	bodyTime = 5 * time.Second
	// defaultTimeout and maxTimeout are those of webhook configurations.
	defaultTimeout = 10 * time.Second
	maxTimeout     = 30 * time.Second
)

// The reviews are served by net/http and not by controller-runtime's admission
// package: that answers what isn't a review with a 200 and an empty review, takes any
// version, and neither bounds the time of a body nor honours the API server's timeout.
type reviewer struct {
	decider  *decider
	inFlight inFlight
	keeping  *keeping // nil: nothing is kept
	metrics  *Metrics // nil: nothing is counted
	log      *slog.Logger
}

// onTrial is h for namespaces that are sent to be tried out.
func (h *reviewer) onTrial() *reviewer {
	decider, trial := *h.decider, *h
	decider.trial, trial.decider = true, &decider
	return &trial
}

// ServeHTTP answers an AdmissionReview. What isn't one gets an HTTP error, which the
// API server takes as a failed call; whatever is one gets a ruling. A ruling has its
// own deadline; the one here is for all that a ruling can't end by itself.
func (h *reviewer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	timeout, err := timeoutOf(r.URL.Query())
	if err != nil {
		h.fail(w, http.StatusBadRequest, err)
		return
	}
	// A twentieth is left for the answer's way, so that the reason arrives and not a
	// bare "timed out".
	spare := timeout / 20
	// API servers that trace say which trace the request is part of.
	ctx := otel.GetTextMapPropagator().Extract(r.Context(), propagation.HeaderCarrier(r.Header))
	ctx, cancel := context.WithTimeout(ctx, timeout-spare)
	defer cancel()
	release, status, err := h.inFlight.admit(ctx, r.ContentLength)
	if err != nil {
		h.fail(w, status, err)
		return
	}
	body, status, err := readBody(w, r)
	if err != nil {
		release()
		h.fail(w, status, err)
		return
	}
	h.finish(ctx, w, h.begin(ctx, body, spare, release))
}

// began is a review that is under way: first the request arrives, or why there is
// none, then the response.
type began struct {
	parsed   chan parsed
	response chan *admissionv1.AdmissionResponse
}

type parsed struct {
	request *admissionv1.AdmissionRequest
	err     error
}

// begin parses and rules beside the caller, who can answer in time whatever this
// takes. A ruling gets less time than ctx, by spare, so that its own words about what
// was too slow arrive. release is called when the body isn't held any more.
func (h *reviewer) begin(ctx context.Context, body []byte, spare time.Duration, release func()) began {
	b := began{make(chan parsed, 1), make(chan *admissionv1.AdmissionResponse, 1)}
	go func() {
		defer release()
		end := h.metrics.phase(phaseAll)
		request, err := h.parse(body)
		b.parsed <- parsed{request, err}
		if err != nil {
			return
		}
		deadline, _ := ctx.Deadline()
		ctx, cancel := context.WithDeadline(ctx, deadline.Add(-spare))
		defer cancel()
		response := h.review(ctx, request)
		end()
		b.response <- response
	}()
	return b
}

// finish answers with what was begun, or denies when the time is over.
func (h *reviewer) finish(ctx context.Context, w http.ResponseWriter, b began) {
	var p parsed
	select {
	case p = <-b.parsed:
	case <-ctx.Done():
		h.fail(w, http.StatusServiceUnavailable, errors.New("the time to answer was over before the AdmissionReview was parsed"))
		return
	}
	if p.err != nil {
		h.fail(w, http.StatusBadRequest, p.err)
		return
	}
	var response *admissionv1.AdmissionResponse
	select {
	case response = <-b.response:
	case <-ctx.Done():
		response = failure("the time to answer was over before the request was ruled on")
	}
	h.answer(w, p.request, response)
}

func (h *reviewer) fail(w http.ResponseWriter, status int, err error) {
	h.metrics.failed(status)
	h.log.Warn("refused a request", "status", status, "error", err)
	http.Error(w, err.Error(), status)
}

// failure is a denial because something broke.
func failure(message string) *admissionv1.AdmissionResponse {
	return ruling{findings: refuse(nil, gate.InternalError, message, "")}.response()
}

// timeoutOf is how long the API server waits.
func timeoutOf(query url.Values) (time.Duration, error) {
	timeout := defaultTimeout
	if text := query.Get("timeout"); text != "" {
		parsed, err := time.ParseDuration(text)
		if err != nil || parsed <= 0 {
			return 0, fmt.Errorf("timeout %q: use a duration such as 10s", printable.Line(text, 64))
		}
		timeout = min(parsed, maxTimeout)
	}
	return timeout, nil
}

// readBody reads a bounded body of JSON in bounded time. With an error comes the HTTP
// status to answer with.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, int, error) {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return nil, http.StatusUnsupportedMediaType, fmt.Errorf("content type %q: send application/json", printable.Line(r.Header.Get("Content-Type"), 128))
	}
	control := http.NewResponseController(w)
	if err := control.SetReadDeadline(time.Now().Add(bodyTime)); err != nil {
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
	// A deadline left in place would cancel the request while it is judged.
	if err := control.SetReadDeadline(time.Time{}); err != nil {
		return nil, http.StatusInternalServerError, fmt.Errorf("lifting the bound on the body: %w", err)
	}
	return body, http.StatusOK, nil
}

var errTooLarge = fmt.Errorf("the body has more than %d bytes", maxBody)

// parse is parseReview without panics.
func (h *reviewer) parse(body []byte) (request *admissionv1.AdmissionRequest, err error) {
	defer func() {
		if p := recover(); p != nil {
			h.log.Error("panic while parsing", "panic", p, "stack", string(debug.Stack()))
			request, err = nil, errors.New("envladder failed while it parsed the AdmissionReview")
		}
	}()
	return parseReview(body)
}

// parseReview reads a request of admission.k8s.io/v1, the only version that API
// servers which still get fixes send.
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

// review rules on a request. A panic is a denial: an unproven image must not get in
// because something broke.
func (h *reviewer) review(ctx context.Context, request *admissionv1.AdmissionRequest) (response *admissionv1.AdmissionResponse) {
	defer func() {
		if p := recover(); p != nil {
			h.log.Error("panic while ruling", "uid", request.UID, "panic", p, "stack", string(debug.Stack()))
			response = failure("envladder failed while it ruled on the request")
		}
	}()
	ctx, span := beginReview(ctx, request)
	defer span.End()
	ruling := h.decider.rule(ctx, request)
	traceRuling(span, ruling)
	h.metrics.ruled(request, ruling)
	h.record(ctx, request, ruling)
	h.keeping.note(request, ruling)
	return ruling.response()
}

// record logs one line for each request that a Gate denies, or would, and for each that
// lets an image by unproven.
func (h *reviewer) record(ctx context.Context, request *admissionv1.AdmissionRequest, ruling ruling) {
	codes, leaves := ruling.codes(), ruling.leaves()
	if len(codes) == 0 && len(leaves) == 0 {
		return
	}
	clean := func(text string) string { return printable.Line(text, maxReference) }
	name := request.Name
	if name == "" {
		name = "(generated)"
	}
	level, attributes := slog.LevelInfo, []any{"verdict", ruling.verdict(), "codes", codes}
	if len(leaves) > 0 {
		level, attributes = slog.LevelWarn, append(attributes, "exceptions", leaves, "missing", ruling.missing())
	}
	h.log.Log(ctx, level, "verdict", append(attributes,
		"operation", string(request.Operation), "namespace", clean(request.Namespace),
		"kind", clean(request.Kind.Kind), "name", clean(name), "user", clean(request.UserInfo.Username),
		"images", ruling.images(), "dryRun", request.DryRun != nil && *request.DryRun, "uid", clean(string(request.UID)))...)
}

func (h *reviewer) answer(w http.ResponseWriter, request *admissionv1.AdmissionRequest, response *admissionv1.AdmissionResponse) {
	response.UID = request.UID
	review := admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: admissionv1.SchemeGroupVersion.String(), Kind: "AdmissionReview"},
		Response: response,
	}
	body, err := json.Marshal(review)
	if err != nil {
		h.log.Error("encoding the answer", "uid", request.UID, "error", err)
		http.Error(w, "encoding the answer failed", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if _, err := w.Write(body); err != nil {
		h.log.Warn("sending the answer", "uid", request.UID, "error", err)
	}
}
