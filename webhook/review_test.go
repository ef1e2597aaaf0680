package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
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
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/rand"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/evidence"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/registry"
	"github.com/envladder/envladder/internal/verdict"
	"github.com/envladder/envladder/internal/workload"
)

// faulty is a Judge that fails in ways that the real one shouldn't.
type faulty func(ctx context.Context, query verdict.Query) []verdict.Outcome

func (f faulty) Judge(ctx context.Context, query verdict.Query) []verdict.Outcome {
	return f(ctx, query)
}

// content lets by whatever it is asked.
var content = faulty(func(context.Context, verdict.Query) []verdict.Outcome {
	return []verdict.Outcome{{Verdict: gate.Verdict{Allowed: true}}}
})

// unowned is a cluster without owners.
type unowned struct{ client.Reader }

func (unowned) Get(context.Context, client.ObjectKey, client.Object, ...client.GetOption) error {
	return errors.New("the API server is down")
}

// newReviewer has one Gate, which guards shop, and reads nothing from a cluster.
func newReviewer(judge Judge) *reviewer {
	log := slog.New(slog.DiscardHandler)
	gates := newStore(log)
	gates.synced = []func() bool{func() bool { return true }}
	gates.setGate(unstructuredGate(minimalGate()))
	return &reviewer{log: log, inFlight: newInFlight(), decider: &decider{gates: gates, owners: owners{unowned{}, workload.NewKinds()}, judge: judge, now: time.Now, log: log}}
}

// minimalGate asks for a signature by a key that has no private one here.
func minimalGate() *v1alpha1.Gate {
	signer, err := newSigner()
	if err != nil {
		panic(err)
	}
	g := newGate("shop-prod", "shop")
	g.Spec.Images = []v1alpha1.GateImage{{Repository: "127.0.0.1:1/shop/*"}}
	g.Spec.Signers = []v1alpha1.Signer{{Name: "ci", Key: &v1alpha1.KeySigner{Data: signer.PublicPEM()}}}
	g.Spec.Requires.Signature = &v1alpha1.SignatureRequirement{By: []string{"ci"}}
	return g
}

func unstructuredGate(g *v1alpha1.Gate) *unstructured.Unstructured {
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(g)
	if err != nil {
		panic(err)
	}
	u := &unstructured.Unstructured{Object: object}
	u.SetGroupVersionKind(gateKind)
	return u
}

// podRequest asks for a pod of this image in namespace shop.
func podRequest(image string) *admissionv1.AdmissionRequest {
	pod := newPod("shop", "web", image)
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

func reviewOf(request *admissionv1.AdmissionRequest) []byte {
	body, err := json.Marshal(admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Request:  request,
	})
	if err != nil {
		panic(err)
	}
	return body
}

// ask sends a request to a handler and returns its response.
func (h *reviewer) ask(t *testing.T, path string, request *admissionv1.AdmissionRequest, change ...func(*http.Request)) *admissionv1.AdmissionResponse {
	t.Helper()
	server := httptest.NewServer(handler(h, h.onTrial(), func() bool { return true }))
	defer server.Close()
	call, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+path, bytes.NewReader(reviewOf(request)))
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

// responseCodes are those of a denial's causes.
func responseCodes(response *admissionv1.AdmissionResponse) []gate.Code {
	var codes []gate.Code
	if response.Result != nil && response.Result.Details != nil {
		for _, cause := range response.Result.Details.Causes {
			codes = append(codes, gate.Code(cause.Type))
		}
	}
	return codes
}

