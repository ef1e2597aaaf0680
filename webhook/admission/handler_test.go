package admission

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/evidence"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/verdict"
	"github.com/envladder/envladder/internal/workload"
	"github.com/envladder/envladder/webhook/evidencecache"
	"github.com/envladder/envladder/webhook/policycache"
	"github.com/envladder/envladder/webhook/rollout"
	"github.com/envladder/envladder/webhook/webhooktest"
)

// TestAdmissionIgnoresEvidenceWriter checks that requests are admitted while the evidence
// writer's queue is full, and that a dry run stores nothing.
func TestAdmissionIgnoresEvidenceWriter(t *testing.T) {
	admit := func(source string) *handler {
		return newTestHandler(webhooktest.JudgeFunc(func(context.Context, verdict.Query) []verdict.GateVerdict {
			return []verdict.GateVerdict{{
				Verdict:       gate.Verdict{Allowed: true, Gate: gate.Ref{Name: "shop-prod"}},
				EvidenceQuery: evidence.Query{Image: gate.Image{Repository: "example.com/web", Digest: webhooktest.Digest('a')}},
				Evidence:      []gate.Evidence{{Source: source}},
			}}
		}))
	}
	writer := &countingWriter{Writer: evidencecache.NewWriter(nil, nil, slog.New(slog.DiscardHandler))} // doesn't run
	const more = 1000
	for i := range more {
		h := admit(fmt.Sprint(i))
		h.evidence = writer
		request := webhooktest.PodRequest("example.com/web@" + webhooktest.Digest('a'))
		if response := h.review(t.Context(), request); !response.Allowed {
			t.Fatal("a request is denied because the queue is full")
		}
		request.DryRun = new(true)
		h.review(t.Context(), request)
	}
	if writer.images != more {
		t.Errorf("the writer got %d images, want %d", writer.images, more)
	}
}

// countingWriter counts the images that a Writer gets.
type countingWriter struct {
	*evidencecache.Writer
	images int
}

func (w *countingWriter) Add(images []evidencecache.Admitted) {
	w.images += len(images)
	w.Writer.Add(images)
}

func TestInvalidReview(t *testing.T) {
	server := httptest.NewServer(newTestHandler(webhooktest.AllowAll).mux())
	defer server.Close()
	good := string(webhooktest.EncodeReview(webhooktest.PodRequest("127.0.0.1:1/shop/web")))
	padded := func(size int) string { return good + strings.Repeat(" ", size-len(good)) }

	for name, test := range map[string]struct {
		method, path, media, body string
		want                      int
	}{
		"review":            {"POST", "/validate", "application/json", good, 200},
		"charset":           {"POST", "/validate", "application/json; charset=utf-8", good, 200},
		"largest body":      {"POST", "/validate", "application/json", padded(maxBody), 200},
		"one byte more":     {"POST", "/validate", "application/json", padded(maxBody + 1), 413},
		"10 MiB":            {"POST", "/validate", "application/json", strings.Repeat("{", 10<<20), 413},
		"GET":               {"GET", "/validate", "application/json", "", 405},
		"PUT":               {"PUT", "/validate", "application/json", good, 405},
		"other path":        {"POST", "/mutate", "application/json", good, 404},
		"no content type":   {"POST", "/validate", "", good, 415},
		"YAML":              {"POST", "/validate", "application/yaml", good, 415},
		"protobuf":          {"POST", "/validate", "application/vnd.kubernetes.protobuf", good, 415},
		"empty body":        {"POST", "/validate", "application/json", "", 400},
		"not JSON":          {"POST", "/validate", "application/json", "kind: AdmissionReview", 400},
		"truncated":         {"POST", "/validate", "application/json", good[:len(good)/2], 400},
		"two reviews":       {"POST", "/validate", "application/json", good + good, 400},
		"10,001 brackets":   {"POST", "/validate", "application/json", strings.Repeat("[", 10_001), 400},
		"v1beta1":           {"POST", "/validate", "application/json", strings.Replace(good, "admission.k8s.io/v1", "admission.k8s.io/v1beta1", 1), 400},
		"other kind":        {"POST", "/validate", "application/json", strings.Replace(good, `"AdmissionReview"`, `"Pod"`, 1), 400},
		"no request":        {"POST", "/validate", "application/json", `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}`, 400},
		"no uid":            {"POST", "/validate", "application/json", strings.Replace(good, `"uid":"u1"`, `"uid":""`, 1), 400},
		"invalid timeout":   {"POST", "/validate?timeout=soon", "application/json", good, 400},
		"negative timeout":  {"POST", "/validate?timeout=-1s", "application/json", good, 400},
		"timeout of a year": {"POST", "/validate?timeout=8760h", "application/json", good, 200},
		"health":            {"GET", "/healthz", "", "", 200},
		"readiness":         {"GET", "/readyz", "", "", 200},
	} {
		t.Run(name, func(t *testing.T) {
			request, err := http.NewRequestWithContext(t.Context(), test.method, server.URL+test.path, strings.NewReader(test.body))
			if err != nil {
				t.Fatal(err)
			}
			if test.media != "" {
				request.Header.Set("Content-Type", test.media)
			}
			answer, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			body, _ := io.ReadAll(answer.Body)
			if answer.StatusCode != test.want {
				t.Errorf("the status is %d, want %d: %.200s", answer.StatusCode, test.want, body)
			}
			if test.want >= 400 && strings.Contains(string(body), `"allowed":true`) {
				t.Errorf("an error admits: %s", body)
			}
		})
	}
}

