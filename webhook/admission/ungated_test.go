package admission

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/workload"
	"github.com/envladder/envladder/webhook/policycache"
	"github.com/envladder/envladder/webhook/webhooktest"
)

func TestUngatedNamespaces(t *testing.T) {
	bad, good := "127.0.0.1:1/shop/web@"+webhooktest.Digest('a'), "127.0.0.1:1/shop/web@"+webhooktest.Digest('b')
	elsewhere := func(request *admissionv1.AdmissionRequest) { request.Namespace = "elsewhere" }
	unchanged := func(request *admissionv1.AdmissionRequest) {
		request.Namespace, request.Operation, request.OldObject = "elsewhere", admissionv1.Update, request.Object
	}
	broken := func(request *admissionv1.AdmissionRequest) {
		request.Namespace, request.Object.Raw = "elsewhere", []byte("{}")
	}
	const onlyRecalls = "no Gate names the namespace; only Recalls were checked"
	for name, test := range map[string]struct {
		ungated Ungated
		image   string
		change  func(*admissionv1.AdmissionRequest)
		want    []gate.Code
		note    string
	}{
		"unset":                    {"", good, elsewhere, []gate.Code{gate.NoGate}, ""},
		"Deny":                     {UngatedDeny, good, elsewhere, []gate.Code{gate.NoGate}, ""},
		"newer version":            {"Quarantine", good, elsewhere, []gate.Code{gate.NoGate}, ""},
		"Deny, unchanged":          {UngatedDeny, good, unchanged, nil, "images, pod template and stamps are unchanged"},
		"Deny, unreadable":         {UngatedDeny, good, broken, []gate.Code{gate.Undecodable}, ""},
		"Allow":                    {UngatedAllow, good, elsewhere, nil, onlyRecalls},
		"Allow, a tag":             {UngatedAllow, "127.0.0.1:1/shop/web:1", elsewhere, nil, onlyRecalls},
		"Allow, recalled":          {UngatedAllow, bad, elsewhere, []gate.Code{gate.Recalled}, onlyRecalls},
		"Allow, recalled, running": {UngatedAllow, bad, unchanged, nil, "images, pod template and stamps are unchanged"},
		"Allow, unreadable":        {UngatedAllow, good, broken, []gate.Code{gate.Undecodable}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			h := newTestHandler(webhooktest.AllowAll)
			h.reviewer.ungated = test.ungated
			recallIn(t, h, bad)

			request := webhooktest.PodRequest(test.image)
			test.change(request)
			response := webhooktest.Send(t, h.mux(), "/validate", request)
			if diff := cmp.Diff(test.want, webhooktest.Codes(response)); diff != "" || response.Allowed != (len(test.want) == 0) {
				t.Errorf("allowed is %t, codes (-want +got):\n%s", response.Allowed, diff)
			}
			if note := response.AuditAnnotations["note"]; note != test.note {
				t.Errorf("the audit annotation is %q, want %q", note, test.note)
			}
		})
	}
}

// TestUngatedNamespacesOnTrial checks that in namespaces on trial a missing Gate only warns, and
// that a Recall denies.
func TestUngatedNamespacesOnTrial(t *testing.T) {
	bad, good := "127.0.0.1:1/shop/web@"+webhooktest.Digest('a'), "127.0.0.1:1/shop/web@"+webhooktest.Digest('b')
	for name, test := range map[string]struct {
		image, warning string
		broken         bool
		want           []gate.Code
	}{
		"no Gate":    {good, string(gate.NoGate), false, nil},
		"recalled":   {bad, string(gate.NoGate), false, []gate.Code{gate.Recalled}},
		"unreadable": {good, string(gate.Undecodable), true, nil},
	} {
		t.Run(name, func(t *testing.T) {
			h := newTestHandler(webhooktest.AllowAll)
			recallIn(t, h, bad)
			request := webhooktest.PodRequest(test.image)
			request.Namespace = "elsewhere"
			if test.broken {
				request.Object.Raw = []byte("{}")
			}
			response := webhooktest.Send(t, h.mux(), "/audit", request)
			if diff := cmp.Diff(test.want, webhooktest.Codes(response)); diff != "" || response.Allowed != (len(test.want) == 0) {
				t.Errorf("allowed is %t, codes (-want +got):\n%s", response.Allowed, diff)
			}
			if !strings.Contains(strings.Join(response.Warnings, "\n"), test.warning) {
				t.Errorf("warnings are %q, want %s among them", response.Warnings, test.warning)
			}
			if response := webhooktest.Send(t, h.mux(), "/validate", request); response.Allowed {
				t.Error("it is admitted at /validate too")
			}
		})
	}
}

// recallIn adds a Recall of an image's digest.
func recallIn(t *testing.T, h *handler, image string) {
	t.Helper()
	recall := &v1alpha1.Recall{ObjectMeta: metav1.ObjectMeta{Name: "bad"}, Spec: v1alpha1.RecallSpec{Digests: []string{workload.DigestOf(image)}, Reason: "CVE"}}
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(recall)
	if err != nil {
		t.Fatal(err)
	}
	u := policycache.NewObject(policycache.RecallKind)
	u.Object = object
	u.SetGroupVersionKind(policycache.RecallKind)
	policiesOf(h).SetRecall(u)
}
