package webhook

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/workload"
	"github.com/envladder/envladder/webhook/webhooktest"
)

// TestThreatModelNamesTests checks that each test that the threat model names exists.
func TestThreatModelNamesTests(t *testing.T) {
	page, err := os.ReadFile("../docs/threat-model.md")
	if err != nil {
		t.Fatal(err)
	}
	folders := map[string]string{
		"webhook": ".", "admission": "admission", "plain": "../hack/plain", "gate": "../internal/gate", "observer": "../observer", "engine": "../observer/engine",
		"watch": "../observer/watch", "soak": "../test/soak",
		"evidence": "../internal/evidence", "registry": "../internal/registry", "verdict": "../internal/verdict",
	}
	code := map[string]string{}
	for name, folder := range folders {
		files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			code[name] += string(content)
		}
	}
	named := regexp.MustCompile("`([a-z]+)\\.(Test[A-Za-z]+)`").FindAllStringSubmatch(string(page), -1)
	if len(named) == 0 {
		t.Fatal("the threat model names no test")
	}
	for _, match := range named {
		if !strings.Contains(code[match[1]], "\nfunc "+match[2]+"(t *testing.T)") {
			t.Errorf("package %s has no %s", match[1], match[2])
		}
	}
}

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
