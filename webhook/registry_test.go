package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	ggcrregistry "github.com/google/go-containerregistry/pkg/registry"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/registry"
	"github.com/envladder/envladder/internal/registry/registrytest"
	"github.com/envladder/envladder/internal/workload"
	"github.com/envladder/envladder/webhook/evidencecache"
	"github.com/envladder/envladder/webhook/webhooktest"
)

// TestRegistryRecovery checks that while a registry fails, admitted images stay admitted and
// others are denied, and that nothing has to be restarted when it recovers.
func TestRegistryRecovery(t *testing.T) {
	env := startedEnv(t)
	var mode atomic.Value
	mode.Store("available")
	inner := ggcrregistry.New(ggcrregistry.WithReferrersSupport(true), ggcrregistry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch mode.Load() {
		case "available":
			inner.ServeHTTP(w, r)
		case "resetting connections":
			panic(http.ErrAbortHandler)
		case "slow":
			select {
			case <-r.Context().Done():
			case <-time.After(3 * time.Second): // longer than the webhook is given
				w.WriteHeader(http.StatusInternalServerError)
			}
		case "busy":
			w.WriteHeader(http.StatusTooManyRequests)
		case "broken":
			w.WriteHeader(http.StatusInternalServerError)
		case "answering with HTML":
			_, _ = io.WriteString(w, "<html>down for maintenance</html>")
		}
	}))
	defer server.Close()
	own := *env
	own.Host = strings.TrimPrefix(server.URL, "http://")
	namespace := own.NewNamespace(t)
	own.createGate(t, own.ProdGate(namespace))
	admitted, later := own.PushProven(t), own.PushProven(t)
	p := env.restart(t)
	codesFor := func(image string) []gate.Code {
		request := webhooktest.PodRequest(image)
		request.Namespace = namespace
		return webhooktest.Codes(webhooktest.Send(t, p.handler(), "/validate?timeout=1s", request))
	}
	if got := codesFor(admitted); got != nil {
		t.Fatalf("codes are %v", got)
	}
	for _, failure := range []string{"resetting connections", "slow", "busy", "broken", "answering with HTML"} {
		mode.Store(failure)
		if got := codesFor(admitted); got != nil {
			t.Errorf("while the registry is %s an admitted image is denied: %v", failure, got)
		}
		if got := codesFor(later); len(got) == 0 {
			t.Errorf("while the registry is %s a new image is admitted", failure)
		}
	}
	mode.Store("available")
	var got []gate.Code
	if err := webhooktest.WaitUntil(func() bool { got = codesFor(later); return got == nil }); err != nil {
		t.Errorf("the registry has recovered, and codes are %v", got)
	}
}

