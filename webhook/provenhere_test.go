package webhook

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/webhook/webhooktest"
)

// clusterUID returns the UID by which an observer names the API server's cluster.
func (e *environment) clusterUID(t *testing.T) string {
	t.Helper()
	var system corev1.Namespace
	if err := e.Client.Get(t.Context(), client.ObjectKey{Name: "kube-system"}, &system); err != nil {
		t.Fatal(err)
	}
	return string(system.UID)
}

// attestRunningHere attests that the image was healthy in a namespace of this cluster for 25h.
func (e *environment) attestRunningHere(t *testing.T, reference, namespace string, change ...func(*gate.Soak)) {
	t.Helper()
	soak := webhooktest.NewSoak(reference, 25*time.Hour, time.Hour)
	soak.Environment, soak.Cluster, soak.Namespace = "prod", e.clusterUID(t), namespace
	for _, c := range change {
		c(&soak)
	}
	e.Attest(t, reference, "observer", gate.PredicateSoak, soak)
}

// pushOutdated pushes a signed image whose soak in staging was recent enough when it was
// deployed, 26 hours ago, and is too old for another deploy.
func (e *environment) pushOutdated(t *testing.T) string {
	t.Helper()
	image := e.Push(t, "shop/web")
	e.Sign(t, image, "ci")
	e.AttestSoak(t, image, "observer", 90*time.Hour)
	return image
}

// generatedPod returns a pod whose name the API server generates.
func generatedPod(namespace, image string) *corev1.Pod {
	pod := webhooktest.NewPod(namespace, "", image)
	pod.GenerateName = "web-"
	return pod
}

func TestProvenHere(t *testing.T) {
	env := startedEnv(t)
	namespace := env.NewNamespace(t)
	env.createGate(t, env.ProvenHereGate(namespace))
	at := func(ago time.Duration) func(*gate.Soak) {
		return func(s *gate.Soak) {
			s.Window.StartedAt, s.Window.FinishedAt = time.Now().Add(-ago-25*time.Hour), new(time.Now().Add(-ago))
		}
	}
	for name, test := range map[string]struct {
		change func(*gate.Soak)
		want   []gate.Code
	}{
		"proven when deployed": {func(*gate.Soak) {}, nil},
		"other cluster":        {func(s *gate.Soak) { s.Cluster = "11111111-2222-3333-4444-555555555555" }, []gate.Code{gate.NotProvenHere, gate.SoakTooOld}},
		"unknown cluster":      {func(s *gate.Soak) { s.Cluster = "" }, []gate.Code{gate.NotProvenHere, gate.SoakTooOld}},
		"other namespace":      {func(s *gate.Soak) { s.Namespace = "trial" }, []gate.Code{gate.NotProvenHere, gate.SoakTooOld}},
		"soak here too old":    {at(49 * time.Hour), []gate.Code{gate.NotProvenHere, gate.SoakTooOld}},
		"deployed after maxAge": {func(s *gate.Soak) {
			const seconds = 16 * 3600
			s.Window.StartedAt = s.Window.FinishedAt.Add(-seconds * time.Second)
			s.Window.HealthySeconds, s.Window.LongestHealthySeconds, s.Image.Platforms[0].HealthySeconds = seconds, seconds, seconds
		}, []gate.Code{gate.NotProvenHere, gate.SoakTooOld}},
	} {
		t.Run(name, func(t *testing.T) {
			image := env.pushOutdated(t)
			webhooktest.WantCodes(t, env.Client.Create(t.Context(), generatedPod(namespace, image)), gate.SoakTooOld)
			env.attestRunningHere(t, image, namespace, test.change)
			webhooktest.WantCodes(t, env.Client.Create(t.Context(), generatedPod(namespace, image)), test.want...)

			if got := env.restart(t).codesFor(t, namespace, image); !slices.Equal(got, test.want) {
				t.Errorf("after a restart the codes are %v, want %v", got, test.want)
			}
		})
	}
}

// TestRunningProvesNothing checks that an image which ran under an Exception, or while its Gate
// only warned, is denied once that is over, however long it was healthy.
func TestRunningProvesNothing(t *testing.T) {
	env := startedEnv(t)
	unproven := func(t *testing.T) string {
		t.Helper()
		image := env.Push(t, "shop/web")
		env.Sign(t, image, "ci")
		return image
	}
	t.Run("under an Exception", func(t *testing.T) {
		namespace := env.NewNamespace(t)
		env.createGate(t, env.ProvenHereGate(namespace))
		image := unproven(t)
		exception := env.createException(t, image, namespace, time.Now().Add(time.Hour), "ana", "bo")
		webhooktest.WantCodes(t, env.Client.Create(t.Context(), generatedPod(namespace, image)))
		env.attestRunningHere(t, image, namespace)
		if err := env.Client.Delete(t.Context(), exception); err != nil {
			t.Fatal(err)
		}
		if err := webhooktest.WaitUntil(func() bool { return !env.hasException(exception.Name) }); err != nil {
			t.Fatal(err)
		}
		webhooktest.WantCodes(t, env.Client.Create(t.Context(), generatedPod(namespace, image)), gate.NotProvenHere, gate.OtherEnvironment)
	})
	for _, action := range []v1alpha1.Action{v1alpha1.ActionWarn, v1alpha1.ActionAudit} {
		t.Run("under "+string(action), func(t *testing.T) {
			namespace := env.NewNamespace(t)
			g := env.ProvenHereGate(namespace)
			g.Spec.Action = action
			env.createGate(t, g)
			image := unproven(t)
			webhooktest.WantCodes(t, env.Client.Create(t.Context(), generatedPod(namespace, image)))
			env.attestRunningHere(t, image, namespace)
			denying := g.DeepCopy()
			denying.Spec.Action = v1alpha1.ActionDeny
			if err := env.Client.Patch(t.Context(), denying, client.MergeFrom(g)); err != nil {
				t.Fatal(err)
			}
			if err := webhooktest.WaitUntil(func() bool {
				known := env.program.policies.GatesFor(namespace)
				return len(known) == 1 && known[0].Spec.Action == v1alpha1.ActionDeny
			}); err != nil {
				t.Fatal(err)
			}
			webhooktest.WantCodes(t, env.Client.Create(t.Context(), generatedPod(namespace, image)), gate.NotProvenHere, gate.OtherEnvironment)
		})
	}
}
