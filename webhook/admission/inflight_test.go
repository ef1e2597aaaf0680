package admission

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/workload"
	"github.com/envladder/envladder/webhook/webhooktest"
)

// podWithSpec returns a request for a pod whose spec is this JSON.
func podWithSpec(spec string) *admissionv1.AdmissionRequest {
	request := webhooktest.PodRequest("x")
	request.Object.Raw = []byte(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web"},"spec":` + spec + `}`)
	return request
}

// repeat returns a JSON list of n times the same value.
func repeat(value string, n int) string {
	return "[" + strings.TrimSuffix(strings.Repeat(value+",", n), ",") + "]"
}

// TestLargeRequest checks that the memory of a request is bounded, whatever its bytes contain.
func TestLargeRequest(t *testing.T) {
	const size = 3 << 20 // the most that an API server takes
	for name, spec := range map[string]string{
		"empty containers":           `{"containers":` + repeat("{}", size/3) + `}`,
		"empty volumes":              `{"containers":[],"volumes":` + repeat("{}", size/3) + `}`,
		"empty lists":                `{"containers":[],"new":` + repeat("[]", size/3) + `}`,
		"small objects":              `{"containers":[],"new":` + repeat(`{"":0}`, size/7) + `}`,
		"numbers":                    `{"containers":[],"new":` + repeat("0", size/2) + `}`,
		"variables":                  `{"containers":[{"env":` + repeat("{}", size/3) + `}]}`,
		"just below limit of values": `{"containers":[{"image":"x","env":` + repeat("{}", workload.MaxValues/2-100) + `}]}`,
		"containers at limit":        `{"containers":` + repeat(`{"image":"x","env":`+repeat("{}", 45)+`}`, workload.MaxParts) + `}`,
		"nested lists":               `{"containers":[],"new":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `}`,
	} {
		t.Run(name, func(t *testing.T) {
			for _, operation := range []admissionv1.Operation{admissionv1.Create, admissionv1.Update} {
				request := podWithSpec(spec)
				request.Operation = operation
				if operation == admissionv1.Update {
					request.OldObject.Raw = bytes.Replace(request.Object.Raw, []byte(`"web"`), []byte(`"old"`), 1)
				}
				body := webhooktest.EncodeReview(request)
				h := newTestHandler(webhooktest.AllowAll)
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				began := time.Now()
				parsed, err := parseReview(body)
				if err != nil {
					t.Fatal(err)
				}
				h.review(t.Context(), parsed)
				took := time.Since(began)
				runtime.ReadMemStats(&after)
				// All that is ever allocated, garbage included: more than is held.
				allocated := after.TotalAlloc - before.TotalAlloc
				t.Logf("%s of %d KiB took %s and %d MiB", operation, len(body)>>10, took, allocated>>20)
				if allocated > 200<<20 {
					t.Errorf("%s of %d KiB allocated %d MiB", operation, len(body)>>10, allocated>>20)
				}
			}
		})
	}
}

func TestTooManyContainers(t *testing.T) {
	h := newTestHandler(webhooktest.AllowAll)
	for name, test := range map[string]struct {
		spec string
		want string
	}{
		"containers":             {`{"containers":` + repeat(`{"image":"x"}`, workload.MaxParts+1) + `}`, "spec has 1001 containers and volumes, more than 1000"},
		"init containers":        {`{"initContainers":` + repeat(`{"image":"x"}`, workload.MaxParts+1) + `}`, "more than 1000"},
		"ephemeral containers":   {`{"ephemeralContainers":` + repeat(`{"image":"x"}`, workload.MaxParts+1) + `}`, "more than 1000"},
		"volumes":                {`{"volumes":` + repeat(`{"image":{"reference":"x"}}`, workload.MaxParts+1) + `}`, "more than 1000"},
		"containers and volumes": {`{"containers":` + repeat("{}", workload.MaxParts/2) + `,"volumes":` + repeat("{}", workload.MaxParts/2+1) + `}`, "more than 1000"},
		"values":                 {`{"containers":[{"args":` + repeat(`"a"`, workload.MaxValues) + `}]}`, "more than 100000 values"},
		"at limit":               {`{"containers":` + repeat(`{"image":"x"}`, workload.MaxParts) + `}`, ""},
		"commas in text":         {`{"containers":[{"image":"x","args":["` + strings.Repeat(`,{[\"`, workload.MaxValues) + `"]}]}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			response := webhooktest.Send(t, h.mux(), "/validate", podWithSpec(test.spec))
			if test.want == "" {
				if !response.Allowed {
					t.Errorf("denied: %s", response.Result.Message)
				}
				return
			}
			if codes := webhooktest.Codes(response); response.Allowed || len(codes) != 1 || codes[0] != gate.Undecodable || !strings.Contains(response.Result.Message, test.want) {
				t.Errorf("allowed is %t, codes are %v, want Undecodable with %q: %v", response.Allowed, codes, test.want, response.Result)
			}
		})
	}
}

// TestInFlightBound checks that a request without room fails when its timeout ends, and that a
// request is reviewed once there is room again.
func TestInFlightBound(t *testing.T) {
	h := newTestHandler(webhooktest.AllowAll)
	server := httptest.NewServer(h.mux())
	defer server.Close()
	post := func(body io.Reader, length int64) int {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/validate?timeout=1s", body)
		if err != nil {
			t.Fatal(err)
		}
		request.ContentLength = length
		request.Header.Set("Content-Type", "application/json")
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		return answer.StatusCode
	}
	body := webhooktest.EncodeReview(webhooktest.PodRequest("x"))

	release, _, err := h.inFlight.acquire(t.Context(), maxBody)
	if err != nil {
		t.Fatal(err)
	}
	if status := post(bytes.NewReader(body), int64(len(body))); status != http.StatusOK {
		t.Errorf("with the largest body in flight a usual request gets %d", status)
	}
	if status := post(bytes.NewReader(body), -1); status != http.StatusServiceUnavailable {
		t.Errorf("with the largest body in flight a request of unknown length gets %d, want 503", status)
	}
	second, _, err := h.inFlight.acquire(t.Context(), maxInFlight-maxBody)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if status := post(bytes.NewReader(body), int64(len(body))); status != http.StatusServiceUnavailable {
		t.Errorf("without room a request gets %d, want 503", status)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("without room a request waits %s", took)
	}
	second()
	release()
	for range 3 { // no room is leaked
		for _, broken := range []string{"{", string(body)} {
			if status := post(strings.NewReader(broken), -1); status != http.StatusOK && status != http.StatusBadRequest {
				t.Errorf("with room again a request gets %d", status)
			}
		}
	}
}

// TestInFlightHeldUntilReviewEnds checks that a review which goes on after its answer still counts.
func TestInFlightHeldUntilReviewEnds(t *testing.T) {
	hang := make(chan struct{})
	h := newTestHandler(webhooktest.AllowAll)
	h.reviewer.now = func() time.Time { <-hang; return time.Now() } // in the review itself, which can't be cancelled
	response := webhooktest.Send(t, h.mux(), "/validate?timeout=200ms", webhooktest.PodRequest("x"))
	if response.Allowed || !strings.Contains(response.Result.Message, "timed out before") {
		t.Errorf("allowed is %t: %v", response.Allowed, response.Result)
	}
	if h.inFlight.bytes.TryAcquire(maxInFlight) {
		t.Error("the room was released before the review ended")
	}
	close(hang)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := h.inFlight.bytes.Acquire(ctx, maxInFlight); err != nil {
		t.Errorf("the room wasn't released: %v", err)
	}
}
