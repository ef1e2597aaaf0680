package admission

import (
	"context"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	admissionv1 "k8s.io/api/admission/v1"

	"github.com/envladder/envladder/internal/verdict"
)

var tracer = otel.Tracer("github.com/envladder/envladder/webhook/admission")

// startReviewSpan starts the span of a request. It sets attributes only if the span is
// recorded.
func startReviewSpan(ctx context.Context, request *admissionv1.AdmissionRequest) (context.Context, trace.Span) {
	ctx, span := tracer.Start(ctx, "review", trace.WithSpanKind(trace.SpanKindServer))
	if span.IsRecording() {
		span.SetAttributes(
			attribute.String("envladder.operation", string(request.Operation)),
			attribute.String("envladder.namespace", cleanName(request.Namespace)),
			attribute.String("envladder.kind", cleanName(request.Kind.Kind)),
			attribute.String("envladder.name", cleanName(request.Name)),
			attribute.String("envladder.uid", cleanName(string(request.UID))),
			attribute.Bool("envladder.dry_run", request.DryRun != nil && *request.DryRun))
	}
	return ctx, span
}

func traceResult(span trace.Span, r Result) {
	if span.IsRecording() {
		span.SetAttributes(attribute.String("envladder.verdict", r.verdict()), attribute.StringSlice("envladder.codes", r.codes()))
	}
}

func traceOutcomes(span trace.Span, query verdict.Query, outcomes []verdict.GateVerdict) {
	if !span.IsRecording() {
		return
	}
	allowed := true
	var gates, codes []string
	for _, outcome := range outcomes {
		allowed = allowed && outcome.Allowed
		gates = append(gates, outcome.Gate.Name)
		for _, reason := range outcome.Reasons {
			codes = append(codes, string(reason.Code))
		}
	}
	span.SetAttributes(
		attribute.String("envladder.image", cleanName(query.Reference)),
		attribute.StringSlice("envladder.gates", gates),
		attribute.Bool("envladder.allowed", allowed && len(outcomes) > 0),
		attribute.StringSlice("envladder.codes", codes))
}
