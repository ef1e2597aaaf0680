package webhook

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/envladder/envladder/internal/evidence"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/verdict"
	"github.com/envladder/envladder/internal/workload"
	"github.com/envladder/envladder/webhook/admission"
	"github.com/envladder/envladder/webhook/policycache"
	"github.com/envladder/envladder/webhook/rollout"
	"github.com/envladder/envladder/webhook/webhooktest"
)

// metricsOf returns the metrics as they are served.
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
	judge := webhooktest.JudgeFunc(func(_ context.Context, q verdict.Query) []verdict.GateVerdict {
		if !deny {
			return webhooktest.AllowAll(context.Background(), q)
		}
		return []verdict.GateVerdict{{Verdict: gate.Deny(gate.Image{}, gate.Ref{}, gate.NewReason(gate.NoSoak, "x"), gate.NewReason(gate.NoSBOM, "x"))}}
	})
	m := NewMetrics()
	m.CountEvidence(func() evidence.Counts { return evidence.Counts{Memory: 5, Cluster: 3, Registry: 2} })
	handler := admission.NewHandler(admission.NewReviewer(admission.Options{
		Policies: newReadyPolicies(), Judge: judge, Resolver: rollout.NewResolver(webhooktest.UnreachableAPI{}, workload.NewKinds()),
		Metrics: m, Log: slog.New(slog.DiscardHandler),
	}), nil)
	webhooktest.Send(t, handler, "/validate", webhooktest.PodRequest("registry.example.com/hostile\nlabel@"+webhooktest.Digest('a')))
	deny = false
	dry := webhooktest.PodRequest("x")
	dry.DryRun = new(true)
	webhooktest.Send(t, handler, "/validate", dry)
	m.CountHTTPError(http.StatusServiceUnavailable)
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
		t.Error("the metrics contain text of a request")
	}
}

// readyPolicies are a cache that has read everything, and watches nothing.
type readyPolicies struct{ *policycache.Cache }

func (readyPolicies) Ready() bool { return true }

func newReadyPolicies() readyPolicies {
	policies := readyPolicies{policycache.New(slog.New(slog.DiscardHandler))}
	policies.SetGate(webhooktest.Unstructured(webhooktest.MinimalGate(), "Gate"))
	return policies
}
