package webhooktest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/verdict"
)

// PodRequest returns the request to create a pod with an image in namespace shop.
func PodRequest(image string) *admissionv1.AdmissionRequest {
	pod := NewPod("shop", "web", image)
	pod.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}
	raw, err := json.Marshal(pod)
	if err != nil {
		panic(err)
	}
	return &admissionv1.AdmissionRequest{
		UID: "u1", Kind: metav1.GroupVersionKind{Version: "v1", Kind: "Pod"}, Namespace: "shop", Name: "web",
		Operation: admissionv1.Create, Object: runtime.RawExtension{Raw: raw},
	}
}

// EncodeReview returns the AdmissionReview of a request.
func EncodeReview(request *admissionv1.AdmissionRequest) []byte {
	body, err := json.Marshal(admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Request:  request,
	})
	if err != nil {
		panic(err)
	}
	return body
}

// Send sends a request to a handler and returns its response.
func Send(t *testing.T, handler http.Handler, path string, request *admissionv1.AdmissionRequest, change ...func(*http.Request)) *admissionv1.AdmissionResponse {
	t.Helper()
	server := httptest.NewServer(handler)
	defer server.Close()
	call, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+path, bytes.NewReader(EncodeReview(request)))
	if err != nil {
		t.Fatal(err)
	}
	call.Header.Set("Content-Type", "application/json")
	for _, edit := range change {
		edit(call)
	}
	answer, err := http.DefaultClient.Do(call)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var review admissionv1.AdmissionReview
	if err := json.NewDecoder(answer.Body).Decode(&review); err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("the answer has status %d, and is no review: %v", answer.StatusCode, err)
	}
	if review.APIVersion != "admission.k8s.io/v1" || review.Kind != "AdmissionReview" || review.Response.UID != request.UID {
		t.Errorf("the answer is a %s %s for %q", review.APIVersion, review.Kind, review.Response.UID)
	}
	return review.Response
}

// Codes returns the codes of a denial; none if the request was admitted.
func Codes(response *admissionv1.AdmissionResponse) []gate.Code {
	var codes []gate.Code
	if response.Result != nil && response.Result.Details != nil {
		for _, cause := range response.Result.Details.Causes {
			codes = append(codes, gate.Code(cause.Type))
		}
	}
	return codes
}

// JudgeFunc is a judge that fails in ways that the real one shouldn't.
type JudgeFunc func(ctx context.Context, query verdict.Query) []verdict.GateVerdict

// Judge calls f.
func (f JudgeFunc) Judge(ctx context.Context, query verdict.Query) []verdict.GateVerdict {
	return f(ctx, query)
}

// AllowAll admits every image.
var AllowAll = JudgeFunc(func(context.Context, verdict.Query) []verdict.GateVerdict {
	return []verdict.GateVerdict{{Verdict: gate.Verdict{Allowed: true}}}
})

// UnreachableAPI is an API server that is down.
type UnreachableAPI struct{ client.Reader }

// Get fails.
func (UnreachableAPI) Get(context.Context, client.ObjectKey, client.Object, ...client.GetOption) error {
	return errors.New("the API server is down")
}
