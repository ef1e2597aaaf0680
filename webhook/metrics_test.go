package webhook

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/envladder/envladder/internal/evidence"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/verdict"
)

// metricsOf are the lines that are served.
func metricsOf(t *testing.T, m *Metrics) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- m.serve(ctx, listener) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	response, err := http.Get("http://" + listener.Addr().String() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if err := errors.Join(err, response.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestMetrics(t *testing.T) {
	deny := true
	h := newReviewer(faulty(func(_ context.Context, q verdict.Query) []verdict.Outcome {
		if !deny {
			return content(context.Background(), q)
		}
		return []verdict.Outcome{{Verdict: gate.Deny(gate.Image{}, gate.Ref{}, gate.NewReason(gate.NoSoak, "x"), gate.NewReason(gate.NoSBOM, "x"))}}
	}))
	m := NewMetrics()
	m.CountEvidence(func() evidence.Counts { return evidence.Counts{Memory: 5, Shelf: 3, Registry: 2} })
	h.metrics, h.decider.metrics = m, m
	h.ask(t, "/validate", podRequest("registry.example.com/hostile\nlabel@sha256:"+sixtyFour('a')))
	deny = false
	dry := podRequest("x")
	dry.DryRun = new(true)
	h.ask(t, "/validate", dry)
	m.failed(http.StatusServiceUnavailable)
	m.RegistryCall(http.StatusOK, time.Millisecond)
	m.RegistryCall(http.StatusTooManyRequests, time.Millisecond)
	m.RegistryCall(0, time.Second)
	m.RegistryCall(12345, time.Second)

	served := metricsOf(t, m)
	for _, want := range []string{
		`envladder_webhook_requests_total{dry_run="false",verdict="Denied"} 1`,
		`envladder_webhook_requests_total{dry_run="true",verdict="Allowed"} 1`,
		`envladder_webhook_reasons_total{code="NoSoak"} 1`,
		`envladder_webhook_reasons_total{code="NoSBOM"} 1`,
		`envladder_webhook_http_errors_total{status="503"} 1`,
		`envladder_webhook_phase_seconds_count{phase="read"} 2`,
		`envladder_webhook_phase_seconds_count{phase="judge"} 2`,
		`envladder_webhook_phase_seconds_count{phase="all"} 2`,
		`envladder_registry_requests_total{answer="2xx"} 1`,
		`envladder_registry_requests_total{answer="4xx"} 1`,
		`envladder_registry_requests_total{answer="none"} 2`,
		`envladder_evidence_lookups_total{source="memory"} 5`,
		`envladder_evidence_lookups_total{source="cluster"} 3`,
		`envladder_evidence_lookups_total{source="registry"} 2`,
	} {
		if !strings.Contains(served, want+"\n") {
			t.Errorf("the metrics lack %s", want)
		}
	}
	if strings.Contains(served, "hostile") || strings.Contains(served, "shop") {
		t.Error("the metrics have something of a request in them")
	}
}