func TestWhatIsNoReviewGetsAnHTTPError(t *testing.T) {
	server := httptest.NewServer(handler(newReviewer(content), newReviewer(content).onTrial(), func() bool { return true }))
	defer server.Close()
	good := string(reviewOf(podRequest("127.0.0.1:1/shop/web")))
	padded := func(size int) string { return good + strings.Repeat(" ", size-len(good)) }

	for name, test := range map[string]struct {
		method, path, media, body string
		want                      int
	}{
		"a review":               {"POST", "/validate", "application/json", good, 200},
		"with a charset":         {"POST", "/validate", "application/json; charset=utf-8", good, 200},
		"as large as they get":   {"POST", "/validate", "application/json", padded(maxBody), 200},
		"a byte larger":          {"POST", "/validate", "application/json", padded(maxBody + 1), 413},
		"10 MiB":                 {"POST", "/validate", "application/json", strings.Repeat("{", 10<<20), 413},
		"GET":                    {"GET", "/validate", "application/json", "", 405},
		"PUT":                    {"PUT", "/validate", "application/json", good, 405},
		"another path":           {"POST", "/mutate", "application/json", good, 404},
		"no content type":        {"POST", "/validate", "", good, 415},
		"YAML":                   {"POST", "/validate", "application/yaml", good, 415},
		"protobuf":               {"POST", "/validate", "application/vnd.kubernetes.protobuf", good, 415},
		"nothing":                {"POST", "/validate", "application/json", "", 400},
		"no JSON":                {"POST", "/validate", "application/json", "kind: AdmissionReview", 400},
		"half of it":             {"POST", "/validate", "application/json", good[:len(good)/2], 400},
		"two of them":            {"POST", "/validate", "application/json", good + good, 400},
		"10,001 brackets":        {"POST", "/validate", "application/json", strings.Repeat("[", 10_001), 400},
		"v1beta1":                {"POST", "/validate", "application/json", strings.Replace(good, "admission.k8s.io/v1", "admission.k8s.io/v1beta1", 1), 400},
		"another kind":           {"POST", "/validate", "application/json", strings.Replace(good, `"AdmissionReview"`, `"Pod"`, 1), 400},
		"no request":             {"POST", "/validate", "application/json", `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}`, 400},
		"no uid":                 {"POST", "/validate", "application/json", strings.Replace(good, `"uid":"u1"`, `"uid":""`, 1), 400},
		"a timeout that is none": {"POST", "/validate?timeout=soon", "application/json", good, 400},
		"a timeout that is over": {"POST", "/validate?timeout=-1s", "application/json", good, 400},
		"a timeout of a year":    {"POST", "/validate?timeout=8760h", "application/json", good, 200},
		"health":                 {"GET", "/healthz", "", "", 200},
		"readiness":              {"GET", "/readyz", "", "", 200},
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

func TestSlowBodyIsCutOff(t *testing.T) {
	server := httptest.NewServer(handler(newReviewer(content), newReviewer(content).onTrial(), func() bool { return true }))
	defer server.Close()
	connection, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	fmt.Fprint(connection, "POST /validate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")
	if err := connection.SetReadDeadline(time.Now().Add(bodyTime + 10*time.Second)); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(connection)
	if err != nil {
		t.Fatalf("the connection isn't cut off: %v", err)
	}
	if !strings.HasPrefix(string(answer), "HTTP/1.1 400 ") {
		t.Errorf("the answer is %q, want status 400", answer)
	}
}

func TestFailuresDeny(t *testing.T) {
	image := "127.0.0.1:1/shop/web@sha256:" + sixtyFour('a')
	hang := make(chan struct{})
	defer close(hang)

	for name, test := range map[string]struct {
		judge   Judge
		prepare func(*reviewer)
		request func(*admissionv1.AdmissionRequest)
		want    []gate.Code
		says    string
	}{
		"Gates and Recalls aren't read": {
			judge:   content,
			prepare: func(h *reviewer) { h.decider.gates.synced[0] = func() bool { return false } },
			want:    []gate.Code{gate.InternalError}, says: "isn't ready",
		},
		"nothing watches yet": {
			judge:   content,
			prepare: func(h *reviewer) { h.decider.gates.synced = nil },
			want:    []gate.Code{gate.InternalError}, says: "isn't ready",
		},
		"the judge panics where it is called": {
			judge: faulty(func(context.Context, verdict.Query) []verdict.Outcome { panic("oops") }),
			want:  []gate.Code{gate.InternalError}, says: "failed while it judged",
		},
		"the ruling panics": {
			judge:   content,
			prepare: func(h *reviewer) { h.decider.now = nil },
			want:    []gate.Code{gate.InternalError}, says: "failed while it ruled",
		},
		"the judge says nothing": {
			judge: faulty(func(context.Context, verdict.Query) []verdict.Outcome { return nil }),
			want:  []gate.Code{gate.InternalError}, says: "nothing was decided",
		},
		"the judge hangs and doesn't listen": {
			judge: faulty(func(context.Context, verdict.Query) []verdict.Outcome { <-hang; return nil }),
			want:  []gate.Code{gate.InternalError}, says: "time to answer was over",
		},
		"the judge waits for its time to end": {
			judge: faulty(func(ctx context.Context, _ verdict.Query) []verdict.Outcome { <-ctx.Done(); return nil }),
			want:  []gate.Code{gate.InternalError}, says: "time to answer was over",
		},
		"a Recall that can't be read": {
			judge: content,
			prepare: func(h *reviewer) {
				u := emptyOf(recallKind)
				u.SetName("broken")
				_ = unstructured.SetNestedField(u.Object, "not a list", "spec", "digests")
				h.decider.gates.setRecall(u)
			},
			want: []gate.Code{gate.InternalError}, says: `Recall "broken"`,
		},
		"a Gate that can't be read": {
			judge: content,
			prepare: func(h *reviewer) {
				u := unstructuredGate(minimalGate())
				u.SetName("broken")
				_ = unstructured.SetNestedField(u.Object, "not a list", "spec", "images")
				h.decider.gates.setGate(u)
			},
			want: []gate.Code{gate.GateInvalid}, says: "in prod",
		},
		"a Gate whose namespaces can't be read": {
			judge: content,
			prepare: func(h *reviewer) {
				u := unstructuredGate(minimalGate())
				u.SetName("broken")
				_ = unstructured.SetNestedField(u.Object, "elsewhere", "spec", "namespaces")
				h.decider.gates.setGate(u)
			},
			want: []gate.Code{gate.GateInvalid},
		},
		"an object that can't be decoded": {
			judge: content,
			request: func(r *admissionv1.AdmissionRequest) {
				r.Object.Raw = []byte(`{"apiVersion":"v1","kind":"Pod","spec":"x"}`)
			},
			want: []gate.Code{gate.Undecodable}, says: "the request: refused in prod",
		},
		"a kind that nobody knows": {
			judge:   content,
			request: func(r *admissionv1.AdmissionRequest) { r.Kind.Kind = "Rollout" },
			want:    []gate.Code{gate.Undecodable},
		},
		"an UPDATE whose live object is missing": {
			judge:   content,
			request: func(r *admissionv1.AdmissionRequest) { r.Operation = admissionv1.Update },
			want:    []gate.Code{gate.Undecodable}, says: "the live object",
		},
		"an operation that nobody judges": {
			judge:   content,
			request: func(r *admissionv1.AdmissionRequest) { r.Operation = admissionv1.Connect },
			want:    []gate.Code{gate.Undecodable}, says: "CONNECT",
		},
		"an UPDATE of a field that this version doesn't know": {
			judge: content,
			request: func(r *admissionv1.AdmissionRequest) {
				r.Operation, r.OldObject = admissionv1.Update, r.Object
				r.Object.Raw = bytes.Replace(r.Object.Raw, []byte(`"containers":`), []byte(`"newImage":"evil","containers":`), 1)
			},
			want: []gate.Code{gate.Undecodable}, says: "spec.newImage may name an image",
		},
		"an UPDATE that leaves such a field alone": {
			judge: faulty(func(context.Context, verdict.Query) []verdict.Outcome { panic("asked") }),
			request: func(r *admissionv1.AdmissionRequest) {
				r.Operation = admissionv1.Update
				r.OldObject.Raw = bytes.Replace(r.Object.Raw, []byte(`"containers":`), []byte(`"newImage":"x","containers":`), 1)
				r.Object.Raw = bytes.Replace(r.OldObject.Raw, []byte(`"name":"web"`), []byte(`"name":"web","labels":{"a":"b"}`), 1)
			},
		},
		"nothing fails": {judge: content},
		"a deletion": {
			judge:   faulty(func(context.Context, verdict.Query) []verdict.Outcome { panic("asked") }),
			request: func(r *admissionv1.AdmissionRequest) { r.Operation = admissionv1.Delete; r.Object.Raw = nil },
		},
		"an owner that can't be looked up": {
			judge: faulty(func(_ context.Context, q verdict.Query) []verdict.Outcome {
				return []verdict.Outcome{{Verdict: gate.Deny(gate.Image{}, gate.Ref{}, gate.NewReason(gate.SoakTooOld, "rescheduled: %t", q.Rescheduled))}}
			}),
			request: func(r *admissionv1.AdmissionRequest) {
				r.UserInfo.Username = "system:kube-controller-manager"
				pod := newPod("shop", "web", image)
				pod.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}
				owner := newReplicaSet("shop", image)
				owner.UID = "u"
				ownedBy(pod, owner, "apps/v1", "ReplicaSet")
				r.Object.Raw, _ = json.Marshal(pod)
			},
			want: []gate.Code{gate.SoakTooOld}, says: "rescheduled: false",
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newReviewer(test.judge)
			if test.prepare != nil {
				test.prepare(h)
			}
			request := podRequest(image)
			if test.request != nil {
				test.request(request)
			}
			began := time.Now()
			response := h.ask(t, "/validate?timeout=1s", request)
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("the answer took %s", took)
			}
			if diff := cmp.Diff(test.want, responseCodes(response)); diff != "" {
				t.Errorf("codes (-want +got):\n%s", diff)
			}
			if response.Allowed != (len(test.want) == 0) {
				t.Errorf("allowed is %t", response.Allowed)
			}
			if test.says != "" && !strings.Contains(response.Result.Message, test.says) {
				t.Errorf("the message %q doesn't say %q", response.Result.Message, test.says)
			}
		})
	}
}

