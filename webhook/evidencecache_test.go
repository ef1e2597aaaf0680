package webhook

import (
	"context"
	"log/slog"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/workload"
	"github.com/envladder/envladder/webhook/evidencecache"
	"github.com/envladder/envladder/webhook/webhooktest"
)

// TestRestartWithoutRegistry checks that admitted images stay admitted after a restart while the
// registry is down, and that no others are.
func TestRestartWithoutRegistry(t *testing.T) {
	shared := startedEnv(t)
	env, stop := shared.withRegistry()
	namespace := env.NewNamespace(t)
	g := env.ProdGate(namespace)
	env.createGate(t, g)
	admitted, notAdmitted, recalled := env.PushProven(t), env.PushProven(t), env.PushProven(t)
	for _, image := range []string{admitted, recalled} {
		pod := webhooktest.NewPod(namespace, "", image)
		pod.GenerateName = "web-"
		webhooktest.WantCodes(t, env.Client.Create(t.Context(), pod))
	}
	object := env.waitForEvidence(t, admitted, 2)
	env.waitForEvidence(t, recalled, 2)
	if object.Annotations[v1alpha1.AnnotationLastUsed] == "" || object.Annotations[v1alpha1.AnnotationSize] == "" {
		t.Errorf("the EvidenceCache lacks its last use and its size: %v", object.Annotations)
	}

	stop()
	want := func(t *testing.T, image string, codes ...gate.Code) {
		t.Helper()
		if got := env.restart(t).codesFor(t, namespace, image); !slices.Equal(got, codes) {
			t.Errorf("codes are %v, want %v", got, codes)
		}
	}
	t.Run("admitted before", func(t *testing.T) { want(t, admitted) })
	t.Run("proven and not admitted before", func(t *testing.T) { want(t, notAdmitted, gate.RegistryUnavailable) })
	t.Run("recalled since", func(t *testing.T) {
		env.createRecall(t, workload.DigestOf(recalled))
		want(t, recalled, gate.Recalled, gate.RegistryUnavailable)
	})
	t.Run("object copied for other digest", func(t *testing.T) {
		key := evidenceKey(notAdmitted)
		forged := &v1alpha1.EvidenceCache{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}, Spec: object.Spec}
		forged.Spec.Digest = workload.DigestOf(notAdmitted)
		if err := env.Client.Create(t.Context(), forged); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = env.Client.Delete(context.Background(), forged) })
		want(t, notAdmitted, gate.RegistryUnavailable)
	})
	t.Run("signer removed from Gate", func(t *testing.T) {
		other, err := webhooktest.NewSigner()
		if err != nil {
			t.Fatal(err)
		}
		changed := g.DeepCopy()
		changed.Spec.Signers[0].Key.Data = other.PublicPEM()
		if err := env.Client.Patch(t.Context(), changed, client.MergeFrom(g)); err != nil {
			t.Fatal(err)
		}
		want(t, admitted, gate.RegistryUnavailable)
	})
}

func TestDryRunStoresNothing(t *testing.T) {
	env := startedEnv(t)
	namespace := env.NewNamespace(t)
	env.createGate(t, env.ProdGate(namespace))
	dry, wet := env.PushProven(t), env.PushProven(t)
	webhooktest.WantCodes(t, env.Client.Create(t.Context(), webhooktest.NewPod(namespace, "dry", dry), client.DryRunAll))
	webhooktest.WantCodes(t, env.Client.Create(t.Context(), webhooktest.NewPod(namespace, "wet", wet)))
	env.waitForEvidence(t, wet, 2) // images are stored in order, so the first would be there by now
	err := env.Client.Get(t.Context(), evidenceKey(dry), &v1alpha1.EvidenceCache{})
	if !apierrors.IsNotFound(err) {
		t.Errorf("a dry run has stored evidence: %v", err)
	}
}

func TestEvict(t *testing.T) {
	env := startedEnv(t)
	namespace := env.NewNamespace(t)
	cache, err := evidencecache.New(env.Admin, namespace, "", evidencecache.Limits{Objects: 3, Bytes: 1000}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	create := func(name, used, size string) {
		object := &v1alpha1.EvidenceCache{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Annotations: map[string]string{v1alpha1.AnnotationLastUsed: used, v1alpha1.AnnotationSize: size}},
			Spec:       v1alpha1.EvidenceCacheSpec{Repository: "example.com/web", Digest: webhooktest.Digest('a')},
		}
		if err := env.Client.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	remaining := func() []string {
		if err := cache.Evict(t.Context()); err != nil {
			t.Fatal(err)
		}
		var list v1alpha1.EvidenceCacheList
		if err := env.Client.List(t.Context(), &list, client.InNamespace(namespace)); err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, item := range list.Items {
			names = append(names, item.Name)
		}
		return names
	}
	create("b", "2026-11-02T00:00:00Z", "100")
	create("a", "2026-11-01T00:00:00Z", "100")
	create("c", "2026-11-03T00:00:00Z", "100")
	if got := remaining(); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("remaining are %v: there was room for all", got)
	}
	create("d", "2026-11-04T00:00:00Z", "100")
	if got := remaining(); !slices.Equal(got, []string{"b", "c", "d"}) {
		t.Errorf("remaining are %v: more than three, or not the newest", got)
	}
	create("e", "2026-11-05T00:00:00Z", "850")
	if got := remaining(); !slices.Equal(got, []string{"d", "e"}) {
		t.Errorf("remaining are %v: more bytes than the limit", got)
	}
	create("f", "2026-11-06T00:00:00Z", "-5000")
	if got := remaining(); len(got) != 0 {
		t.Errorf("remaining are %v: an invalid size made room", got)
	}
}

func TestKeyIsGeneratedOnce(t *testing.T) {
	env := startedEnv(t)
	first, err := env.cache.Key(t.Context())
	if err != nil || len(first) != 32 {
		t.Fatalf("the key has %d bytes: %v", len(first), err)
	}
	_, replica, err := env.newStore()
	if err != nil {
		t.Fatal(err)
	}
	second, err := replica.Key(t.Context())
	if err != nil || string(first) != string(second) {
		t.Errorf("another replica has another key: %v", err)
	}
	var secret corev1.Secret
	if err := env.Client.Get(t.Context(), webhooktest.CacheSecret, &secret); err != nil || string(secret.Data["verification.key"]) != string(first) {
		t.Errorf("the Secret has another key: %v", err)
	}
}
