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

// TestReferenceTricks: an image counts by the digest that a runtime would pull, written
// as runtimes take it, and by the repository in full.
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
		"a tag beside the digest":             {web + ":1.0@" + digest, nil},
		"a tag beside another digest":         {web + ":1.0@" + workload.DigestOf(unproven), missing},
		"a tag alone":                         {web + ":1.0", []gate.Code{gate.NoDigest}},
		"neither":                             {web, []gate.Code{gate.NoDigest}},
		"a tag that looks like a digest":      {web + ":" + strings.Replace(digest, ":", "-", 1), []gate.Code{gate.NoDigest}},
		"upper case":                          {web + "@sha256:" + strings.ToUpper(strings.TrimPrefix(digest, "sha256:")), unknown},
		"the algorithm in upper case":         {web + "@SHA256:" + strings.TrimPrefix(digest, "sha256:"), unknown},
		"63 digits":                           {web + "@" + digest[:len(digest)-1], unknown},
		"65 digits":                           {web + "@" + digest + "0", unknown},
		"no hex":                              {web + "@sha256:" + strings.Repeat("g", 64), unknown},
		"another algorithm":                   {web + "@sha512:" + strings.Repeat("a", 128), unknown},
		"two digests, the proven one last":    {web + "@" + workload.DigestOf(unproven) + "@" + digest, unknown},
		"two digests, the proven one first":   {web + "@" + digest + "@" + workload.DigestOf(unproven), unknown},
		"a repository one deeper":             {env.Host + "/shop/web/evil@" + digest, unknown},
		"a repository one higher":             {env.Host + "/shop@" + digest, unknown},
		"dots in the path":                    {env.Host + "/shop/../evil/web@" + digest, unknown},
		"the path behind another host":        {"evil.example.com/" + web + "@" + digest, unknown},
		"a user before the host":              {"user@" + web + "@" + digest, unknown},
		"a scheme":                            {"http://" + web + "@" + digest, unknown},
		"a query":                             {web + "?x@" + digest, unknown},
		"the digest alone":                    {digest, unknown},
		"an unproven digest of the same name": {unproven, missing},
	} {
		t.Run(name, func(t *testing.T) {
			pod := webhooktest.NewPod(namespace, "", test.image)
			pod.GenerateName = "web-"
			webhooktest.WantCodes(t, env.Client.Create(t.Context(), pod, client.DryRunAll), test.want...)
		})
	}
}

// TestWhatAPodNamesIsNeverContacted: evidence is fetched from the Gate's repositories.
func TestWhatAPodNamesIsNeverContacted(t *testing.T) {
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
		t.Error("the webhook has contacted a registry that only a pod has named")
	}
}

// TestForgedAnnotations: what an object says of itself proves nothing.
func TestForgedAnnotations(t *testing.T) {
	env := startedEnv(t)
	namespace := env.NewNamespace(t)
	env.createGate(t, env.ProdGate(namespace))
	unproven := env.Push(t, "shop/web")
	for name, annotations := range map[string]map[string]string{
		"verified by others":    {"policy.sigstore.dev/verified": "true", "kyverno.io/verify-images": `{"web":"pass"}`},
		"verified by envladder": {"envladder.dev/verified": "true", "validate.envladder.dev/verdict": "Allowed"},
		"all stamps right": {
			v1alpha1.AnnotationLadder: "shop", v1alpha1.AnnotationEnvironment: "prod", v1alpha1.AnnotationTarget: "eu",
			v1alpha1.AnnotationChartDigest: webhooktest.Digest('c'),
		},
		"beside something": {v1alpha1.AnnotationRunningIn: "Deployment/web,Rollout/web"},
	} {
		t.Run(name, func(t *testing.T) {
			pod := webhooktest.NewPod(namespace, "web", unproven)
			pod.Annotations = annotations
			webhooktest.WantCodes(t, env.Client.Create(t.Context(), pod), gate.NoSignature, gate.NoSoak)
		})
	}
}

