package webhook

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/evidence"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/workload"
	"github.com/envladder/envladder/webhook/policycache"
	"github.com/envladder/envladder/webhook/webhooktest"
)

func TestInvalidException(t *testing.T) {
	env := startedEnv(t)
	namespace, elsewhere := env.NewNamespace(t), env.NewNamespace(t)
	env.createGate(t, env.GateWithExceptions(namespace))
	strict := env.NewNamespace(t)
	env.createGate(t, env.ProdGate(strict))
	hour := time.Now().Add(time.Hour)
	for name, test := range map[string]struct {
		about, in string // namespaces: that it is for, that it is shown in
		end       time.Time
		by        []string
		want      gate.Code
	}{
		"expired":                                 {namespace, namespace, time.Now().Add(-time.Minute), []string{"ana", "bo"}, gate.ExceptionExpired},
		"for other namespace":                     {elsewhere, namespace, hour, []string{"ana", "bo"}, gate.ExceptionElsewhere},
		"signed by one of two":                    {namespace, namespace, hour, []string{"ana"}, gate.ExceptionUnsigned},
		"signed by one, twice":                    {namespace, namespace, hour, []string{"bo", "bo"}, gate.ExceptionUnsigned},
		"signed by one and unknown signer":        {namespace, namespace, hour, []string{"ana", "stranger"}, gate.ExceptionUnsigned},
		"signed by signers of other requirements": {namespace, namespace, hour, []string{"ci", "observer"}, gate.ExceptionUnsigned},
		"Gate without exceptions":                 {strict, strict, hour, []string{"ana", "bo"}, gate.ExceptionRefused},
	} {
		t.Run(name, func(t *testing.T) {
			image := env.Push(t, "shop/web")
			env.createException(t, image, test.about, test.end, test.by...)
			var warnings []string
			err := env.Impersonate(t, "", &warnings).Create(t.Context(), webhooktest.NewPod(test.in, "web", image))
			webhooktest.WantCodes(t, err, test.want, gate.NoSignature, gate.NoSoak)
			if len(warnings) > 0 {
				t.Errorf("the denial has the warnings %q", warnings)
			}
		})
	}
}

// TestExceptionIsReported checks that an admission by an Exception is visible to the deployer, in
// the audit log and in the webhook's log.
func TestExceptionIsReported(t *testing.T) {
	env := startedEnv(t)
	namespace := env.NewNamespace(t)
	env.createGate(t, env.GateWithExceptions(namespace))
	image, other := env.Push(t, "shop/web"), env.Push(t, "shop/web")
	webhooktest.WantCodes(t, env.Client.Create(t.Context(), webhooktest.NewPod(namespace, "before", image)), gate.NoSignature, gate.NoSoak)
	end := time.Now().Add(time.Hour).Truncate(time.Second)
	exception := env.createException(t, image, namespace, end, "ana", "bo")

	var warnings []string
	deployer := env.Impersonate(t, "", &warnings)
	webhooktest.WantCodes(t, deployer.Create(t.Context(), webhooktest.NewDeployment(namespace, image)))
	by := "Exception " + exception.Name + " until " + end.UTC().Format(time.RFC3339) + ", signed by ana, bo: incident 117"
	short := strings.TrimPrefix(image, env.Host+"/")[:len("shop/web@sha256:")+12] + "…"
	if want := []string{"UNPROVEN: " + short + " by " + by}; !slices.Equal(warnings, want) {
		t.Errorf("the warnings are %q, want %q", warnings, want)
	}
	var line string
	for text := range strings.Lines(env.logs.String()) {
		if strings.Contains(text, "verdict=Exempted") && strings.Contains(text, " namespace="+namespace+" kind=Deployment ") {
			line = text
		}
	}
	for _, want := range []string{"level=WARN", image + " by " + by, `missing="[NoSignature NoSoak]"`} {
		if !strings.Contains(line, want) {
			t.Errorf("the log has %q, without %q", line, want)
		}
	}

	p := env.restart(t)
	request := webhooktest.PodRequest(image)
	request.Namespace = namespace
	annotations := webhooktest.Send(t, p.handler(), "/validate", request).AuditAnnotations
	delete(annotations, "gates")
	want := map[string]string{"verdict": "Exempted", "images": image, "exceptions": image + " by " + by, "missing": "NoSignature NoSoak"}
	if diff := cmp.Diff(want, annotations); diff != "" {
		t.Errorf("audit annotations (-want +got):\n%s", diff)
	}

	webhooktest.WantCodes(t, deployer.Create(t.Context(), webhooktest.NewPod(namespace, "other", other)), gate.NoSignature, gate.NoSoak)
	webhooktest.WantCodes(t, deployer.Create(t.Context(), webhooktest.NewPod(namespace, "web", image)))
	if err := env.Client.Delete(t.Context(), exception); err != nil {
		t.Fatal(err)
	}
	if err := webhooktest.WaitUntil(func() bool { return !env.hasException(exception.Name) }); err != nil {
		t.Fatal(err)
	}
	webhooktest.WantCodes(t, deployer.Create(t.Context(), webhooktest.NewPod(namespace, "after", image)), gate.NoSignature, gate.NoSoak)
}