// TestGateThatIsNotAcceptable asks the real judge.
func TestGateThatIsNotAcceptable(t *testing.T) {
	image := "127.0.0.1:1/shop/web@sha256:" + sixtyFour('a')
	for name, test := range map[string]struct {
		change func(*unstructured.Unstructured)
		want   gate.Code
		status metav1.ConditionStatus
	}{
		"a field of a newer version": {
			func(u *unstructured.Unstructured) {
				_ = unstructured.SetNestedField(u.Object, int64(2), "spec", "requires", "quorum")
			},
			gate.Unsupported, metav1.ConditionFalse,
		},
		"an action of a newer version": {
			func(u *unstructured.Unstructured) {
				_ = unstructured.SetNestedField(u.Object, "Quarantine", "spec", "action")
			},
			gate.Unsupported, metav1.ConditionFalse,
		},
		"a key that is none": {
			func(u *unstructured.Unstructured) {
				_ = unstructured.SetNestedSlice(u.Object, []any{map[string]any{"name": "ci", "key": map[string]any{"data": "-----BEGIN PUBLIC KEY-----"}}}, "spec", "signers")
			},
			gate.GateInvalid, metav1.ConditionFalse,
		},
		"a signer that it doesn't have": {
			func(u *unstructured.Unstructured) {
				_ = unstructured.SetNestedStringSlice(u.Object, []string{"nobody"}, "spec", "requires", "signature", "by")
			},
			gate.GateInvalid, metav1.ConditionFalse,
		},
		"images of the wrong type": {
			func(u *unstructured.Unstructured) { _ = unstructured.SetNestedField(u.Object, "x", "spec", "images") },
			gate.GateInvalid, metav1.ConditionFalse,
		},
		"nothing wrong with it": {func(*unstructured.Unstructured) {}, gate.RegistryUnavailable, metav1.ConditionTrue},
	} {
		t.Run(name, func(t *testing.T) {
			h := newReviewer(verdict.New(evidence.NewStore(registry.NewClient(), evidence.NewTrust(evidence.TrustOptions{}))))
			u := unstructuredGate(minimalGate())
			test.change(u)
			h.decider.gates.setGate(u)

			response := h.ask(t, "/validate", podRequest(image))
			codes := responseCodes(response)
			if response.Allowed || !slices.Contains(codes, test.want) {
				t.Errorf("allowed is %t, codes are %v, want %s", response.Allowed, codes, test.want)
			}
			others := h.ask(t, "/validate", podRequest("docker.io/library/other@sha256:"+sixtyFour('b')))
			if others.Allowed {
				t.Error("an image that the Gate doesn't list is admitted")
			}
			condition := accepted(readGate(u))
			if condition.Status != test.status || condition.Status == metav1.ConditionFalse && condition.Reason != string(test.want) {
				t.Errorf("the condition is %+v, want status %s", condition, test.status)
			}
		})
	}
}

