package webhook

import (
	"errors"
	"fmt"
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
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/workload"
	"github.com/envladder/envladder/webhook/gatestatus"
	"github.com/envladder/envladder/webhook/webhooktest"
)

// withReport configures a webhook to report what runs, with the Lease of the manifests.
func withReport(c *Config) {
	c.Report = &gatestatus.ReportOptions{
		Interval: time.Hour, SettleTime: time.Millisecond,
		Lease: types.NamespacedName{Namespace: "envladder", Name: "envladder-webhook-report"},
	}
}

// waitForRunning waits for a Gate's condition RunningAllowed.
func (e *environment) waitForRunning(t *testing.T, name string, wanted func(*metav1.Condition) bool) *v1alpha1.Gate {
	t.Helper()
	g := &v1alpha1.Gate{}
	if err := webhooktest.WaitUntil(func() bool {
		if err := e.Client.Get(t.Context(), client.ObjectKey{Name: name}, g); err != nil {
			t.Fatal(err)
		}
		condition := meta.FindStatusCondition(g.Status.Conditions, v1alpha1.ConditionRunningAllowed)
		return condition != nil && wanted(condition)
	}); err != nil {
		t.Fatalf("waiting for the condition: %v; the status is %+v\n%s", err, g.Status, e.logs)
	}
	return g
}

// hasReason returns a check for a condition's reason.
func hasReason(reason string) func(*metav1.Condition) bool {
	return func(c *metav1.Condition) bool { return c.Reason == reason }
}

