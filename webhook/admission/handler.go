package admission

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/panics"
	"github.com/envladder/envladder/webhook/evidencecache"
)

// EvidenceWriter stores the evidence of admitted images. It must not block.
// evidencecache.Writer is one.
type EvidenceWriter interface {
	Add(images []evidencecache.Admitted)
}

// handler answers AdmissionReviews. It is built on net/http and not on controller-runtime's
// admission package, which answers what isn't a review with a 200 and an empty review,
// accepts any version, and neither bounds the time of a body nor honours the API server's
// timeout.
type handler struct {
	reviewer *Reviewer
	inFlight inFlight
	evidence EvidenceWriter // nil: nothing is stored
	metrics  Metrics
	log      *slog.Logger
}

// NewHandler returns a handler that serves, on one port, reviews at POST /validate, reviews
// of namespaces on trial at POST /audit, and health to the kubelet. A nil writer stores
// nothing.
func NewHandler(reviewer *Reviewer, writer EvidenceWriter) http.Handler {
	return newHandler(reviewer, writer).mux()
}

func newHandler(reviewer *Reviewer, writer EvidenceWriter) *handler {
	return &handler{reviewer: reviewer, inFlight: newInFlight(), evidence: writer, metrics: reviewer.metrics, log: reviewer.log}
}

func (h *handler) mux() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("POST /validate", h)
	mux.Handle("POST /audit", h.onTrial())
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !h.reviewer.policies.Ready() {
			http.Error(w, "Gates, Recalls and Exceptions aren't read yet", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	return mux
}

// onTrial returns a handler for namespaces on trial. It shares everything with h.
func (h *handler) onTrial() *handler {
	trial := *h
	trial.reviewer = h.reviewer.onTrial()
	return &trial
}

// ServeHTTP answers an AdmissionReview. Anything else gets an HTTP error, which the API
// server takes as a failed call. A review has its own deadline; the one here is for
// everything that a review can't end itself.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	timeout, err := timeoutOf(r.URL.Query())
	if err != nil {
		h.fail(w, http.StatusBadRequest, err)
		return
	}
	// A twentieth is left for sending the answer, so that the reason arrives and not a
	// bare "timed out".
	spare := timeout / 20
	// API servers that trace name the trace that the request is part of.
	ctx := otel.GetTextMapPropagator().Extract(r.Context(), propagation.HeaderCarrier(r.Header))
	ctx, cancel := context.WithTimeout(ctx, timeout-spare)
	defer cancel()
	release, status, err := h.inFlight.acquire(ctx, r.ContentLength)
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
	h.finish(ctx, w, h.start(ctx, body, spare, release))
}

// started is a review in progress: first the parsed request arrives, or why it can't be
// parsed, then the response.
type started struct {
	parsed   chan parsed
	response chan *admissionv1.AdmissionResponse
}

type parsed struct {
	request *admissionv1.AdmissionRequest
	err     error
}

// start parses and reviews in the background, so that the caller can answer in time however
// long this takes. The review ends earlier than ctx, by spare, so that its own message about
// what was too slow arrives. release is called when the body isn't held any more.
func (h *handler) start(ctx context.Context, body []byte, spare time.Duration, release func()) started {
	s := started{make(chan parsed, 1), make(chan *admissionv1.AdmissionResponse, 1)}
	go func() {
		defer release()
		end := h.metrics.StartPhase(PhaseAll)
		request, err := h.parse(body)
		s.parsed <- parsed{request, err}
		if err != nil {
			return
		}
		deadline, _ := ctx.Deadline()
		ctx, cancel := context.WithDeadline(ctx, deadline.Add(-spare))
		defer cancel()
		response := h.review(ctx, request)
		end()
		s.response <- response
	}()
	return s
}

// finish answers with the response of a started review, or denies when ctx ends.
func (h *handler) finish(ctx context.Context, w http.ResponseWriter, s started) {
	var p parsed
	select {
	case p = <-s.parsed:
	case <-ctx.Done():
		h.fail(w, http.StatusServiceUnavailable, errors.New("timed out before the AdmissionReview was parsed"))
		return
	}
	if p.err != nil {
		h.fail(w, http.StatusBadRequest, p.err)
		return
	}
	var response *admissionv1.AdmissionResponse
	select {
	case response = <-s.response:
	case <-ctx.Done():
		response = internalError("timed out before the request was reviewed")
	}
	h.answer(w, p.request, response)
}