func TestSlowBody(t *testing.T) {
	server := httptest.NewServer(newTestHandler(webhooktest.AllowAll).mux())
	defer server.Close()
	connection, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	fmt.Fprint(connection, "POST /validate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")
	if err := connection.SetReadDeadline(time.Now().Add(bodyTimeout + 10*time.Second)); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(connection)
	if err != nil {
		t.Fatalf("the connection isn't closed: %v", err)
	}
	if !strings.HasPrefix(string(answer), "HTTP/1.1 400 ") {
		t.Errorf("the answer is %q, want status 400", answer)
	}
}

// denied returns a result with these reasons.
func denied(reference string, action v1alpha1.Action, reasons ...gate.Reason) ImageResult {
	return ImageResult{
		Reference: reference,
		Fields:    []string{"spec.containers[0].image"},
		GateVerdict: verdict.GateVerdict{
			Verdict: gate.Verdict{Reasons: reasons, Gate: gate.Ref{Name: "shop-prod", Generation: 3, Digest: webhooktest.Digest('e')}},
			Action:  action,
		},
	}
}

// exempted returns the result of an image that an Exception admits.
func exempted(reference string) ImageResult {
	image := denied(reference, v1alpha1.ActionDeny)
	image.Allowed = true
	image.Exception = &gate.Exempted{
		Name: "exception", Reason: "incident 117", By: []string{"ana", "bo"},
		ExpiresAt: time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC), Missing: []gate.Code{gate.NoSoak, gate.NoSignature},
	}
	return image
}

// prodGates returns one Gate, for prod.
func prodGates() []policycache.CachedGate {
	g := webhooktest.NewGate("shop-prod", "shop")
	g.Generation = 3
	return []policycache.CachedGate{{Gate: verdict.Gate{Gate: g, Ref: gate.RefTo(g)}}}
}

// readyPolicies are a cache that has read everything, and watches nothing.
type readyPolicies struct {
	*policycache.Cache
	ready bool
}

func (p *readyPolicies) Ready() bool { return p.ready }

// newTestHandler returns a handler with one Gate, for namespace shop. It reads nothing from a
// cluster.
func newTestHandler(judge Judge) *handler {
	log := slog.New(slog.DiscardHandler)
	policies := &readyPolicies{policycache.New(log), true}
	policies.SetGate(webhooktest.Unstructured(webhooktest.MinimalGate(), "Gate"))
	return newHandler(NewReviewer(Options{
		Policies: policies, Resolver: rollout.NewResolver(webhooktest.UnreachableAPI{}, workload.NewKinds()), Judge: judge,
		ImagePolicies: policycache.NewImagePolicies(webhooktest.UnreachableAPI{}), ClusterUID: policycache.NewClusterUID(webhooktest.UnreachableAPI{}), Log: log,
	}), nil)
}

// policiesOf returns the policies of a test's handler.
func policiesOf(h *handler) *readyPolicies { return h.reviewer.policies.(*readyPolicies) }