func TestRecallOverridesException(t *testing.T) {
	env := startedEnv(t)
	namespace := env.NewNamespace(t)
	env.createGate(t, env.GateWithExceptions(namespace))
	image := env.Push(t, "shop/web")
	env.createException(t, image, namespace, time.Now().Add(time.Hour), "ana", "bo")
	webhooktest.WantCodes(t, env.Client.Create(t.Context(), webhooktest.NewPod(namespace, "before", image)))
	env.createRecall(t, workload.DigestOf(image))
	webhooktest.WantCodes(t, env.Client.Create(t.Context(), webhooktest.NewPod(namespace, "after", image)), gate.Recalled)
}

// fakeLegacy replaces policy-controller, which internal/evidence/legacy tests: a policy admits
// the digests that its text contains, until policies can't be evaluated.
type fakeLegacy struct{ failing atomic.Bool }

func (*fakeLegacy) Signed(context.Context, gate.Image, evidence.LegacySigner) ([]evidence.LegacyClaim, error) {
	return nil, nil
}

func (f *fakeLegacy) Admits(_ context.Context, document []byte, image gate.Image) (string, error) {
	if f.failing.Load() {
		return "", errors.New("cannot evaluate policies")
	}
	if text := string(document); !strings.Contains(text, image.Digest) || strings.Contains(text, "managedFields") {
		return "no matching signatures", nil
	}
	return "", nil
}

func (*fakeLegacy) Resolve(_ context.Context, document []byte) ([]byte, error) { return document, nil }