func (h *handler) fail(w http.ResponseWriter, status int, err error) {
	h.metrics.CountHTTPError(status)
	h.log.Warn("rejected HTTP request", "status", status, "error", err)
	http.Error(w, err.Error(), status)
}

// internalError returns the denial of a request that couldn't be reviewed.
func internalError(message string) *admissionv1.AdmissionResponse {
	return Result{Images: deny(nil, gate.InternalError, message, "")}.response()
}

// parse parses a review. A panic becomes an error.
func (h *handler) parse(body []byte) (*admissionv1.AdmissionRequest, error) {
	request, err := panics.CatchResult(func() (*admissionv1.AdmissionRequest, error) { return parseReview(body) })
	if caught, ok := errors.AsType[*panics.Error](err); ok {
		h.log.Error("panic while parsing", "panic", caught.Value, "stack", string(caught.Stack))
		return nil, errors.New("internal error while parsing the AdmissionReview")
	}
	return request, err
}

// review reviews a request. A panic becomes a denial: an unproven image must not be admitted
// because something broke.
func (h *handler) review(ctx context.Context, request *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	response, err := panics.CatchResult(func() (*admissionv1.AdmissionResponse, error) { return h.reviewUncaught(ctx, request), nil })
	if caught, ok := errors.AsType[*panics.Error](err); ok {
		h.log.Error("panic while reviewing", "uid", request.UID, "panic", caught.Value, "stack", string(caught.Stack))
		return internalError("internal error while reviewing the request")
	}
	return response
}

// reviewUncaught reviews a request, and may panic.
func (h *handler) reviewUncaught(ctx context.Context, request *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	ctx, span := startReviewSpan(ctx, request)
	defer span.End()
	result := h.reviewer.Review(ctx, request)
	traceResult(span, result)
	dryRun := request.DryRun != nil && *request.DryRun
	h.metrics.CountReview(result.verdict(), dryRun, result.codes())
	h.record(ctx, request, result)
	if h.evidence != nil && !dryRun { // a dry run stores nothing
		h.evidence.Add(result.admitted())
	}
	return result.response()
}

// record logs one line for each request that a Gate denies, or would deny, and for each that
// an Exception admits.
func (h *handler) record(ctx context.Context, request *admissionv1.AdmissionRequest, result Result) {
	codes, exemptions := result.codes(), result.exemptions()
	if len(codes) == 0 && len(exemptions) == 0 {
		return
	}
	name := request.Name
	if name == "" {
		name = "(generated)"
	}
	level, attributes := slog.LevelInfo, []any{"verdict", result.verdict(), "codes", codes}
	if len(exemptions) > 0 {
		level, attributes = slog.LevelWarn, append(attributes, "exceptions", exemptions, "missing", result.missing())
	}
	h.log.Log(ctx, level, "verdict", append(attributes,
		"operation", string(request.Operation), "namespace", cleanName(request.Namespace),
		"kind", cleanName(request.Kind.Kind), "name", cleanName(name), "user", cleanName(request.UserInfo.Username),
		"images", result.images(), "dryRun", request.DryRun != nil && *request.DryRun, "uid", cleanName(string(request.UID)))...)
}

func (h *handler) answer(w http.ResponseWriter, request *admissionv1.AdmissionRequest, response *admissionv1.AdmissionResponse) {
	response.UID = request.UID
	review := admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: admissionv1.SchemeGroupVersion.String(), Kind: "AdmissionReview"},
		Response: response,
	}
	body, err := json.Marshal(review)
	if err != nil {
		h.log.Error("cannot encode the answer", "uid", request.UID, "error", err)
		http.Error(w, "encoding the answer failed", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if _, err := w.Write(body); err != nil {
		h.log.Warn("cannot send the answer", "uid", request.UID, "error", err)
	}
}
