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

	"github.com/envladder/envladder/internal/evidence"
	"github.com/envladder/envladder/webhook/admission"
)

// Metrics counts what the webhook does; it implements admission.Metrics. No label has a value
// from a request: anyone who may create pods could make as many values as they like.
type Metrics struct {
	registry        *prometheus.Registry
	requests        *prometheus.CounterVec
	reasons         *prometheus.CounterVec
	failures        *prometheus.CounterVec
	phases          *prometheus.HistogramVec
	registryCalls   *prometheus.CounterVec
	registrySeconds prometheus.Histogram
}

// NewMetrics returns metrics that count nothing yet.
func NewMetrics() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "envladder_webhook_requests_total", Help: "Requests that were reviewed, by verdict (Allowed, Exempted, Warned, Audited, Denied).",
		}, []string{"verdict", "dry_run"}),
		reasons: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "envladder_webhook_reasons_total", Help: "Requests that a Gate denied or would deny, by the codes of the reasons; a request counts once for each code.",
		}, []string{"code"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "envladder_webhook_http_errors_total", Help: "Calls that were answered with an HTTP error, by status.",
		}, []string{"status"}),
		phases: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "envladder_webhook_phase_seconds", Help: "Duration of the phases of a request: read, judge, all.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"phase"}),
		registryCalls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "envladder_registry_requests_total", Help: "Requests to registries, by class of the answer (2xx, 3xx, 4xx, 5xx, none).",
		}, []string{"answer"}),
		registrySeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "envladder_registry_request_seconds", Help: "Duration of requests to registries.", Buckets: prometheus.DefBuckets,
		}),
	}
	m.registry.MustRegister(m.requests, m.reasons, m.failures, m.phases, m.registryCalls, m.registrySeconds,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// CountEvidence adds metrics of where evidence was found.
func (m *Metrics) CountEvidence(counts func() evidence.Counts) {
	for source, count := range map[string]func(evidence.Counts) uint64{
		"memory":   func(c evidence.Counts) uint64 { return c.Memory },
		"cluster":  func(c evidence.Counts) uint64 { return c.Cluster },
		"registry": func(c evidence.Counts) uint64 { return c.Registry },
	} {
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "envladder_evidence_lookups_total", Help: "Look-ups of evidence about an image, by where it was found or fetched: memory, cluster, registry.",
			ConstLabels: prometheus.Labels{"source": source},
		}, func() float64 { return float64(count(counts())) }))
	}
}

// RegistryCall counts a request to a registry, as registry.Client.Observe requires.
func (m *Metrics) RegistryCall(status int, took time.Duration) {
	answer := "none"
	if status >= 100 && status < 600 {
		answer = strconv.Itoa(status/100) + "xx"
	}
	m.registryCalls.WithLabelValues(answer).Inc()
	m.registrySeconds.Observe(took.Seconds())
}

// CountReview implements admission.Metrics.
func (m *Metrics) CountReview(verdict string, dryRun bool, codes []string) {
	m.requests.WithLabelValues(verdict, strconv.FormatBool(dryRun)).Inc()
	for _, code := range codes {
		m.reasons.WithLabelValues(code).Inc()
	}
}

// CountHTTPError implements admission.Metrics.
func (m *Metrics) CountHTTPError(status int) {
	m.failures.WithLabelValues(strconv.Itoa(status)).Inc()
}

// StartPhase implements admission.Metrics.
func (m *Metrics) StartPhase(phase string) (end func()) {
	began := time.Now()
	return func() { m.phases.WithLabelValues(phase).Observe(time.Since(began).Seconds()) }
}

// serve serves GET /metrics until ctx ends.
func (m *Metrics) serve(ctx context.Context, listener net.Listener) error {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: headerTimeout, WriteTimeout: admission.MaxTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving metrics on %s: %w", listener.Addr(), err)
	}
	return nil
}
