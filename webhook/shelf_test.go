package webhook

import (
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/evidence"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/verdict"
	"github.com/envladder/envladder/internal/workload"
)

// withRegistry is the bed with a registry of the test's own, and how to stop it.
func (b *bed) withRegistry() (own *bed, stop func()) {
	copied := *b
	copied.stop = nil
	copied.registry = copied.serveRegistry()
	return &copied, copied.down
}

// kept is the Evidence about an image; it is waited for.
func (b *bed) kept(t *testing.T, reference string, attestations int) *v1alpha1.EvidenceCache {
	t.Helper()
	var object v1alpha1.EvidenceCache
	repository, digest, _ := strings.Cut(reference, "@")
	key := types.NamespacedName{Namespace: "envladder", Name: nameOf(repository, digest)}
	if err := until(func() bool {
		return b.client.Get(t.Context(), key, &object) == nil && len(object.Spec.Attestations) == attestations
	}); err != nil {
		t.Fatalf("waiting until %d attestations of %s are kept: %v\n%s", attestations, reference, err, b.logs)
	}
	return &object
}

// restarted is a webhook of the bed's cluster that remembers nothing.
func (b *bed) restarted(t *testing.T, change ...func(*Config)) *program {
	t.Helper()
	p, _ := b.another(t, change...)
	return p
}

// another is restarted, and how to end it before the test does.
func (b *bed) another(t *testing.T, change ...func(*Config)) (p *program, end func()) {
	t.Helper()
	folder := t.TempDir()
	if _, err := writeCertificate(folder, "restarted"); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	store, shelf, err := b.newStore()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	config := Config{
		Cluster: b.account(), Listener: listener, Judge: verdict.New(store), Shelf: shelf, Keeper: store,
		CertFile: filepath.Join(folder, "tls.crt"), KeyFile: filepath.Join(folder, "tls.key"),
		Log: slog.New(slog.NewTextHandler(b.logs, nil)),
	}
	for _, edit := range change {
		edit(&config)
	}
	p, err = newProgram(ctx, config)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- p.run(ctx) }()
	end = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(end)
	if err := until(p.gates.ready); err != nil {
		t.Fatal(err)
	}
	return p, end
}

// asked are the codes that a program denies a pod with.
func (p *program) asked(t *testing.T, namespace, image string) []gate.Code {
	t.Helper()
	request := podRequest(image)
	request.Namespace = namespace
	return responseCodes(p.reviews.ask(t, "/validate", request))
}

// TestRestartWithTheRegistryDown: what was admitted stays admitted; nothing else does.
func TestRestartWithTheRegistryDown(t *testing.T) {
	shared := up(t)
	b, stop := shared.withRegistry()
	namespace := b.namespace(t)
	g := b.prodGate(namespace)
	b.gate(t, g)
	admitted, notAsked, recalled := b.proven(t), b.proven(t), b.proven(t)
	for _, image := range []string{admitted, recalled} {
		pod := newPod(namespace, "", image)
		pod.GenerateName = "web-"
		wantCodes(t, b.client.Create(t.Context(), pod))
	}
	object := b.kept(t, admitted, 2)
	b.kept(t, recalled, 2)
	if object.Annotations[v1alpha1.AnnotationLastUsed] == "" || object.Annotations[v1alpha1.AnnotationSize] == "" {
		t.Errorf("the Evidence doesn't say when it was used and how large it is: %v", object.Annotations)
	}

	stop()
	want := func(t *testing.T, image string, codes ...gate.Code) {
		t.Helper()
		if got := b.restarted(t).asked(t, namespace, image); !slices.Equal(got, codes) {
			t.Errorf("codes are %v, want %v", got, codes)
		}
	}
	t.Run("what was admitted", func(t *testing.T) { want(t, admitted) })
	t.Run("what is proven and wasn't asked for before", func(t *testing.T) { want(t, notAsked, gate.RegistryUnavailable) })
	t.Run("what was recalled since", func(t *testing.T) {
		b.recall(t, workload.DigestOf(recalled))
		want(t, recalled, gate.Recalled, gate.RegistryUnavailable)
	})
	t.Run("under the name of another digest", func(t *testing.T) {
		repository, digest, _ := strings.Cut(notAsked, "@")
		forged := &v1alpha1.EvidenceCache{ObjectMeta: metav1.ObjectMeta{Namespace: "envladder", Name: nameOf(repository, digest)}, Spec: object.Spec}
		forged.Spec.Digest = digest
		if err := b.client.Create(t.Context(), forged); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = b.client.Delete(context.Background(), forged) })
		want(t, notAsked, gate.RegistryUnavailable)
	})
	t.Run("with a signer that left the Gate", func(t *testing.T) {
		other, err := newSigner()
		if err != nil {
			t.Fatal(err)
		}
		changed := g.DeepCopy()
		changed.Spec.Signers[0].Key.Data = other.PublicPEM()
		if err := b.client.Patch(t.Context(), changed, client.MergeFrom(g)); err != nil {
			t.Fatal(err)
		}
		want(t, admitted, gate.RegistryUnavailable)
	})
}

