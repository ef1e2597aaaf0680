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

// podOf is a request for a pod whose spec has this text.
func podOf(spec string) *admissionv1.AdmissionRequest {
	request := webhooktest.PodRequest("x")
	request.Object.Raw = []byte(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web"},"spec":` + spec + `}`)
	return request
}

// list is n times the same value.
func list(value string, n int) string {
	return "[" + strings.TrimSuffix(strings.Repeat(value+",", n), ",") + "]"
}

// TestALargeRequestCostsLittle: what a request costs has a bound, however its bytes are
// spent.
func TestALargeRequestCostsLittle(t *testing.T) {
	const size = 3 << 20 // the most that an API server takes
	for name, spec := range map[string]string{
		"of empty containers":     `{"containers":` + list("{}", size/3) + `}`,
		"of empty volumes":        `{"containers":[],"volumes":` + list("{}", size/3) + `}`,
		"of empty lists":          `{"containers":[],"new":` + list("[]", size/3) + `}`,
		"of small mappings":       `{"containers":[],"new":` + list(`{"":0}`, size/7) + `}`,
		"of numbers":              `{"containers":[],"new":` + list("0", size/2) + `}`,
		"of variables":            `{"containers":[{"env":` + list("{}", size/3) + `}]}`,
		"just below the values":   `{"containers":[{"image":"x","env":` + list("{}", workload.MaxValues/2-100) + `}]}`,
		"of containers at limits": `{"containers":` + list(`{"image":"x","env":`+list("{}", 45)+`}`, workload.MaxParts) + `}`,
		"of nested lists":         `{"containers":[],"new":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `}`,
	} {
		t.Run(name, func(t *testing.T) {
			for _, operation := range []admissionv1.Operation{admissionv1.Create, admissionv1.Update} {
				request := podOf(spec)
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

func TestMoreContainersThanAPodCanHave(t *testing.T) {
	h := newTestHandler(webhooktest.AllowAll)
	for name, test := range map[string]struct {
		spec string
		says string
	}{
		"containers":           {`{"containers":` + list(`{"image":"x"}`, workload.MaxParts+1) + `}`, "spec has 1001 containers and volumes, more than 1000"},
		"init containers":      {`{"initContainers":` + list(`{"image":"x"}`, workload.MaxParts+1) + `}`, "more than 1000"},
		"ephemeral containers": {`{"ephemeralContainers":` + list(`{"image":"x"}`, workload.MaxParts+1) + `}`, "more than 1000"},
		"volumes":              {`{"volumes":` + list(`{"image":{"reference":"x"}}`, workload.MaxParts+1) + `}`, "more than 1000"},
		"all of them":          {`{"containers":` + list("{}", workload.MaxParts/2) + `,"volumes":` + list("{}", workload.MaxParts/2+1) + `}`, "more than 1000"},
		"values":               {`{"containers":[{"args":` + list(`"a"`, workload.MaxValues) + `}]}`, "more than 100000 values"},
		"as many as may be":    {`{"containers":` + list(`{"image":"x"}`, workload.MaxParts) + `}`, ""},
		"commas in a text":     {`{"containers":[{"image":"x","args":["` + strings.Repeat(`,{[\"`, workload.MaxValues) + `"]}]}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			response := webhooktest.Send(t, h.mux(), "/validate", podOf(test.spec))
			if test.says == "" {
				if !response.Allowed {
					t.Errorf("denied: %s", response.Result.Message)
				}
				return
			}
			if codes := webhooktest.Codes(response); response.Allowed || len(codes) != 1 || codes[0] != gate.Undecodable || !strings.Contains(response.Result.Message, test.says) {
				t.Errorf("allowed is %t, codes are %v, want Undecodable that says %q: %v", response.Allowed, codes, test.says, response.Result)
			}
		})
	}
}

// TestRequestsInFlightAreBounded: while others hold all the room, a request waits no
// longer than it may, and then fails; with room again it is ruled on.
func TestRequestsInFlightAreBounded(t *testing.T) {
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
		t.Errorf("beside the largest a usual one gets %d", status)
	}
	if status := post(bytes.NewReader(body), -1); status != http.StatusServiceUnavailable {
		t.Errorf("beside the largest one of unknown length gets %d, want 503", status)
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
	for range 3 { // none is leaked
		for _, broken := range []string{"{", string(body)} {
			if status := post(strings.NewReader(broken), -1); status != http.StatusOK && status != http.StatusBadRequest {
				t.Errorf("with room again a request gets %d", status)
			}
		}
	}
}

// TestRoomIsHeldUntilTheRulingEnds: a ruling that goes on behind its answer still has
// its memory.
func TestRoomIsHeldUntilTheRulingEnds(t *testing.T) {
	hang := make(chan struct{})
	h := newTestHandler(webhooktest.AllowAll)
	h.reviewer.now = func() time.Time { <-hang; return time.Now() } // in the ruling itself, which can't be cancelled
	response := webhooktest.Send(t, h.mux(), "/validate?timeout=200ms", webhooktest.PodRequest("x"))
	if response.Allowed || !strings.Contains(response.Result.Message, "timed out before") {
		t.Errorf("allowed is %t: %v", response.Allowed, response.Result)
	}
	if h.inFlight.bytes.TryAcquire(maxInFlight) {
		t.Error("the room was given back before the ruling ended")
	}
	close(hang)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := h.inFlight.bytes.Acquire(ctx, maxInFlight); err != nil {
		t.Errorf("the room wasn't given back: %v", err)
	}
}
