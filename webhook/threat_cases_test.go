package webhook

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	ggcrregistry "github.com/google/go-containerregistry/pkg/registry"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/registry"
	"github.com/envladder/envladder/internal/registry/registrytest"
	"github.com/envladder/envladder/internal/workload"
	"github.com/envladder/envladder/webhook/webhooktest"
)

// TestReferenceTricks checks that an image is judged by the digest that a runtime would pull, and
// by its full repository.
func TestReferenceTricks(t *testing.T) {
	env := startedEnv(t)
	namespace := env.NewNamespace(t)
	env.createGate(t, env.ProdGate(namespace))
	proven, unproven := env.PushProven(t), env.Push(t, "shop/web")
	web, digest := env.Host+"/shop/web", workload.DigestOf(proven)
	missing, unknown := []gate.Code{gate.NoSignature, gate.NoSoak}, []gate.Code{gate.UnknownImage}
	for name, test := range map[string]struct {
		image string
		want  []gate.Code
	}{
		"tag and digest":                     {web + ":1.0@" + digest, nil},
		"tag and other digest":               {web + ":1.0@" + workload.DigestOf(unproven), missing},
		"tag alone":                          {web + ":1.0", []gate.Code{gate.NoDigest}},
		"neither tag nor digest":             {web, []gate.Code{gate.NoDigest}},
		"tag like a digest":                  {web + ":" + strings.Replace(digest, ":", "-", 1), []gate.Code{gate.NoDigest}},
		"digest in upper case":               {web + "@sha256:" + strings.ToUpper(strings.TrimPrefix(digest, "sha256:")), unknown},
		"algorithm in upper case":            {web + "@SHA256:" + strings.TrimPrefix(digest, "sha256:"), unknown},
		"63 digits":                          {web + "@" + digest[:len(digest)-1], unknown},
		"65 digits":                          {web + "@" + digest + "0", unknown},
		"not hexadecimal":                    {web + "@sha256:" + strings.Repeat("g", 64), unknown},
		"other algorithm":                    {web + "@sha512:" + strings.Repeat("a", 128), unknown},
		"two digests, proven last":           {web + "@" + workload.DigestOf(unproven) + "@" + digest, unknown},
		"two digests, proven first":          {web + "@" + digest + "@" + workload.DigestOf(unproven), unknown},
		"nested repository":                  {env.Host + "/shop/web/evil@" + digest, unknown},
		"parent repository":                  {env.Host + "/shop@" + digest, unknown},
		"dots in the path":                   {env.Host + "/shop/../evil/web@" + digest, unknown},
		"path under other host":              {"evil.example.com/" + web + "@" + digest, unknown},
		"user before host":                   {"user@" + web + "@" + digest, unknown},
		"scheme":                             {"http://" + web + "@" + digest, unknown},
		"query":                              {web + "?x@" + digest, unknown},
		"digest alone":                       {digest, unknown},
		"unproven digest of same repository": {unproven, missing},
	} {
		t.Run(name, func(t *testing.T) {
			pod := webhooktest.NewPod(namespace, "", test.image)
			pod.GenerateName = "web-"
			webhooktest.WantCodes(t, env.Client.Create(t.Context(), pod, client.DryRunAll), test.want...)
		})
	}
}

// TestRegistryOfPodIsNotContacted checks that evidence is fetched from the Gate's repositories
// only.
func TestRegistryOfPodIsNotContacted(t *testing.T) {
	env := startedEnv(t)
	namespace := env.NewNamespace(t)
	env.createGate(t, env.ProdGate(namespace))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	called := make(chan struct{}, 100)
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				close(called)
				return
			}
			called <- struct{}{}
			_ = connection.Close()
		}
	}()
	digest := "@" + webhooktest.Digest('a')
	for _, image := range []string{
		listener.Addr().String() + "/shop/web" + digest, listener.Addr().String() + "/shop/web:1",
		"169.254.169.254/latest/meta-data" + digest, "[::1]:8080/shop/web" + digest,
	} {
		webhooktest.WantCodes(t, env.Client.Create(t.Context(), webhooktest.NewPod(namespace, "web", image)), gate.UnknownImage)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	if _, ok := <-called; ok {
		t.Error("the webhook contacted a registry that only a pod names")
	}
}

// TestForgedAnnotations checks that annotations prove nothing.
func TestForgedAnnotations(t *testing.T) {
	env := startedEnv(t)
	namespace := env.NewNamespace(t)
	env.createGate(t, env.ProdGate(namespace))
	unproven := env.Push(t, "shop/web")
	for name, annotations := range map[string]map[string]string{
		"verified by others":    {"policy.sigstore.dev/verified": "true", "kyverno.io/verify-images": `{"web":"pass"}`},
		"verified by envladder": {"envladder.dev/verified": "true", "validate.envladder.dev/verdict": "Allowed"},
		"valid stamps": {
			v1alpha1.AnnotationLadder: "shop", v1alpha1.AnnotationEnvironment: "prod", v1alpha1.AnnotationTarget: "eu",
			v1alpha1.AnnotationChartDigest: webhooktest.Digest('c'),
		},
		"running in a workload": {v1alpha1.AnnotationRunningIn: "Deployment/web,Rollout/web"},
	} {
		t.Run(name, func(t *testing.T) {
			pod := webhooktest.NewPod(namespace, "web", unproven)
			pod.Annotations = annotations
			webhooktest.WantCodes(t, env.Client.Create(t.Context(), pod), gate.NoSignature, gate.NoSoak)
		})
	}
}