func TestADryRunIsntKept(t *testing.T) {
	b := up(t)
	namespace := b.namespace(t)
	b.gate(t, b.prodGate(namespace))
	dry, wet := b.proven(t), b.proven(t)
	wantCodes(t, b.client.Create(t.Context(), newPod(namespace, "dry", dry), client.DryRunAll))
	wantCodes(t, b.client.Create(t.Context(), newPod(namespace, "wet", wet)))
	b.kept(t, wet, 2) // they are kept in turn, so the first would be there by now
	repository, digest, _ := strings.Cut(dry, "@")
	err := b.client.Get(t.Context(), types.NamespacedName{Namespace: "envladder", Name: nameOf(repository, digest)}, &v1alpha1.EvidenceCache{})
	if !apierrors.IsNotFound(err) {
		t.Errorf("a dry run has left Evidence: %v", err)
	}
}

func TestWhatWasUsedLongestAgoGoesFirst(t *testing.T) {
	b := up(t)
	namespace := b.namespace(t)
	shelf := &Shelf{client: b.client, namespace: namespace, log: slog.New(slog.DiscardHandler), maxObjects: 3, maxBytes: 1000}
	create := func(name, used, size string) {
		object := &v1alpha1.EvidenceCache{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Annotations: map[string]string{v1alpha1.AnnotationLastUsed: used, v1alpha1.AnnotationSize: size}},
			Spec:       v1alpha1.EvidenceCacheSpec{Repository: "example.com/web", Digest: "sha256:" + sixtyFour('a')},
		}
		if err := b.client.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	left := func() []string {
		if err := shelf.collect(t.Context()); err != nil {
			t.Fatal(err)
		}
		var list v1alpha1.EvidenceCacheList
		if err := b.client.List(t.Context(), &list, client.InNamespace(namespace)); err != nil {
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
	if got := left(); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("left are %v: there was room for all", got)
	}
	create("d", "2026-11-04T00:00:00Z", "100")
	if got := left(); !slices.Equal(got, []string{"b", "c", "d"}) {
		t.Errorf("left are %v: more than three, or not the newest", got)
	}
	create("e", "2026-11-05T00:00:00Z", "850")
	if got := left(); !slices.Equal(got, []string{"d", "e"}) {
		t.Errorf("left are %v: more bytes than may be", got)
	}
	create("f", "2026-11-06T00:00:00Z", "-5000")
	if got := left(); len(got) != 0 {
		t.Errorf("left are %v: a false size has made room", got)
	}
}

func TestTheKeyOfRecordsIsMadeOnce(t *testing.T) {
	b := up(t)
	first, err := b.shelf.Key(t.Context())
	if err != nil || len(first) != keySize {
		t.Fatalf("key of %d bytes, %v", len(first), err)
	}
	_, again, err := b.newStore()
	if err != nil {
		t.Fatal(err)
	}
	second, err := again.Key(t.Context())
	if err != nil || string(first) != string(second) {
		t.Errorf("another replica has another key: %v", err)
	}
	var secret corev1.Secret
	if err := b.client.Get(t.Context(), types.NamespacedName{Namespace: "envladder", Name: "envladder-webhook-evidence-cache"}, &secret); err != nil || string(secret.Data[keyName]) != string(first) {
		t.Errorf("the Secret has another: %v", err)
	}
}

// TestNothingWaitsForWhatIsKept: an admission isn't slower, and isn't refused, for an API
// server that doesn't take Evidence.
func TestNothingWaitsForWhatIsKept(t *testing.T) {
	h := newReviewer(faulty(func(context.Context, verdict.Query) []verdict.Outcome {
		return []verdict.Outcome{{
			Verdict:  gate.Verdict{Allowed: true, Gate: gate.Ref{Name: "shop-prod"}},
			Asked:    evidence.Query{Image: gate.Image{Repository: "example.com/web", Digest: "sha256:" + sixtyFour('a')}},
			Evidence: []gate.Evidence{{Source: "sha256:" + sixtyFour('b')}},
		}}
	}))
	h.keeping = newKeeping(nil, nil, h.log) // nobody takes what waits
	for range 3 * maxWaiting {
		h.keeping.kept = map[keptKey]time.Time{}
		request := podRequest("example.com/web@sha256:" + sixtyFour('a'))
		request.Operation = admissionv1.Create
		if response := h.review(t.Context(), request); !response.Allowed {
			t.Fatal("an admission is refused because much waits to be kept")
		}
	}
	if got := len(h.keeping.waiting); got != maxWaiting {
		t.Errorf("%d wait, want %d at most", got, maxWaiting)
	}
}

func TestWhatCouldNotBeKeptIsTriedAgainAfterAWhile(t *testing.T) {
	k := newKeeping(nil, nil, nil)
	a := admitted{query: evidence.Query{Image: gate.Image{Repository: "example.com/web", Digest: "sha256:" + sixtyFour('a')}}}
	now := time.Now()
	if !k.due(a, now) || k.due(a, now.Add(retryInterval)) {
		t.Fatal("it is kept once")
	}
	k.again(a, now)
	if k.due(a, now.Add(retryInterval-time.Second)) {
		t.Error("a registry that is down is asked for each admission")
	}
	if !k.due(a, now.Add(retryInterval)) {
		t.Error("it isn't tried again")
	}
}
