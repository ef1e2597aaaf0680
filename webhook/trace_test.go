package webhook

import (
	"context"
	"net/http"
	"slices"
	"testing"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/envladder/envladder/internal/evidence"
	"github.com/envladder/envladder/internal/registry"
	"github.com/envladder/envladder/internal/tracing"
	"github.com/envladder/envladder/internal/verdict"
	"github.com/envladder/envladder/webhook/webhooktest"
)

// TestTraces checks that a review's span is a child of the API server's span, and the parent of
// all spans of its work.
func TestTraces(t *testing.T) {
	env := startedEnv(t)
	namespace := env.NewNamespace(t)
	env.createGate(t, env.ProdGate(namespace))
	image := env.Push(t, "shop/web")
	env.Sign(t, image, "ci")
	client := registry.NewClient()
	client.Wrap(tracing.Transport)
	p := env.restart(t, func(c *Config) {
		c.Judge = verdict.New(evidence.NewStore(client, evidence.NewTrust(evidence.TrustOptions{})))
		c.EvidenceCache, c.EvidenceSource = nil, nil
	})

	spans := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	otel.SetTracerProvider(provider)
	otel.SetTextMapPropagator(propagation.TraceContext{})
	request := webhooktest.PodRequest(image)
	request.Namespace = namespace
	webhooktest.Send(t, p.handler(), "/validate", request, func(call *http.Request) {
		call.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	})
	defer func() { _ = provider.Shutdown(context.Background()) }() // the package's other tests record nothing

	parents := map[string][]string{} // of each span, by names
	names := map[string]string{"b7ad6b7169203331": "the API server's"}
	own := slices.DeleteFunc(spans.GetSpans(), func(s tracetest.SpanStub) bool {
		return s.SpanContext.TraceID().String() != "0af7651916cd43dd8448eb211c80319c"
	})
	for _, span := range own {
		names[span.SpanContext.SpanID().String()] = span.Name
	}
	for _, span := range own {
		parents[span.Name] = append(parents[span.Name], names[span.Parent.SpanID().String()])
	}
	for name, parent := range map[string]string{
		"review": "the API server's", "judge image": "review", "fetch evidence": "judge image",
		"registry GET": "fetch evidence", "verify bundle": "fetch evidence",
	} {
		if !slices.Contains(parents[name], parent) {
			t.Errorf("span %q has no parent %q, but %q", name, parent, parents[name])
		}
	}
	for _, span := range own {
		if span.Name == "review" && !slices.Contains(span.Attributes, attribute.String("envladder.verdict", "Denied")) {
			t.Errorf("the review's attributes are %v", span.Attributes)
		}
		if span.Name == "judge image" && (!slices.Contains(span.Attributes, attribute.String("envladder.image", image)) ||
			!slices.Contains(span.Attributes, attribute.StringSlice("envladder.codes", []string{"NoSoak"}))) {
			t.Errorf("the verdict's attributes are %v", span.Attributes)
		}
	}
}
