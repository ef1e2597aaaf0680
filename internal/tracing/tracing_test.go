package tracing_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/envladder/envladder/internal/tracing"
)

// receiver is a collector that speaks OTLP over HTTP.
type receiver struct {
	url string

	mu      sync.Mutex
	headers []string
	spans   map[string][]string // name -> attributes
	about   []string
}

func receive(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{spans: map[string][]string{}}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(request.Body)
		if err != nil {
			t.Error(err)
		}
		var export collector.ExportTraceServiceRequest
		if err := proto.Unmarshal(body, &export); err != nil {
			t.Errorf("%s: %v", request.URL.Path, err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.headers = append(r.headers, request.URL.Path+" "+request.Header.Get("Authorization"))
		for _, resource := range export.GetResourceSpans() {
			for _, a := range resource.GetResource().GetAttributes() {
				r.about = append(r.about, a.GetKey()+"="+a.GetValue().GetStringValue())
			}
			for _, scope := range resource.GetScopeSpans() {
				for _, span := range scope.GetSpans() {
					r.spans[span.GetName()] = []string{}
					for _, a := range span.GetAttributes() {
						r.spans[span.GetName()] = append(r.spans[span.GetName()], a.GetKey()+"="+a.GetValue().GetStringValue())
					}
				}
			}
		}
	}))
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

// get sends a request with a token in its query.
func get(t *testing.T, url string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/v2/shop/web/blobs/sha256:1?X-Amz-Signature=secret", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := tracing.Transport(http.DefaultTransport).RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	if err := response.Body.Close(); err != nil {
		t.Fatal(err)
	}
	if response.Request.Header.Get("Traceparent") != "" {
		t.Error("the registry got trace headers")
	}
}

func TestTraces(t *testing.T) {
	registry := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(registry.Close)
	collector := receive(t)
	t.Run("nothing is sent without a collector", func(t *testing.T) {
		for name, environment := range map[string]map[string]string{
			"nothing set": {},
			"disabled":    {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_SDK_DISABLED": "true"},
			"none":        {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_TRACES_EXPORTER": "none"},
		} {
			t.Run(name, func(t *testing.T) {
				for key, value := range environment {
					t.Setenv(key, value)
				}
				stop, err := tracing.Start(t.Context(), "envladder-webhook", "1.2.3", slog.New(slog.DiscardHandler))
				if err != nil {
					t.Fatal(err)
				}
				get(t, registry.URL)
				if err := stop(t.Context()); err != nil || len(collector.headers) > 0 {
					t.Errorf("sent %v, %v", collector.headers, err)
				}
			})
		}
	})
	t.Run("another protocol", func(t *testing.T) {
		t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
		t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")
		if _, err := tracing.Start(t.Context(), "envladder-webhook", "1.2.3", slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "http/protobuf or grpc") {
			t.Errorf("%v doesn't say which there are", err)
		}
	})
	t.Run("to a collector", func(t *testing.T) {
		t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
		t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Bearer token")
		t.Setenv("OTEL_SERVICE_NAME", "gate")
		stop, err := tracing.Start(t.Context(), "envladder-webhook", "1.2.3", slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		get(t, registry.URL)
		if err := stop(context.Background()); err != nil {
			t.Fatal(err)
		}
		want := map[string][]string{"registry GET": {
			"http.request.method=GET", "server.address=" + strings.TrimPrefix(registry.URL, "http://"),
			"url.path=/v2/shop/web/blobs/sha256:1", "http.response.status_code=",
		}}
		if diff := cmp.Diff(want, collector.spans); diff != "" {
			t.Errorf("spans (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"/v1/traces Bearer token"}, collector.headers); diff != "" {
			t.Errorf("requests (-want +got):\n%s", diff)
		}
		if !slices.Contains(collector.about, "service.name=gate") || !slices.Contains(collector.about, "service.version=1.2.3") {
			t.Errorf("about the service: %v", collector.about)
		}
	})
}