// TestSignerOfOtherEnvironment checks that signers of previews or staging prove nothing in prod,
// even if the Gate accepts them for another requirement.
func TestSignerOfOtherEnvironment(t *testing.T) {
	env := startedEnv(t)
	namespace := env.NewNamespace(t)
	env.createGate(t, env.ProdGate(namespace))
	image := env.Push(t, "shop/web")
	env.Sign(t, image, "stranger")
	env.AttestSoak(t, image, "stranger", time.Hour)
	webhooktest.WantCodes(t, env.Client.Create(t.Context(), webhooktest.NewPod(namespace, "web", image)), gate.NoSignature, gate.NoSoak)
	env.Sign(t, image, "observer")
	env.AttestSoak(t, image, "ci", time.Hour)
	webhooktest.WantCodes(t, env.Client.Create(t.Context(), webhooktest.NewPod(namespace, "web", image)), gate.NoSignature, gate.NoSoak, gate.WrongSigner, gate.WrongSigner)
}

// TestCachedEvidenceIsJudgedAgain checks that cached evidence is judged with the Gate, its
// signers and the time of the request.
func TestCachedEvidenceIsJudgedAgain(t *testing.T) {
	env := startedEnv(t)
	namespace := env.NewNamespace(t)
	g := env.ProdGate(namespace)
	env.createGate(t, g)
	image := env.PushProven(t)
	var elapsed atomic.Int64 // reviews read the clock in other goroutines
	p := env.restart(t, func(c *Config) {
		c.now = func() time.Time { return time.Now().Add(time.Duration(elapsed.Load())) }
	})
	want := func(situation string, codes ...gate.Code) {
		t.Helper()
		var got []gate.Code
		err := webhooktest.WaitUntil(func() bool { got = p.codesFor(t, namespace, image); return slices.Equal(got, codes) })
		if err != nil {
			t.Errorf("%s: codes are %v, want %v", situation, got, codes)
		}
	}
	want("proven")
	elapsed.Store(int64(72 * time.Hour))
	want("maxAge exceeded", gate.SoakTooOld)
	elapsed.Store(0)
	want("maxAge not exceeded")

	rotated := g.DeepCopy()
	rotated.Spec.Signers[0].Key.Data, rotated.Spec.Signers[0].Time = env.Keys["stranger"].PublicPEM(), v1alpha1.TimeTrustSigner
	if err := env.Client.Patch(t.Context(), rotated.DeepCopy(), client.MergeFrom(g)); err != nil {
		t.Fatal(err)
	}
	want("key rotated", gate.NoSignature)
	env.Sign(t, image, "stranger")
	want("signed with new key")
	removed := rotated.DeepCopy()
	removed.Spec.Requires.Soak.By = []string{"ci"}
	if err := env.Client.Patch(t.Context(), removed, client.MergeFrom(rotated)); err != nil {
		t.Fatal(err)
	}
	want("observer removed from requirement", gate.NoSoak, gate.WrongSigner)
}

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

// TestDryRunVerdict checks that a dry run is denied with the same message, so that a server-side
// diff shows the denial before the sync.
func TestDryRunVerdict(t *testing.T) {
	env := startedEnv(t)
	namespace := env.NewNamespace(t)
	env.createGate(t, env.ProdGate(namespace))
	unproven := env.Push(t, "shop/web")
	missing := []gate.Code{gate.NoSignature, gate.NoSoak}
	dry := webhooktest.WantCodes(t, env.Client.Create(t.Context(), webhooktest.NewDeployment(namespace, unproven), client.DryRunAll), missing...)
	wet := webhooktest.WantCodes(t, env.Client.Create(t.Context(), webhooktest.NewDeployment(namespace, unproven)), missing...)
	if dry.Message != wet.Message {
		t.Errorf("the dry run's message is %q, the real one's %q", dry.Message, wet.Message)
	}
	applied := webhooktest.NewDeployment(namespace, unproven)
	applied.APIVersion, applied.Kind = "apps/v1", "Deployment"
	webhooktest.WantCodes(t, env.Client.Patch(t.Context(), applied, client.Apply, client.FieldOwner("argocd-controller"), client.DryRunAll), missing...)
}

// TestContainersOfOneDigest checks that many containers of one digest cause one look-up in the
// registry.
func TestContainersOfOneDigest(t *testing.T) {
	env := startedEnv(t)
	namespace := env.NewNamespace(t)
	env.createGate(t, env.ProdGate(namespace))
	image := env.PushProven(t)
	before := env.store.Counts()
	pod := webhooktest.NewPod(namespace, "web", image)
	for i := range 99 {
		pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: "c" + string(rune('a'+i/26)) + string(rune('a'+i%26)), Image: image})
	}
	webhooktest.WantCodes(t, env.Client.Create(t.Context(), pod))
	if lookups := env.store.Counts().Registry - before.Registry; lookups != 1 {
		t.Errorf("the registry was queried %d times about one digest, want once", lookups)
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
