package webhook

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/audit"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/workload"
)

// reporting has a webhook report what runs, as the manifests say.
func reporting(c *Config) {
	c.Report = &Report{Interval: time.Hour, Lease: types.NamespacedName{Namespace: "envladder", Name: "envladder-webhook-report"}, settle: time.Millisecond}
}

// running waits until a Gate's condition says what is asked for.
func (b *bed) running(t *testing.T, name string, wanted func(*metav1.Condition) bool) *v1alpha1.Gate {
	t.Helper()
	g := &v1alpha1.Gate{}
	if err := until(func() bool {
		if err := b.client.Get(t.Context(), client.ObjectKey{Name: name}, g); err != nil {
			t.Fatal(err)
		}
		condition := meta.FindStatusCondition(g.Status.Conditions, v1alpha1.ConditionRunningAllowed)
		return condition != nil && wanted(condition)
	}); err != nil {
		t.Fatalf("waiting for the condition: %v; the status is %+v\n%s", err, g.Status, b.logs)
	}
	return g
}

func because(reason string) func(*metav1.Condition) bool {
	return func(c *metav1.Condition) bool { return c.Reason == reason }
}

// touch changes a Gate's spec and nothing that counts, so that it is audited again.
func (b *bed) touch(t *testing.T, g *v1alpha1.Gate, environment string) {
	t.Helper()
	patch := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"environment":"`+environment+`"}}`))
	if err := b.client.Patch(t.Context(), g.DeepCopy(), patch); err != nil {
		t.Fatal(err)
	}
}

// TestReport: what ran before its Gate came, or was recalled since, is in the status.
func TestReport(t *testing.T) {
	b := up(t)
	namespace := b.namespace(t)
	proven, unsigned, recalled := b.proven(t), b.push(t, "shop/api"), b.proven(t)
	before := b.as(t, unseen, nil)
	for name, image := range map[string]string{"web": proven, "api": unsigned, "job": recalled} {
		deployment := newDeployment(namespace, image)
		deployment.Name = name
		if err := before.Create(t.Context(), deployment); err != nil {
			t.Fatal(err)
		}
	}
	g := b.prodGate(namespace)
	g.Spec.Action = v1alpha1.ActionAudit
	b.gate(t, g)
	idle := b.prodGate(b.namespace(t))
	idle.Name = "zz-" + idle.Name // looked at after the other
	b.gate(t, idle)
	b.restarted(t, reporting)

	found := b.running(t, g.Name, because("Refused"))
	want := &v1alpha1.RunningStatus{Images: 3, Refused: 1, List: []v1alpha1.RunningImage{
		{Namespace: namespace, Image: unsigned, Objects: []string{"Deployment/api"}, Codes: []string{"NoSignature", "NoSoak"}},
	}}
	if diff := cmp.Diff(want, found.Status.Running); diff != "" {
		t.Errorf("what runs (-want +got):\n%s", diff)
	}
	if accepted := meta.FindStatusCondition(found.Status.Conditions, v1alpha1.ConditionAccepted); accepted == nil || accepted.Status != metav1.ConditionTrue {
		t.Errorf("the report took the condition Accepted away: %v", found.Status.Conditions)
	}
	if c := meta.FindStatusCondition(b.running(t, idle.Name, because("Allowed")).Status.Conditions, v1alpha1.ConditionRunningAllowed); c.Status != metav1.ConditionTrue {
		t.Errorf("where nothing runs the condition is %v", c)
	}

	b.recall(t, workload.DigestOf(recalled))
	found = b.running(t, g.Name, because("Recalled"))
	condition := meta.FindStatusCondition(found.Status.Conditions, v1alpha1.ConditionRunningAllowed)
	if condition.Status != metav1.ConditionFalse || !strings.Contains(condition.Message, namespace+": "+recalled+": Recalled; "+namespace+": "+unsigned+": NoSignature, NoSoak") {
		t.Errorf("the condition is %v: the recalled image isn't first", condition)
	}
	if running := found.Status.Running; running.Refused != 2 || running.Recalled != 1 || running.List[0].Image != recalled {
		t.Errorf("what runs: %+v", running)
	}

	t.Run("what hasn't changed isn't written", func(t *testing.T) {
		b.touch(t, idle, "preprod")
		b.running(t, idle.Name, func(c *metav1.Condition) bool { return c.ObservedGeneration == 2 })
		now := &v1alpha1.Gate{}
		if err := b.client.Get(t.Context(), client.ObjectKeyFromObject(g), now); err != nil {
			t.Fatal(err)
		}
		if now.ResourceVersion != found.ResourceVersion {
			t.Errorf("the status was written again: %+v, was %+v", now.Status, found.Status)
		}
	})
}

// unlisted is an API server that doesn't list pods.
type unlisted struct{ http.RoundTripper }

func (u unlisted) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Method == http.MethodGet && strings.HasSuffix(request.URL.Path, "/pods") {
		return nil, errors.New("the connection was reset")
	}
	return u.RoundTripper.RoundTrip(request)
}

// TestAReportThatFails is no ruling's concern.
func TestAReportThatFails(t *testing.T) {
	b := up(t)
	namespace := b.namespace(t)
	g := b.prodGate(namespace)
	b.gate(t, g)
	p := b.restarted(t, reporting, func(c *Config) {
		c.Cluster.Wrap(func(inner http.RoundTripper) http.RoundTripper { return unlisted{inner} })
	})
	found := b.running(t, g.Name, because("AuditFailed"))
	condition := meta.FindStatusCondition(found.Status.Conditions, v1alpha1.ConditionRunningAllowed)
	if condition.Status != metav1.ConditionUnknown || !strings.Contains(condition.Message, "namespace "+namespace) || !strings.Contains(condition.Message, "the connection was reset") || found.Status.Running != nil {
		t.Errorf("the status is %+v", found.Status)
	}
	if codes := p.asked(t, namespace, b.proven(t)); len(codes) > 0 {
		t.Errorf("what is proven is denied: %v", codes)
	}
}

// TestOneReplicaReports, and another takes over.
func TestOneReplicaReports(t *testing.T) {
	b := up(t)
	g := b.prodGate(b.namespace(t))
	b.gate(t, g)
	_, end := b.another(t, reporting)
	b.running(t, g.Name, because("Allowed"))
	second := b.restarted(t, reporting)
	if !second.reporter.leading.TryLock() {
		t.Error("two report at once")
	} else {
		second.reporter.leading.Unlock()
	}
	end()
	b.touch(t, g, "preprod")
	b.running(t, g.Name, func(c *metav1.Condition) bool { return c.ObservedGeneration == 2 })
}

func TestSummary(t *testing.T) {
	refused := func(name, by string, codes ...gate.Code) audit.Image {
		v := gate.Verdict{Gate: gate.Ref{Name: by}}
		for _, code := range codes {
			v.Reasons = append(v.Reasons, gate.NewReason(code, "needs 24h, has 6h12m"))
		}
		return audit.Image{Namespace: "shop", Image: name, Objects: []string{"Pod/1", "Pod/2", "Pod/3", "Pod/4", "Pod/5", "Pod/6"}, Verdicts: []gate.Verdict{v}}
	}
	many := audited{}
	for range 60 {
		many.images = append(many.images, refused("web", "shop-prod", gate.NoSoak))
	}
	many.images = append(many.images, refused("recalled", "", gate.Recalled))
	for name, test := range map[string]struct {
		gate      guard
		found     audited
		condition [2]string
		running   *v1alpha1.RunningStatus
	}{
		"another Gate refuses it": {
			found:     audited{images: []audit.Image{refused("web", "bank-prod", gate.NoSoak)}},
			condition: [2]string{"True", "Allowed"}, running: &v1alpha1.RunningStatus{Images: 1},
		},
		"an object can't be read": {
			found:     audited{unread: []audit.Unread{{Object: "Pod/x"}}},
			condition: [2]string{"False", "Refused"}, running: &v1alpha1.RunningStatus{Unread: 1},
		},
		"the audit fails":        {found: audited{err: errors.New("forbidden")}, condition: [2]string{"Unknown", "AuditFailed"}},
		"the Gate can't be read": {gate: guard{unreadable: errors.New("a field")}, condition: [2]string{"Unknown", "AuditFailed"}},
		"many": {
			found: many, condition: [2]string{"False", "Recalled"},
			running: &v1alpha1.RunningStatus{Images: 61, Refused: 61, Recalled: 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			test.gate.Gate.Gate = newGate("shop-prod", "shop")
			running, condition := summarize(test.gate, map[string]audited{"shop": test.found})
			if got := [2]string{string(condition.Status), condition.Reason}; got != test.condition || condition.Message == "" {
				t.Errorf("condition %v: %q, want %v", got, condition.Message, test.condition)
			}
			if (running == nil) != (test.running == nil) {
				t.Fatalf("running is %+v", running)
			}
			if running == nil {
				return
			}
			if len(running.List) > 50 || len(running.List) > 0 && len(running.List[0].Objects) > 5 {
				t.Errorf("the list has %d images, and %d objects of the first", len(running.List), len(running.List[0].Objects))
			}
			if running.Recalled > 0 && running.List[0].Image != "recalled" {
				t.Errorf("%s is first", running.List[0].Image)
			}
			running.List = nil
			if diff := cmp.Diff(test.running, running); diff != "" {
				t.Errorf("running (-want +got):\n%s", diff)
			}
		})
	}
}
