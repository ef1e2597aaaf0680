package admission

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/rand"

	"github.com/envladder/envladder/internal/evidence"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/registry"
	"github.com/envladder/envladder/internal/verdict"
	"github.com/envladder/envladder/webhook/policycache"
	"github.com/envladder/envladder/webhook/webhooktest"
)

func TestFailuresDeny(t *testing.T) {
	image := "127.0.0.1:1/shop/web@" + webhooktest.Digest('a')
	hang := make(chan struct{})
	defer close(hang)

	for name, test := range map[string]struct {
		judge   Judge
		prepare func(*handler)
		request func(*admissionv1.AdmissionRequest)
		want    []gate.Code
		message string
	}{
		"policies not read yet": {
			judge:   webhooktest.AllowAll,
			prepare: func(h *handler) { policiesOf(h).ready = false },
			want:    []gate.Code{gate.InternalError}, message: "isn't ready",
		},
		"judge panics": {
			judge: webhooktest.JudgeFunc(func(context.Context, verdict.Query) []verdict.GateVerdict { panic("oops") }),
			want:  []gate.Code{gate.InternalError}, message: "internal error while judging",
		},
		"review panics": {
			judge:   webhooktest.AllowAll,
			prepare: func(h *handler) { h.reviewer.now = nil },
			want:    []gate.Code{gate.InternalError}, message: "internal error while reviewing",
		},
		"judge returns nothing": {
			judge: webhooktest.JudgeFunc(func(context.Context, verdict.Query) []verdict.GateVerdict { return nil }),
			want:  []gate.Code{gate.InternalError}, message: "nothing was decided",
		},
		"judge hangs": {
			judge: webhooktest.JudgeFunc(func(context.Context, verdict.Query) []verdict.GateVerdict { <-hang; return nil }),
			want:  []gate.Code{gate.InternalError}, message: "timed out before",
		},
		"judge times out": {
			judge: webhooktest.JudgeFunc(func(ctx context.Context, _ verdict.Query) []verdict.GateVerdict { <-ctx.Done(); return nil }),
			want:  []gate.Code{gate.InternalError}, message: "timed out before",
		},
		"unreadable Recall": {
			judge: webhooktest.AllowAll,
			prepare: func(h *handler) {
				u := policycache.NewObject(policycache.RecallKind)
				u.SetName("broken")
				_ = unstructured.SetNestedField(u.Object, "not a list", "spec", "digests")
				policiesOf(h).SetRecall(u)
			},
			want: []gate.Code{gate.InternalError}, message: `Recall "broken"`,
		},
		"undecodable Gate": {
			judge: webhooktest.AllowAll,
			prepare: func(h *handler) {
				u := webhooktest.Unstructured(webhooktest.MinimalGate(), "Gate")
				u.SetName("broken")
				_ = unstructured.SetNestedField(u.Object, "not a list", "spec", "images")
				policiesOf(h).SetGate(u)
			},
			want: []gate.Code{gate.GateInvalid}, message: "in prod",
		},
		"Gate with undecodable namespaces": {
			judge: webhooktest.AllowAll,
			prepare: func(h *handler) {
				u := webhooktest.Unstructured(webhooktest.MinimalGate(), "Gate")
				u.SetName("broken")
				_ = unstructured.SetNestedField(u.Object, "elsewhere", "spec", "namespaces")
				policiesOf(h).SetGate(u)
			},
			want: []gate.Code{gate.GateInvalid},
		},
		"undecodable object": {
			judge: webhooktest.AllowAll,
			request: func(r *admissionv1.AdmissionRequest) {
				r.Object.Raw = []byte(`{"apiVersion":"v1","kind":"Pod","spec":"x"}`)
			},
			want: []gate.Code{gate.Undecodable}, message: "the request: denied in prod",
		},
		"unknown kind": {
			judge:   webhooktest.AllowAll,
			request: func(r *admissionv1.AdmissionRequest) { r.Kind.Kind = "Rollout" },
			want:    []gate.Code{gate.Undecodable},
		},
		"UPDATE without live object": {
			judge:   webhooktest.AllowAll,
			request: func(r *admissionv1.AdmissionRequest) { r.Operation = admissionv1.Update },
			want:    []gate.Code{gate.Undecodable}, message: "the live object",
		},
		"unsupported operation": {
			judge:   webhooktest.AllowAll,
			request: func(r *admissionv1.AdmissionRequest) { r.Operation = admissionv1.Connect },
			want:    []gate.Code{gate.Undecodable}, message: "CONNECT",
		},
		"UPDATE of unknown field": {
			judge: webhooktest.AllowAll,
			request: func(r *admissionv1.AdmissionRequest) {
				r.Operation, r.OldObject = admissionv1.Update, r.Object
				r.Object.Raw = bytes.Replace(r.Object.Raw, []byte(`"containers":`), []byte(`"newImage":"evil","containers":`), 1)
			},
			want: []gate.Code{gate.Undecodable}, message: "spec.newImage may name an image",
		},
		"UPDATE with unchanged unknown field": {
			judge: webhooktest.JudgeFunc(func(context.Context, verdict.Query) []verdict.GateVerdict { panic("judged") }),
			request: func(r *admissionv1.AdmissionRequest) {
				r.Operation = admissionv1.Update
				r.OldObject.Raw = bytes.Replace(r.Object.Raw, []byte(`"containers":`), []byte(`"newImage":"x","containers":`), 1)
				r.Object.Raw = bytes.Replace(r.OldObject.Raw, []byte(`"name":"web"`), []byte(`"name":"web","labels":{"a":"b"}`), 1)
			},
		},
		"no failure": {judge: webhooktest.AllowAll},
		"deletion": {
			judge:   webhooktest.JudgeFunc(func(context.Context, verdict.Query) []verdict.GateVerdict { panic("judged") }),
			request: func(r *admissionv1.AdmissionRequest) { r.Operation = admissionv1.Delete; r.Object.Raw = nil },
		},
		"owner look-up fails": {
			judge: webhooktest.JudgeFunc(func(_ context.Context, q verdict.Query) []verdict.GateVerdict {
				return []verdict.GateVerdict{{Verdict: gate.Deny(gate.Image{}, gate.Ref{}, gate.NewReason(gate.SoakTooOld, "rescheduled: %t", q.Rescheduled))}}
			}),
			request: func(r *admissionv1.AdmissionRequest) {
				r.UserInfo.Username = "system:kube-controller-manager"
				pod := webhooktest.NewPod("shop", "web", image)
				pod.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}
				owner := webhooktest.NewReplicaSet("shop", image)
				owner.UID = "u"
				webhooktest.SetOwner(pod, owner, "apps/v1", "ReplicaSet")
				r.Object.Raw, _ = json.Marshal(pod)
			},
			want: []gate.Code{gate.SoakTooOld}, message: "rescheduled: false",
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newTestHandler(test.judge)
			if test.prepare != nil {
				test.prepare(h)
			}
			request := webhooktest.PodRequest(image)
			if test.request != nil {
				test.request(request)
			}
			began := time.Now()
			response := webhooktest.Send(t, h.mux(), "/validate?timeout=1s", request)
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("the answer took %s", took)
			}
			if diff := cmp.Diff(test.want, webhooktest.Codes(response)); diff != "" {
				t.Errorf("codes (-want +got):\n%s", diff)
			}
			if response.Allowed != (len(test.want) == 0) {
				t.Errorf("allowed is %t", response.Allowed)
			}
			if test.message != "" && !strings.Contains(response.Result.Message, test.message) {
				t.Errorf("the message %q doesn't contain %q", response.Result.Message, test.message)
			}
		})
	}
}