func TestEveryReferenceIsJudgedOnce(t *testing.T) {
	asked := make(chan string, 100)
	counting := faulty(func(_ context.Context, q verdict.Query) []verdict.Outcome {
		asked <- q.Reference
		return []verdict.Outcome{{Verdict: gate.Verdict{Allowed: true}}}
	})
	h := newReviewer(counting)
	pod := newPod("shop", "web", "a")
	pod.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}
	for range 20 {
		pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: rand.String(5), Image: "a"}, corev1.Container{Name: rand.String(5), Image: "b"})
	}
	request := podRequest("")
	request.Object.Raw, _ = json.Marshal(pod)
	if response := h.ask(t, "/validate", request); !response.Allowed {
		t.Errorf("denied: %v", response.Result)
	}
	close(asked)
	got := map[string]int{}
	for reference := range asked {
		got[reference]++
	}
	if diff := cmp.Diff(map[string]int{"a": 1, "b": 1}, got); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}

// FuzzParseReview: whatever arrives, it is an error or a request with a uid, and
// ruling on it ends in a response, never in a panic.
func FuzzParseReview(f *testing.F) {
	f.Add(reviewOf(podRequest("r/web@sha256:" + sixtyFour('a'))))
	update := podRequest("r/web:1")
	update.Operation = admissionv1.Update
	update.OldObject = update.Object
	f.Add(reviewOf(update))
	f.Add([]byte(`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"1","namespace":"shop","operation":"CREATE","kind":{"group":"batch","version":"v1","kind":"CronJob"},"object":{"apiVersion":"batch/v1","kind":"CronJob","spec":{"jobTemplate":{"spec":{"template":{"spec":{"containers":[{"image":"a"}],"volumes":[{"image":{"reference":"b"}}]}}}}}}}}`))
	f.Add([]byte(`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"1","namespace":"shop","object":null}}`))
	f.Add([]byte(`[]`))
	h := newReviewer(faulty(func(_ context.Context, q verdict.Query) []verdict.Outcome {
		return []verdict.Outcome{{Verdict: gate.Deny(gate.Image{}, gate.Ref{}, gate.NewReason(gate.NoSignature, "%s", q.Reference))}}
	}))
	f.Fuzz(func(t *testing.T, body []byte) {
		request, err := parseReview(body)
		if err != nil {
			return
		}
		if request.UID == "" {
			t.Fatal("a request without a uid")
		}
		ruling := h.decider.rule(t.Context(), request) // not review: that recovers from panics
		response := ruling.response()
		if response.Allowed && ruling.note == "" && len(ruling.findings) > 0 {
			t.Fatalf("a judge that denies everything was asked, and the pod is admitted: %s", body)
		}
	})
}