// TestRegistryChangesAnswers lets a registry return different bytes for the same digest. With an
// additional space, content and signatures remain valid: only the digest or the size is wrong.
func TestRegistryChangesAnswers(t *testing.T) {
	env := startedEnv(t)
	type change struct {
		path string // a part of it
		edit func([]byte) []byte
	}
	more := func(answer []byte) []byte { return append(answer, ' ') }
	cut := func(answer []byte) []byte { return append(answer[:len(answer)-1], ' ') }
	var active atomic.Pointer[change]
	inner := ggcrregistry.New(ggcrregistry.WithReferrersSupport(true), ggcrregistry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := active.Load()
		if c == nil || r.Method != http.MethodGet || !strings.Contains(r.URL.Path, c.path) {
			inner.ServeHTTP(w, r)
			return
		}
		answer := httptest.NewRecorder()
		inner.ServeHTTP(answer, r)
		maps.Copy(w.Header(), answer.Header())
		w.Header().Del("Content-Length")
		w.WriteHeader(answer.Code)
		_, _ = w.Write(c.edit(answer.Body.Bytes()))
	}))
	defer server.Close()
	own := *env
	own.Host = strings.TrimPrefix(server.URL, "http://")
	namespace := own.NewNamespace(t)
	own.createGate(t, own.ProdGate(namespace))
	for name, test := range map[string]struct {
		change change
		want   gate.Code
	}{
		"manifests":                {change{"/manifests/sha256:", more}, gate.RegistryUnavailable},
		"bundles of the same size": {change{"/blobs/sha256:", cut}, gate.RegistryUnavailable},
		"bundles of another size":  {change{"/blobs/sha256:", more}, gate.NoSignature}, // a bundle of the wrong size is skipped
	} {
		t.Run(name, func(t *testing.T) {
			first, second := own.PushProven(t), own.PushProven(t)
			p := env.restart(t)
			if got := p.codesFor(t, namespace, first); got != nil {
				t.Fatalf("before the change, codes are %v", got)
			}
			active.Store(&test.change)
			defer active.Store(nil)
			if got := p.codesFor(t, namespace, first); got != nil {
				t.Errorf("a verified image is denied: %v", got)
			}
			if got := p.codesFor(t, namespace, second); !slices.Contains(got, test.want) {
				t.Errorf("codes are %v, want %s among them", got, test.want)
			}
			active.Store(nil)
			var got []gate.Code
			if err := webhooktest.WaitUntil(func() bool { got = p.codesFor(t, namespace, second); return got == nil }); err != nil {
				t.Errorf("the registry answers correctly again, and codes are %v", got)
			}
		})
	}
}

// TestJunkAttestations attaches ten thousand referrers, and one that is larger than a bundle may
// be: a proven image is still admitted, and an unproven one is denied with a clear reason.
func TestJunkAttestations(t *testing.T) {
	env := startedEnv(t)
	server := registrytest.Start(t, registrytest.WithReferrers)
	own := *env
	own.Host = server.Host
	namespace := own.NewNamespace(t)
	own.createGate(t, own.ProdGate(namespace))
	proven, unproven := own.PushProven(t), own.Push(t, "shop/web")
	junk := make([]map[string]any, 0, registry.MaxReferrers)
	for i := range registry.MaxReferrers - 3 {
		junk = append(junk, map[string]any{
			"mediaType": "application/vnd.oci.image.manifest.v1+json", "artifactType": bundleType,
			"digest": fmt.Sprintf("sha256:%064x", i), "size": 900,
		})
	}
	lists := map[string][]byte{}
	for _, image := range []string{proven, unproven} {
		repository, digest, _ := strings.Cut(image, "@")
		server.Attach(t, "shop/web", digest, bundleType, make([]byte, 16<<20), nil)
		client := registry.NewClient()
		listed, err := client.Referrers(t.Context(), repository, digest)
		if err != nil {
			t.Fatal(err)
		}
		all := slices.Clone(junk)
		for _, one := range listed {
			manifest, err := client.Manifest(t.Context(), repository, one.Digest)
			if err != nil {
				t.Fatal(err)
			}
			// Registries list the annotations too; this one leaves them out.
			all = append(all, map[string]any{"mediaType": one.MediaType, "artifactType": bundleType, "digest": one.Digest, "size": one.Size, "annotations": manifest.Annotations})
		}
		if lists[digest], err = json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": all}); err != nil {
			t.Fatal(err)
		}
	}
	server.Before(func(w http.ResponseWriter, r *http.Request) bool {
		_, digest, found := strings.Cut(r.URL.Path, "/referrers/")
		if found {
			w.Header().Set("Content-Type", "application/vnd.oci.image.index.v1+json")
			_, _ = w.Write(lists[digest])
		}
		return found
	})
	status := webhooktest.WantCodes(t, env.Client.Create(t.Context(), webhooktest.NewPod(namespace, "unproven", unproven)), gate.NoSignature, gate.NoSoak, gate.ProofTooLarge)
	if !strings.Contains(status.Message, "500") {
		t.Errorf("the message doesn't name the bound: %s", status.Message)
	}
	webhooktest.WantCodes(t, env.Client.Create(t.Context(), webhooktest.NewPod(namespace, "proven", proven)))
}

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
