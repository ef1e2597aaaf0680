package admission

import (
	"context"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/verdict"
	"github.com/envladder/envladder/webhook/webhooktest"
)

// FuzzParseReview checks that any body is an error or a request with a uid, and that reviewing
// it returns a response and doesn't panic.
func FuzzParseReview(f *testing.F) {
	f.Add(webhooktest.EncodeReview(webhooktest.PodRequest("r/web@" + webhooktest.Digest('a'))))
	update := webhooktest.PodRequest("r/web:1")
	update.Operation = admissionv1.Update
	update.OldObject = update.Object
	f.Add(webhooktest.EncodeReview(update))
	f.Add([]byte(`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"1","namespace":"shop","operation":"CREATE","kind":{"group":"batch","version":"v1","kind":"CronJob"},"object":{"apiVersion":"batch/v1","kind":"CronJob","spec":{"jobTemplate":{"spec":{"template":{"spec":{"containers":[{"image":"a"}],"volumes":[{"image":{"reference":"b"}}]}}}}}}}}`))
	f.Add([]byte(`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"1","namespace":"shop","object":null}}`))
	f.Add([]byte(`[]`))
	h := newTestHandler(webhooktest.JudgeFunc(func(_ context.Context, q verdict.Query) []verdict.GateVerdict {
		return []verdict.GateVerdict{{Verdict: gate.Deny(gate.Image{}, gate.Ref{}, gate.NewReason(gate.NoSignature, "%s", q.Reference))}}
	}))
	f.Fuzz(func(t *testing.T, body []byte) {
		request, err := parseReview(body)
		if err != nil {
			return
		}
		if request.UID == "" {
			t.Fatal("a request without a uid")
		}
		result := h.reviewer.Review(t.Context(), request) // not h.review, which recovers from panics
		response := result.response()
		if response.Allowed && result.Note == "" && len(result.Images) > 0 {
			t.Fatalf("the judge denies everything, and the pod is admitted: %s", body)
		}
	})
}