// setEnvironment changes a Gate's spec in a way that changes no verdict, so that it is audited
// again.
func (e *environment) setEnvironment(t *testing.T, g *v1alpha1.Gate, environment string) {
	t.Helper()
	patch := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"environment":"`+environment+`"}}`))
	if err := e.Client.Patch(t.Context(), g.DeepCopy(), patch); err != nil {
		t.Fatal(err)
	}
}

// TestReport checks that a Gate's status lists images that ran before the Gate, or were recalled
// since.
func TestReport(t *testing.T) {
	env := startedEnv(t)
	namespace := env.NewNamespace(t)
	proven, unsigned, recalled := env.PushProven(t), env.Push(t, "shop/api"), env.PushProven(t)
	before := env.Impersonate(t, webhooktest.Bypass, nil)
	for name, image := range map[string]string{"web": proven, "api": unsigned, "job": recalled} {
		deployment := webhooktest.NewDeployment(namespace, image)
		deployment.Name = name
		if err := before.Create(t.Context(), deployment); err != nil {
			t.Fatal(err)
		}
	}
	g := env.ProdGate(namespace)
	g.Spec.Action = v1alpha1.ActionAudit
	env.createGate(t, g)
	idle := env.ProdGate(env.NewNamespace(t))
	idle.Name = "zz-" + idle.Name // audited after the other
	env.createGate(t, idle)
	env.restart(t, withReport)

	found := env.waitForRunning(t, g.Name, hasReason("Denied"))
	want := &v1alpha1.RunningStatus{Images: 3, Denied: 1, List: []v1alpha1.RunningImage{
		{Namespace: namespace, Image: unsigned, Objects: []string{"Deployment/api"}, Codes: []string{"NoSignature", "NoSoak"}},
	}}
	if diff := cmp.Diff(want, found.Status.Running); diff != "" {
		t.Errorf("what runs (-want +got):\n%s", diff)
	}
	if accepted := meta.FindStatusCondition(found.Status.Conditions, v1alpha1.ConditionAccepted); accepted == nil || accepted.Status != metav1.ConditionTrue {
		t.Errorf("the report removed the condition Accepted: %v", found.Status.Conditions)
	}
	if c := meta.FindStatusCondition(env.waitForRunning(t, idle.Name, hasReason("Allowed")).Status.Conditions, v1alpha1.ConditionRunningAllowed); c.Status != metav1.ConditionTrue {
		t.Errorf("without pods the condition is %v", c)
	}

	env.createRecall(t, workload.DigestOf(recalled))
	found = env.waitForRunning(t, g.Name, hasReason("Recalled"))
	condition := meta.FindStatusCondition(found.Status.Conditions, v1alpha1.ConditionRunningAllowed)
	if condition.Status != metav1.ConditionFalse || !strings.Contains(condition.Message, namespace+": "+recalled+": Recalled; "+namespace+": "+unsigned+": NoSignature, NoSoak") {
		t.Errorf("the condition is %v: the recalled image isn't first", condition)
	}
	if running := found.Status.Running; running.Denied != 2 || running.Recalled != 1 || running.List[0].Image != recalled {
		t.Errorf("what runs: %+v", running)
	}

	t.Run("unchanged status is not written", func(t *testing.T) {
		env.setEnvironment(t, idle, "preprod")
		env.waitForRunning(t, idle.Name, func(c *metav1.Condition) bool { return c.ObservedGeneration == 2 })
		now := &v1alpha1.Gate{}
		if err := env.Client.Get(t.Context(), client.ObjectKeyFromObject(g), now); err != nil {
			t.Fatal(err)
		}
		if now.ResourceVersion != found.ResourceVersion {
			t.Errorf("the status was written again: %+v, was %+v", now.Status, found.Status)
		}
	})
}

// failPodLists is a transport that fails to list pods.
type failPodLists struct{ http.RoundTripper }

func (f failPodLists) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Method == http.MethodGet && strings.HasSuffix(request.URL.Path, "/pods") {
		return nil, errors.New("the connection was reset")
	}
	return f.RoundTripper.RoundTrip(request)
}

// TestReportFailure checks that a failed audit is reported, and that admission goes on.
func TestReportFailure(t *testing.T) {
	env := startedEnv(t)
	namespace := env.NewNamespace(t)
	g := env.ProdGate(namespace)
	env.createGate(t, g)
	p := env.restart(t, withReport, func(c *Config) {
		c.Cluster.Wrap(func(inner http.RoundTripper) http.RoundTripper { return failPodLists{inner} })
	})
	found := env.waitForRunning(t, g.Name, hasReason("AuditFailed"))
	condition := meta.FindStatusCondition(found.Status.Conditions, v1alpha1.ConditionRunningAllowed)
	if condition.Status != metav1.ConditionUnknown || !strings.Contains(condition.Message, fmt.Sprintf("namespace %q", namespace)) || !strings.Contains(condition.Message, "the connection was reset") || found.Status.Running != nil {
		t.Errorf("the status is %+v", found.Status)
	}
	if codes := p.codesFor(t, namespace, env.PushProven(t)); len(codes) > 0 {
		t.Errorf("a proven image is denied: %v", codes)
	}
}

// TestReportLeader checks that one replica reports at a time, and that another takes over.
func TestReportLeader(t *testing.T) {
	env := startedEnv(t)
	g := env.ProdGate(env.NewNamespace(t))
	env.createGate(t, g)
	_, end := env.startAnother(t, withReport)
	env.waitForRunning(t, g.Name, hasReason("Allowed"))
	second := env.restart(t, withReport)
	if second.reporter.Leads() {
		t.Error("two replicas report at once")
	}
	end()
	env.setEnvironment(t, g, "preprod")
	env.waitForRunning(t, g.Name, func(c *metav1.Condition) bool { return c.ObservedGeneration == 2 })
}

// TestUnavailableSigners checks that the status reports unavailable signers, and that only
// requirements that they alone satisfy are denied.
func TestUnavailableSigners(t *testing.T) {
	env := startedEnv(t)
	for name, test := range map[string]struct {
		change func(*v1alpha1.GateSpec)
		want   metav1.ConditionStatus
		says   []string
	}{
		"all available": {func(*v1alpha1.GateSpec) {}, metav1.ConditionTrue, []string{"all signers"}},
		"no trusted root": {func(spec *v1alpha1.GateSpec) {
			spec.Signers = append(spec.Signers, v1alpha1.Signer{Name: "e2e", Keyless: &v1alpha1.KeylessSigner{Issuer: "https://id.example.com", Subject: "e2e", TrustedRoot: "corp"}})
		}, metav1.ConditionFalse, []string{"cannot verify signatures from: e2e;", "corp.json"}},
		"unknown KMS": {func(spec *v1alpha1.GateSpec) {
			spec.Signers = append(spec.Signers, v1alpha1.Signer{Name: "kms", KMS: "nokms://key", Time: v1alpha1.TimeTrustSigner})
		}, metav1.ConditionFalse, []string{"cannot verify signatures from: kms;", "nokms://key"}},
		"no public root": {func(spec *v1alpha1.GateSpec) {
			spec.Signers = append(spec.Signers, v1alpha1.Signer{Name: "e2e", Keyless: &v1alpha1.KeylessSigner{Issuer: "https://id.example.com", Subject: "e2e"}})
		}, metav1.ConditionFalse, []string{"--sigstore-public-root"}},
		"unaccepted Gate": {func(spec *v1alpha1.GateSpec) {
			spec.Signers[0].Key.Data = "-----BEGIN PUBLIC KEY-----\nbm8ga2V5\n-----END PUBLIC KEY-----\n"
		}, metav1.ConditionUnknown, []string{"isn't accepted"}},
	} {
		t.Run(name, func(t *testing.T) {
			namespace := env.NewNamespace(t)
			g := env.ProdGate(namespace)
			test.change(&g.Spec)
			env.createGate(t, g)
			var condition *metav1.Condition
			if err := webhooktest.WaitUntil(func() bool {
				if err := env.Client.Get(t.Context(), client.ObjectKeyFromObject(g), g); err != nil {
					t.Fatal(err)
				}
				condition = meta.FindStatusCondition(g.Status.Conditions, v1alpha1.ConditionSignersReady)
				return condition != nil
			}); err != nil {
				t.Fatalf("the condition is missing: %v", err)
			}
			if condition.Status != test.want {
				t.Errorf("the condition is %v", condition)
			}
			for _, text := range test.says {
				if !strings.Contains(condition.Message, text) {
					t.Errorf("the message is %q, without %q", condition.Message, text)
				}
			}
			if test.want != metav1.ConditionUnknown {
				webhooktest.WantCodes(t, env.Client.Create(t.Context(), webhooktest.NewPod(namespace, "web", env.PushProven(t))))
			}
		})
	}
	t.Run("requirement of unavailable signer is denied", func(t *testing.T) {
		namespace := env.NewNamespace(t)
		g := env.ProdGate(namespace)
		g.Spec.Signers = append(g.Spec.Signers, v1alpha1.Signer{Name: "kms", KMS: "nokms://key", Time: v1alpha1.TimeTrustSigner})
		g.Spec.Requires.Signature.By = []string{"kms"}
		env.createGate(t, g)
		webhooktest.WantCodes(t, env.Client.Create(t.Context(), webhooktest.NewPod(namespace, "web", env.PushProven(t))), gate.NoSignature, gate.SignerUnavailable, gate.WrongSigner)
	})
}

func TestGateStatus(t *testing.T) {
	env := startedEnv(t)
	namespace := env.NewNamespace(t)
	g := env.ProdGate(namespace)
	env.createGate(t, g)

	condition := func(generation int64) *metav1.Condition {
		t.Helper()
		if err := webhooktest.WaitUntil(func() bool {
			live := &v1alpha1.Gate{}
			if err := env.Client.Get(t.Context(), client.ObjectKeyFromObject(g), live); err != nil {
				t.Fatal(err)
			}
			*g = *live
			return g.Status.ObservedGeneration == generation
		}); err != nil {
			t.Fatalf("the status of generation %d isn't written: %v\n%s", generation, err, env.logs)
		}
		return meta.FindStatusCondition(g.Status.Conditions, v1alpha1.ConditionAccepted)
	}
	brief := func(c *metav1.Condition) []string {
		return []string{string(c.Status), c.Reason, fmt.Sprint(c.ObservedGeneration), c.Message}
	}

	if diff := cmp.Diff([]string{"True", "Accepted", "1", "images are judged by this Gate"}, brief(condition(1))); diff != "" {
		t.Errorf("condition (-want +got):\n%s", diff)
	}

	// The API server accepts any text as a key.
	key := g.Spec.Signers[0].Key.Data
	g.Spec.Signers[0].Key.Data = "-----BEGIN PUBLIC KEY-----\nbm8ga2V5\n-----END PUBLIC KEY-----\n"
	if err := env.Client.Update(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	invalid := condition(2)
	if invalid.Status != metav1.ConditionFalse || invalid.Reason != "GateInvalid" || invalid.ObservedGeneration != 2 {
		t.Errorf("the condition is %v, want False, GateInvalid, of generation 2", brief(invalid))
	}
	proven := env.PushProven(t)
	if err := webhooktest.WaitUntil(func() bool {
		return env.Client.Create(t.Context(), webhooktest.NewPod(namespace, "denied", proven), client.DryRunAll) != nil
	}); err != nil {
		t.Error("an unaccepted Gate admits")
	}

	g.Spec.Signers[0].Key.Data = key
	if err := env.Client.Update(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	if fixed := condition(3); fixed.Status != metav1.ConditionTrue || !fixed.LastTransitionTime.After(time.Time{}) {
		t.Errorf("the condition is %v, want True again", brief(fixed))
	}
}
