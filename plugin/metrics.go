package plugin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/envladder/envladder/plugin/worker"
)

// metrics are the metrics of one server. They have a separate registry, since libraries add
// theirs to the default one.
type metrics struct {
	registry *prometheus.Registry
	renders  *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	lost     *prometheus.CounterVec
	waiting  prometheus.Gauge
	hits     prometheus.Counter
	misses   prometheus.Counter
}

// The phases of a render.
const (
	phaseWait    = "wait"
	phaseReceive = "receive"
	phaseResolve = "resolve"
	phaseRender  = "render"
)

// The results of a render.
const (
	resultOK       = "ok"
	resultError    = "error"    // an error in the repository
	resultLost     = "lost"     // the worker was killed or crashed
	resultRefused  = "refused"  // beyond a limit, or waited too long
	resultCanceled = "canceled" // the caller's deadline passed, or it disconnected
)

func newMetrics() *metrics {
	cache := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "envladder_plugin_result_cache_total",
		Help: "Renders by whether their result was in the cache: hit or miss.",
	}, []string{"result"})
	m := &metrics{
		registry: prometheus.NewRegistry(),
		renders: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "envladder_plugin_renders_total",
			Help: "Requests for manifests by result: ok, error, lost (the worker was killed or crashed), refused (a limit, or waited too long), canceled.",
		}, []string{"result"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "envladder_plugin_phase_seconds",
			Help:    "Seconds that requests for manifests took by phase: wait (for other requests), receive, resolve, render.",
			Buckets: []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}, []string{"phase"}),
		lost: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "envladder_plugin_workers_lost_total",
			Help: "Workers that were killed or crashed by reason: time, memory, stack, gone (the caller disconnected), crash.",
		}, []string{"reason"}),
		waiting: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "envladder_plugin_requests_waiting",
			Help: "Requests that wait for others to finish.",
		}),
		hits:   cache.WithLabelValues("hit"),
		misses: cache.WithLabelValues("miss"),
	}
	m.registry.MustRegister(m.renders, m.seconds, m.lost, m.waiting, cache,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// phase starts to measure a phase, and returns a function that ends it.
func (m *metrics) phase(name string) func() {
	start := time.Now()
	return func() { m.seconds.WithLabelValues(name).Observe(time.Since(start).Seconds()) }
}

// resultOf returns the result label of a render with this error.
func resultOf(err error) string {
	var killed *worker.WorkerError
	var broken *brokenStreamError
	switch {
	case err == nil:
		return resultOK
	case errors.As(err, &killed):
		return resultLost
	case isTooLarge(err), errors.Is(err, errLimit):
		return resultRefused
	case errors.As(err, &broken), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return resultCanceled
	default:
		return resultError
	}
}

// serve serves GET /metrics on address until stop is called.
func (m *metrics) serve(ctx context.Context, address string, log *slog.Logger) (stop func(), err error) {
	var listening net.ListenConfig
	listener, err := listening.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listening for metrics: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	log.Info("serving metrics", "address", listener.Addr().String())
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Error("serving metrics", "error", err)
		}
	}()
	return func() { _ = server.Close() }, nil // a scrape that is cut is repeated
}
