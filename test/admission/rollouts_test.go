package admission

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/envladder/envladder/test/bed"
)

// observer signs soaks.
type observer struct {
	env      *env
	registry *bed.Registry
	private  string // path of its private key
	public   string // PEM
	pushed   int
}

// newObserver returns an observer with a new key.
func newObserver(t *testing.T, e *env) *observer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	o := &observer{
		env: e, registry: e.bed.Registry("main"), private: filepath.Join(t.TempDir(), "observer.key"),
		public: string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})),
	}
	if err := os.WriteFile(o.private, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600); err != nil {
		t.Fatal(err)
	}
	return o
}

// push pushes an image that differs from all others.
func (o *observer) push(t *testing.T) bed.Pushed {
	t.Helper()
	o.pushed++
	image, err := o.registry.Push(t.Context(), "shop/web", fmt.Sprintf("v%d", o.pushed), fmt.Sprintf("image %d", o.pushed))
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// pushSoaked pushes an image with a soak of 25h in staging that ended some time ago.
func (o *observer) pushSoaked(t *testing.T, ago time.Duration) bed.Pushed {
	t.Helper()
	image := o.push(t)
	const healthy = 25 * time.Hour
	end := time.Now().UTC().Truncate(time.Second).Add(-ago)
	cmd := exec.CommandContext(t.Context(), filepath.Join(o.env.root, "bin", "envladder"), "attest", "soak", "--key", o.private,
		"--ladder", "shop", "--environment", "staging", "--namespace", "shop-staging",
		"--from", end.Add(-healthy).Format(time.RFC3339), "--to", end.Format(time.RFC3339), "--healthy", healthy.String(), image.Ref())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("attesting a soak: %v: %s", err, out)
	}
	return image
}