// TestImagePolicy reads a ClusterImagePolicy for the Gate that names it, with the rights of the
// manifests: without the kind, without the policy, and with changes of the policy.
func TestImagePolicy(t *testing.T) {
	env := startedEnv(t)
	namespace := env.NewNamespace(t)
	g := env.BankGate(namespace)
	g.Spec.Requires.Signature = &v1alpha1.SignatureRequirement{ClusterImagePolicy: "corp"}
	env.createGate(t, g)
	image := env.Push(t, "bank/ledger")
	p := env.restart(t)
	want := func(situation string, codes ...gate.Code) {
		t.Helper()
		if got := p.codesFor(t, namespace, image); !slices.Equal(got, codes) {
			t.Errorf("%s: codes are %v, want %v", situation, got, codes)
		}
	}

	want("cluster without the kind", gate.PolicyRefused)
	_, err := envtest.InstallCRDs(env.Admin, envtest.CRDInstallOptions{CRDs: []*apiextensionsv1.CustomResourceDefinition{
		webhooktest.CRD(policycache.ImagePolicyKind, "clusterimagepolicies", apiextensionsv1.ClusterScoped),
	}})
	if err != nil {
		t.Fatal(err)
	}
	want("no policy of the name", gate.PolicyRefused)
	policy := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"digest": webhooktest.Digest('0')}}}
	policy.SetGroupVersionKind(policycache.ImagePolicyKind)
	policy.SetName("corp")
	if err := env.Client.Create(t.Context(), policy); err != nil {
		t.Fatal(err)
	}
	want("policy admits nothing", gate.PolicyRefused)
	changed := policy.DeepCopy()
	changed.Object["spec"] = map[string]any{"digest": strings.Split(image, "@")[1]}
	if err := env.Client.Patch(t.Context(), changed, client.MergeFrom(policy)); err != nil {
		t.Fatal(err)
	}
	want("policy admits the image")
	env.waitForEvidence(t, image, 1)
	env.fakeLegacy.failing.Store(true)
	defer env.fakeLegacy.failing.Store(false)
	p = env.restart(t)
	want("policies fail after a restart, result is stored")
	enforcing := changed.DeepCopy()
	enforcing.Object["spec"] = map[string]any{"digest": strings.Split(image, "@")[1], "mode": "enforce"}
	if err := env.Client.Patch(t.Context(), enforcing, client.MergeFrom(changed)); err != nil {
		t.Fatal(err)
	}
	want("policy changed and fails", gate.PolicyRefused, gate.RegistryUnavailable)
	if err := env.Client.Delete(t.Context(), policy); err != nil {
		t.Fatal(err)
	}
	want("policy deleted", gate.PolicyRefused)
}

// TestUnreadableImagePolicyUnderAudit checks that a Gate with Audit whose policy can't be read
// denies nothing that another Gate admits.
func TestUnreadableImagePolicyUnderAudit(t *testing.T) {
	env := startedEnv(t)
	namespace := env.NewNamespace(t)
	g := env.ProdGate(namespace)
	env.createGate(t, g)
	trial := env.ProdGate(namespace)
	trial.Name = "trial-" + trial.Name
	trial.Spec.Action = v1alpha1.ActionAudit
	trial.Spec.Requires.Signature = &v1alpha1.SignatureRequirement{ClusterImagePolicy: "corp"}
	env.createGate(t, trial)
	p := env.restart(t, func(c *Config) { c.imagePoliciesAPI = webhooktest.UnreachableAPI{} })
	request := webhooktest.PodRequest(env.PushProven(t))
	request.Namespace = namespace
	response := webhooktest.Send(t, p.handler(), "/validate", request)
	if !response.Allowed || !strings.Contains(response.AuditAnnotations["codes"], string(gate.InternalError)) {
		t.Errorf("codes are %v, the annotations %v; want it admitted, and the failure reported", webhooktest.Codes(response), response.AuditAnnotations)
	}
	if got := p.codesFor(t, namespace, env.Push(t, "shop/web")); !slices.Contains(got, gate.NoSignature) {
		t.Errorf("unproven image: codes are %v", got)
	}
}

// TestUnreadableImagePolicy checks that a Gate denies if its policy can't be read.
func TestUnreadableImagePolicy(t *testing.T) {
	env := startedEnv(t)
	namespace := env.NewNamespace(t)
	g := env.ProdGate(namespace)
	g.Spec.Requires.Signature = &v1alpha1.SignatureRequirement{ClusterImagePolicy: "corp"}
	env.createGate(t, g)
	p := env.restart(t, func(c *Config) { c.imagePoliciesAPI = webhooktest.UnreachableAPI{} })
	request := webhooktest.PodRequest(env.PushProven(t))
	request.Namespace = namespace
	response := webhooktest.Send(t, p.handler(), "/validate", request)
	if got := webhooktest.Codes(response); !slices.Equal(got, []gate.Code{gate.InternalError}) || !strings.Contains(response.Result.Message, `reading ClusterImagePolicy "corp"`) {
		t.Errorf("codes are %v: %s", got, response.Result.Message)
	}
}
