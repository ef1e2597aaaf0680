// Package tracing sends traces to an OpenTelemetry collector where the environment names
// one, by the standard variables (OTEL_EXPORTER_OTLP_ENDPOINT and others). Where it names
// none, starting and ending spans costs next to nothing.
package tracing