// TestUnacceptedGate checks with the real judge that a Gate which isn't accepted denies
// everything in its namespaces.
func TestUnacceptedGate(t *testing.T) {
	image := "127.0.0.1:1/shop/web@" + webhooktest.Digest('a')
	for name, test := range webhooktest.UnacceptedGates() {
		t.Run(name, func(t *testing.T) {
			wantDenied(t, test.Gate, image, test.Code)
		})
	}
	t.Run("accepted Gate", func(t *testing.T) {
		wantDenied(t, webhooktest.Unstructured(webhooktest.MinimalGate(), "Gate"), image, gate.RegistryUnavailable)
	})
}

// wantDenied checks that a Gate denies an image with a code, and an image that it doesn't list.
func wantDenied(t *testing.T, g *unstructured.Unstructured, image string, want gate.Code) {
	t.Helper()
	h := newTestHandler(verdict.New(evidence.NewStore(registry.NewClient(), evidence.NewTrust(evidence.TrustOptions{}))))
	policiesOf(h).SetGate(g)
	response := webhooktest.Send(t, h.mux(), "/validate", webhooktest.PodRequest(image))
	if codes := webhooktest.Codes(response); response.Allowed || !slices.Contains(codes, want) {
		t.Errorf("allowed is %t, codes are %v, want %s", response.Allowed, codes, want)
	}
	other := webhooktest.Send(t, h.mux(), "/validate", webhooktest.PodRequest("docker.io/library/other@"+webhooktest.Digest('b')))
	if other.Allowed {
		t.Error("an image that the Gate doesn't list is admitted")
	}
}

