package webhook

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	admissionv1 "k8s.io/api/admission/v1"

	"github.com/envladder/envladder/internal/evidence"
)

// Metrics count what the webhook does. No label has a value from a request: whoever may
// create pods could make as many as they like.
type Metrics struct {
	registry        *prometheus.Registry
	requests        *prometheus.CounterVec
	reasons         *prometheus.CounterVec
	failures        *prometheus.CounterVec
	phases          *prometheus.HistogramVec
	registryCalls   *prometheus.CounterVec
	registrySeconds prometheus.Histogram
}

// Phases of a request.
const (
	phaseRead  = "read"  // the object, its owners: all that must be judged
	phaseJudge = "judge" // evidence, and the Gates' word
	phaseAll   = "all"   // from the body to the answer
)

// NewMetrics returns metrics that count nothing yet.
func NewMetrics() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "envladder_webhook_requests_total", Help: "Requests that were ruled on, by verdict (Allowed, Exempted, Warned, Audited, Denied).",
		}, []string{"verdict", "dry_run"}),
		reasons: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "envladder_webhook_reasons_total", Help: "Requests that a Gate denies or would, by the reasons' codes; a request counts once for each.",
		}, []string{"code"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "envladder_webhook_http_errors_total", Help: "Calls that weren't ruled on, by HTTP status.",
		}, []string{"status"}),
		phases: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "envladder_webhook_phase_seconds", Help: "How long a phase of a request took: read, judge, all.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"phase"}),
		registryCalls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "envladder_registry_requests_total", Help: "Requests to registries, by the answer's class (2xx, 3xx, 4xx, 5xx, none).",
		}, []string{"answer"}),
		registrySeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "envladder_registry_request_seconds", Help: "How long registries took to answer.", Buckets: prometheus.DefBuckets,
		}),
	}
	m.registry.MustRegister(m.requests, m.reasons, m.failures, m.phases, m.registryCalls, m.registrySeconds,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// CountEvidence has the metrics say where evidence came from.
func (m *Metrics) CountEvidence(counts func() evidence.Counts) {
	for source, count := range map[string]func(evidence.Counts) uint64{
		"memory":   func(c evidence.Counts) uint64 { return c.Memory },
		"cluster":  func(c evidence.Counts) uint64 { return c.Shelf },
		"registry": func(c evidence.Counts) uint64 { return c.Registry },
	} {
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "envladder_evidence_lookups_total", Help: "Where evidence about an image was found or asked for: memory, cluster, registry.",
			ConstLabels: prometheus.Labels{"source": source},
		}, func() float64 { return float64(count(counts())) }))
	}
}

// RegistryCall is for registry.Client's Observe.
func (m *Metrics) RegistryCall(status int, took time.Duration) {
	answer := "none"
	if status >= 100 && status < 600 {
		answer = strconv.Itoa(status/100) + "xx"
	}
	m.registryCalls.WithLabelValues(answer).Inc()
	m.registrySeconds.Observe(took.Seconds())
}

// ruled counts a ruling.
func (m *Metrics) ruled(request *admissionv1.AdmissionRequest, r ruling) {
	if m == nil {
		return
	}
	dryRun := request.DryRun != nil && *request.DryRun
	m.requests.WithLabelValues(r.verdict(), strconv.FormatBool(dryRun)).Inc()
	for _, code := range r.codes() {
		m.reasons.WithLabelValues(code).Inc()
	}
}

func (m *Metrics) failed(status int) {
	if m != nil {
		m.failures.WithLabelValues(strconv.Itoa(status)).Inc()
	}
}

// phase begins one; what it returns ends it.
func (m *Metrics) phase(name string) (end func()) {
	if m == nil {
		return func() {}
	}
	began := time.Now()
	return func() { m.phases.WithLabelValues(name).Observe(time.Since(began).Seconds()) }
}

// serve answers GET /metrics until ctx ends.
func (m *Metrics) serve(ctx context.Context, listener net.Listener) error {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: headerTime, WriteTimeout: maxTimeout, IdleTimeout: idleTime, MaxHeaderBytes: maxHeader}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving metrics on %s: %w", listener.Addr(), err)
	}
	return nil
}