// TestAnotherEnvironmentsSigner: whoever may sign previews or staging has no word in prod,
// even where the Gate knows the name for something else.
func TestAnotherEnvironmentsSigner(t *testing.T) {
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

// TestWarmMemoryIsJudgedAnew: what is remembered is evidence. The Gate, its signers and
// the time are those of the request.
func TestWarmMemoryIsJudgedAnew(t *testing.T) {
	env := startedEnv(t)
	namespace := env.NewNamespace(t)
	g := env.ProdGate(namespace)
	env.createGate(t, g)
	image := env.PushProven(t)
	var elapsed atomic.Int64 // reviews read the clock in other goroutines
	p := env.restart(t, func(c *Config) {
		c.now = func() time.Time { return time.Now().Add(time.Duration(elapsed.Load())) }
	})
	want := func(what string, codes ...gate.Code) {
		t.Helper()
		var got []gate.Code
		err := webhooktest.WaitUntil(func() bool { got = p.codesFor(t, namespace, image); return slices.Equal(got, codes) })
		if err != nil {
			t.Errorf("%s: codes are %v, want %v", what, got, codes)
		}
	}
	want("proven")
	elapsed.Store(int64(72 * time.Hour))
	want("the soak's age is reached", gate.SoakTooOld)
	elapsed.Store(0)
	want("and isn't")

	rotated := g.DeepCopy()
	rotated.Spec.Signers[0].Key.Data, rotated.Spec.Signers[0].Time = env.Keys["stranger"].PublicPEM(), v1alpha1.TimeTrustSigner
	if err := env.Client.Patch(t.Context(), rotated.DeepCopy(), client.MergeFrom(g)); err != nil {
		t.Fatal(err)
	}
	want("the key was rotated", gate.NoSignature)
	env.Sign(t, image, "stranger")
	want("the new key has signed")
	removed := rotated.DeepCopy()
	removed.Spec.Requires.Soak.By = []string{"ci"}
	if err := env.Client.Patch(t.Context(), removed, client.MergeFrom(rotated)); err != nil {
		t.Fatal(err)
	}
	want("the observer's word counts no more", gate.NoSoak, gate.WrongSigner)
}

// TestTheRegistryRecovers: whatever it does, what was admitted stays admitted, what wasn't
// asked for stays out, and once it is well again nothing has to be restarted.
func TestTheRegistryRecovers(t *testing.T) {
	env := startedEnv(t)
	var mode atomic.Value
	mode.Store("well")
	inner := ggcrregistry.New(ggcrregistry.WithReferrersSupport(true), ggcrregistry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch mode.Load() {
		case "well":
			inner.ServeHTTP(w, r)
		case "resetting":
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
		case "lying":
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
	ask := func(image string) []gate.Code {
		request := webhooktest.PodRequest(image)
		request.Namespace = namespace
		return webhooktest.Codes(webhooktest.Send(t, p.handler(), "/validate?timeout=1s", request))
	}
	if got := ask(admitted); got != nil {
		t.Fatalf("codes are %v", got)
	}
	for _, ill := range []string{"resetting", "slow", "busy", "broken", "lying"} {
		mode.Store(ill)
		if got := ask(admitted); got != nil {
			t.Errorf("while the registry is %s what was admitted is denied: %v", ill, got)
		}
		if got := ask(later); len(got) == 0 {
			t.Errorf("while the registry is %s what wasn't asked for is admitted", ill)
		}
	}
	mode.Store("well")
	var got []gate.Code
	if err := webhooktest.WaitUntil(func() bool { got = ask(later); return got == nil }); err != nil {
		t.Errorf("the registry is well again, and codes are %v", got)
	}
}

// TestADryRunSaysTheSame: so that a server-side diff shows the denial before the sync.
func TestADryRunSaysTheSame(t *testing.T) {
	env := startedEnv(t)
	namespace := env.NewNamespace(t)
	env.createGate(t, env.ProdGate(namespace))
	unproven := env.Push(t, "shop/web")
	missing := []gate.Code{gate.NoSignature, gate.NoSoak}
	dry := webhooktest.WantCodes(t, env.Client.Create(t.Context(), webhooktest.NewDeployment(namespace, unproven), client.DryRunAll), missing...)
	wet := webhooktest.WantCodes(t, env.Client.Create(t.Context(), webhooktest.NewDeployment(namespace, unproven)), missing...)
	if dry.Message != wet.Message {
		t.Errorf("a dry run says %q, the real one %q", dry.Message, wet.Message)
	}
	applied := webhooktest.NewDeployment(namespace, unproven)
	applied.APIVersion, applied.Kind = "apps/v1", "Deployment"
	webhooktest.WantCodes(t, env.Client.Patch(t.Context(), applied, client.Apply, client.FieldOwner("argocd-controller"), client.DryRunAll), missing...)
}

// TestManyContainersOfOneDigest are one question to the registry.
func TestManyContainersOfOneDigest(t *testing.T) {
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
	if asked := env.store.Counts().Registry - before.Registry; asked != 1 {
		t.Errorf("the registry was asked %d times about one digest, want once", asked)
	}
}

// TestTheRegistryAnswersDifferently: the second time a registry gives other bytes under the
// same digest. With a space more, all that they say and their signatures are as good as
// before: it is the digest, or the size, that they don't have.
func TestTheRegistryAnswersDifferently(t *testing.T) {
	env := startedEnv(t)
	type lie struct {
		about  string // part of the path
		change func([]byte) []byte
	}
	more := func(answer []byte) []byte { return append(answer, ' ') }
	cut := func(answer []byte) []byte { return append(answer[:len(answer)-1], ' ') }
	var told atomic.Pointer[lie]
	inner := ggcrregistry.New(ggcrregistry.WithReferrersSupport(true), ggcrregistry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		lie := told.Load()
		if lie == nil || r.Method != http.MethodGet || !strings.Contains(r.URL.Path, lie.about) {
			inner.ServeHTTP(w, r)
			return
		}
		answer := httptest.NewRecorder()
		inner.ServeHTTP(answer, r)
		maps.Copy(w.Header(), answer.Header())
		w.Header().Del("Content-Length")
		w.WriteHeader(answer.Code)
		_, _ = w.Write(lie.change(answer.Body.Bytes()))
	}))
	defer server.Close()
	own := *env
	own.Host = strings.TrimPrefix(server.URL, "http://")
	namespace := own.NewNamespace(t)
	own.createGate(t, own.ProdGate(namespace))
	for what, test := range map[string]struct {
		lie  lie
		want gate.Code
	}{
		"manifests":                {lie{"/manifests/sha256:", more}, gate.RegistryUnavailable},
		"bundles of the same size": {lie{"/blobs/sha256:", cut}, gate.RegistryUnavailable},
		"bundles of another size":  {lie{"/blobs/sha256:", more}, gate.NoSignature}, // one that lies about itself is passed over
	} {
		t.Run(what, func(t *testing.T) {
			first, second := own.PushProven(t), own.PushProven(t)
			p := env.restart(t)
			if got := p.codesFor(t, namespace, first); got != nil {
				t.Fatalf("before, codes are %v", got)
			}
			told.Store(&test.lie)
			defer told.Store(nil)
			if got := p.codesFor(t, namespace, first); got != nil {
				t.Errorf("what was verified is denied: %v", got)
			}
			if got := p.codesFor(t, namespace, second); !slices.Contains(got, test.want) {
				t.Errorf("codes are %v, want %s among them", got, test.want)
			}
			told.Store(nil)
			var got []gate.Code
			if err := webhooktest.WaitUntil(func() bool { got = p.codesFor(t, namespace, second); return got == nil }); err != nil {
				t.Errorf("it answers as it should again, and codes are %v", got)
			}
		})
	}
}

// TestJunkBesideTheProof: ten thousand referrers, and one that is larger than any bundle
// may be, cost what is proven no admission and what is unproven no clear word.
func TestJunkBesideTheProof(t *testing.T) {
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
		_, digest, asked := strings.Cut(r.URL.Path, "/referrers/")
		if asked {
			w.Header().Set("Content-Type", "application/vnd.oci.image.index.v1+json")
			_, _ = w.Write(lists[digest])
		}
		return asked
	})
	status := webhooktest.WantCodes(t, env.Client.Create(t.Context(), webhooktest.NewPod(namespace, "unproven", unproven)), gate.NoSignature, gate.NoSoak, gate.ProofTooLarge)
	if !strings.Contains(status.Message, "500") {
		t.Errorf("the message names no bound: %s", status.Message)
	}
	webhooktest.WantCodes(t, env.Client.Create(t.Context(), webhooktest.NewPod(namespace, "proven", proven)))
}
