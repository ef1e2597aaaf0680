package evidence

import (
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/printable"
)

var tracer = otel.Tracer("github.com/envladder/envladder/internal/evidence")

// maxStatus bounds the text of an error, which may join hundreds.
const maxStatus = 1 << 10

// traceFetch records the result of a fetch in its span. Concurrent callers share one, which is
// in the trace of the first caller.
func traceFetch(span trace.Span, q Query, found []gate.Evidence, err error) {
	if span.IsRecording() {
		span.SetAttributes(
			attribute.String("envladder.repository", q.evidenceRepository()),
			attribute.String("envladder.digest", q.Image.Digest),
			attribute.Int("envladder.evidence", len(found)))
		if err != nil {
			span.SetStatus(codes.Error, printable.Line(err.Error(), maxStatus))
		}
	}
}

// traceVerified records the result of a bundle's verification in its span. A bundle that proves
// nothing is no error: it is junk, or by another signer.
func traceVerified(span trace.Span, source string, evidence []gate.Evidence, err error) {
	if span.IsRecording() {
		var signers []string
		for _, e := range evidence {
			signers = append(signers, e.Signer)
		}
		span.SetAttributes(
			attribute.String("envladder.bundle", source),
			attribute.StringSlice("envladder.signers", signers),
			attribute.Bool("envladder.verified", err == nil))
	}
}