// applyGate applies a Gate that requires a soak. If maxAge isn't empty, it is the soak's
// maximum age.
func (o *observer) applyGate(t *testing.T, maxAge string) {
	t.Helper()
	soak := map[string]any{"by": []string{"observer"}, "environment": "staging", "duration": "24h"}
	if maxAge != "" {
		soak["maxAge"] = maxAge
	}
	gate, err := yaml.Marshal(map[string]any{
		"apiVersion": "envladder.dev/v1alpha1", "kind": "Gate", "metadata": map[string]any{"name": "shop"},
		"spec": map[string]any{
			"environment": "prod", "namespaces": []string{namespace}, "action": "Deny",
			"images":   []any{map[string]any{"repository": o.registry.Host + "/shop/*", "ladder": "shop"}},
			"signers":  []any{map[string]any{"name": "observer", "time": "TrustSigner", "key": map[string]any{"data": o.public}}},
			"requires": map[string]any{"soak": soak},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	o.env.apply(t, string(gate))
}

// canary returns a Rollout of two pods, labelled with its name, that pauses after the first
// pod.
func canary(name, template string) string {
	return fmt.Sprintf(`
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: %[1]s}
spec:
  replicas: 2
  selector: {matchLabels: {app: %[1]s}}
  strategy: {canary: {steps: [{setWeight: 50}, {pause: {}}]}}
  %[2]s
`, name, template)
}

// podTemplate returns a pod template.
func podTemplate(name, image, setting string) string {
	return fmt.Sprintf(`template: {metadata: {labels: {app: %s}}, spec: {containers: [{name: web, image: "%s", env: [{name: SETTING, value: "%s"}]}]}}`, name, image, setting)
}

// deployment returns a Deployment without replicas, for a Rollout to refer to.
func deployment(name, image, setting string) string {
	return fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s}
spec:
  replicas: 0
  selector: {matchLabels: {app: %[1]s}}
  %[2]s
`, name, podTemplate(name, image, setting))
}

// TestArgoRollouts checks that Argo Rollouts' controller can continue with running images after
// the proof is older than maxAge, and can't start unproven ones.
func TestArgoRollouts(t *testing.T) {
	e := start(t, bed.Parts{
		// The webhook identifies each controller by its own account.
		Clusters:   []bed.ClusterOptions{{Name: bed.Prod, ControllerAccounts: true}},
		Registries: []bed.RegistryOptions{{Name: "main", Referrers: true}},
		Programs:   []string{"argo-rollouts"},
	}, "--pod-controller=argoproj.io/v1alpha1/Rollout="+bed.RolloutsAccount)
	if _, err := e.StartRollouts(t.Context()); err != nil {
		t.Fatal(err)
	}
	o := newObserver(t, e)
	aged, fresh, unproven := o.pushSoaked(t, 100*time.Hour), o.pushSoaked(t, time.Hour), o.push(t)

	o.applyGate(t, "")
	e.awaitResult(t, "", "run", "probe", "--image="+aged.Ref(), "--dry-run=server")
	reference := "workloadRef: {apiVersion: apps/v1, kind: Deployment, name: referring}"
	e.apply(t, deployment("referring", aged.Ref(), "1"), canary("referring", reference), canary("own", podTemplate("own", aged.Ref(), "1")))
	for _, name := range []string{"referring", "own"} {
		e.awaitPhase(t, name, "Healthy")
		e.awaitPods(t, name, 2)
	}
	o.applyGate(t, "72h")
	e.awaitResult(t, "SoakTooOld", "run", "probe", "--image="+aged.Ref(), "--dry-run=server")

	t.Run("configuration change with the same digest", func(t *testing.T) {
		e.apply(t, deployment("referring", aged.Ref(), "2"), canary("own", podTemplate("own", aged.Ref(), "2")))
		for _, name := range []string{"referring", "own"} {
			e.awaitPhase(t, name, "Paused")
			e.awaitOutput(t, "1", "get", "rollout", name, "-o", "jsonpath={.status.updatedReplicas}")
			e.promote(t, name)
			e.awaitOutput(t, "2 2", "get", "pods", "-l", "app="+name, "-o", "jsonpath={.items[*].spec.containers[0].env[0].value}")
		}
	})
	t.Run("unproven digest is denied in the template", func(t *testing.T) {
		e.wantDenied(t, "NoSoak", "set", "image", "deployment/referring", "web="+unproven.Ref())
		e.wantDenied(t, "NoSoak", "patch", "rollout", "own", "--type=json",
			"-p", `[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"`+unproven.Ref()+`"}]`)
	})
	t.Run("canary of a proven digest is aborted", func(t *testing.T) {
		e.apply(t, deployment("referring", fresh.Ref(), "3"), canary("own", podTemplate("own", fresh.Ref(), "3")))
		for _, name := range []string{"referring", "own"} {
			e.awaitPhase(t, name, "Paused")
			e.awaitImages(t, name, aged, fresh)
			e.kubectl(t, "patch", "rollout", name, "--subresource=status", "--type=merge", "-p", `{"status":{"abort":true}}`)
			e.awaitImages(t, name, aged, aged)
		}
	})
	t.Run("scaling while the webhook is down", func(t *testing.T) {
		e.webhook.Stop()
		e.awaitResult(t, unreachable, "run", "probe", "--image="+fresh.Ref(), "--dry-run=server")
		for _, name := range []string{"referring", "own"} {
			e.kubectl(t, "scale", "rollout/"+name, "--replicas=1")
			e.awaitPods(t, name, 1)
			e.kubectl(t, "scale", "rollout/"+name, "--replicas=2")
			e.awaitEvent(t, "ReplicaSet", name, unreachable)
		}
		if err := e.webhook.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"referring", "own"} {
			e.awaitImages(t, name, aged, aged)
		}
	})
}

// awaitPhase waits until Argo Rollouts has processed the newest template and a Rollout has this
// phase.
func (e *env) awaitPhase(t *testing.T, name, want string) {
	t.Helper()
	generation := e.kubectl(t, "get", "rollout", name, "-o", "jsonpath={.metadata.generation}")
	e.awaitOutput(t, generation+" "+want, "get", "rollout", name, "-o", "jsonpath={.status.observedGeneration} {.status.phase}")
}

// promote ends the pause of a canary, as `kubectl argo rollouts promote` does.
func (e *env) promote(t *testing.T, name string) {
	t.Helper()
	e.kubectl(t, "patch", "rollout", name, "--subresource=status", "--type=merge", "-p", `{"status":{"pauseConditions":null}}`)
	e.awaitPhase(t, name, "Healthy")
}

// awaitImages waits until the pods of a Rollout run these images and are ready.
func (e *env) awaitImages(t *testing.T, name string, images ...bed.Pushed) {
	t.Helper()
	var want []string
	for _, image := range images {
		want = append(want, image.Ref())
	}
	slices.Sort(want)
	err := bed.Poll(t.Context(), bound, func(ctx context.Context) error {
		pods, err := e.Client().CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: "app=" + name})
		if err != nil {
			return err
		}
		var got []string
		for _, pod := range pods.Items {
			got = append(got, pod.Spec.Containers[0].Image)
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			return fmt.Errorf("the pods of %s run %v, want %v", name, got, want)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	e.awaitPods(t, name, len(images))
}