func TestReferenceIsJudgedOnce(t *testing.T) {
	judged := make(chan string, 100)
	counting := webhooktest.JudgeFunc(func(_ context.Context, q verdict.Query) []verdict.GateVerdict {
		judged <- q.Reference
		return []verdict.GateVerdict{{Verdict: gate.Verdict{Allowed: true}}}
	})
	h := newTestHandler(counting)
	pod := webhooktest.NewPod("shop", "web", "a")
	pod.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}
	for range 20 {
		pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: rand.String(5), Image: "a"}, corev1.Container{Name: rand.String(5), Image: "b"})
	}
	request := webhooktest.PodRequest("")
	request.Object.Raw, _ = json.Marshal(pod)
	if response := webhooktest.Send(t, h.mux(), "/validate", request); !response.Allowed {
		t.Errorf("denied: %v", response.Result)
	}
	close(judged)
	got := map[string]int{}
	for reference := range judged {
		got[reference]++
	}
	if diff := cmp.Diff(map[string]int{"a": 1, "b": 1}, got); diff != "" {
		t.Errorf("judged (-want +got):\n%s", diff)
	}
}

// BenchmarkAdmission measures a review from the request's body to the answer's, of an image
// whose evidence is known: all but the connection.
func BenchmarkAdmission(b *testing.B) {
	images := webhooktest.StartRegistry(b)
	h := newTestHandler(verdict.New(evidence.NewStore(registry.NewClient(), evidence.NewTrust(evidence.TrustOptions{}))))
	policiesOf(h).DeleteGate("shop-prod")
	policiesOf(h).SetGate(webhooktest.Unstructured(images.ProdGate("shop"), "Gate"))
	proven := images.PushProven(b)
	for name, containers := range map[string]int{"1 container": 1, "10 containers": 10} {
		request := webhooktest.PodRequest(proven)
		pod := webhooktest.NewPod("shop", "web", proven)
		pod.APIVersion, pod.Kind = "v1", "Pod"
		for len(pod.Spec.Containers) < containers {
			pod.Spec.Containers = append(pod.Spec.Containers, pod.Spec.Containers[0])
		}
		var err error
		if request.Object.Raw, err = json.Marshal(pod); err != nil {
			b.Fatal(err)
		}
		body := webhooktest.EncodeReview(request)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var times []time.Duration
			for b.Loop() {
				began := time.Now()
				ctx, cancel := context.WithTimeout(b.Context(), defaultTimeout)
				answer := httptest.NewRecorder()
				h.finish(ctx, answer, h.start(ctx, body, time.Second, func() {}))
				cancel()
				times = append(times, time.Since(began))
				if !strings.Contains(answer.Body.String(), `"allowed":true`) {
					b.Fatal(answer.Body)
				}
			}
			slices.Sort(times)
			b.ReportMetric(float64(times[len(times)*99/100].Microseconds()), "p99-µs")
		})
	}
}
