// Package soak tests the observer with Argo Rollouts' own controller.
package soak

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/envladder/envladder/test/bed"
	"github.com/envladder/envladder/test/bed/install"
)

const (
	namespace = "shop-staging"
	// bound is the maximum time that controllers and the observer may take.
	bound = 3 * time.Minute
)

// env is a cluster with Argo Rollouts and the observer.
type env struct {
	*bed.Cluster

	registry *bed.Registry
	pushed   int
}

// start starts the cluster. The observer starts before Argo Rollouts is installed.
func start(t *testing.T) *env {
	t.Helper()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	b := bed.ForTest(t, bed.Parts{
		Clusters:   []bed.ClusterOptions{{Name: bed.Staging}},
		Registries: []bed.RegistryOptions{{Name: "main", Referrers: true}},
		Programs:   []string{"argo-rollouts"},
	})
	e := &env{Cluster: b.Cluster(bed.Staging), registry: b.Registry("main")}
	ctx := t.Context()
	must(t, install.CRDs(ctx, e.Cluster, root))
	_, err = install.Account(ctx, e.Cluster, root, "observer.yaml")
	must(t, err)
	kubeconfig, err := e.ServiceAccountKubeconfig(ctx, install.Namespace, "envladder-observer")
	must(t, err)
	health, err := install.FreeAddress()
	must(t, err)
	must(t, e.Namespace(ctx, namespace))
	must(t, e.Apply(ctx, "", e.gate()))
	process, err := install.Local{
		Manifest: "observer.yaml", Program: "envladder-observer",
		Pod:    []string{"--kubeconfig=" + kubeconfig, "--leader-election-namespace=" + install.Namespace},
		Mounts: map[string]string{"/key/cosign.key": writeKey(t)},
		Flags:  map[string]string{"--interval": "1s", "--health-probe-bind-address": health},
		Ready:  "http://" + health + "/readyz",
	}.Process(b, root)
	must(t, err)
	_, err = b.Run(ctx, process)
	must(t, err)
	_, err = e.StartRollouts(ctx)
	must(t, err)
	return e
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func writeKey(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	path := filepath.Join(t.TempDir(), "observer.key")
	must(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600))
	return path
}

// gate returns a Gate that measures all images of the registry.
func (e *env) gate() string {
	return fmt.Sprintf(`
apiVersion: envladder.dev/v1alpha1
kind: Gate
metadata: {name: shop-staging}
spec:
  environment: staging
  namespaces: [%s]
  action: Audit
  images: [{repository: %s/shop/*, ladder: shop}]
  observe: {attestAfter: [24h]}
`, namespace, e.registry.Host)
}

// push pushes an image that differs from all others.
func (e *env) push(t *testing.T) bed.Pushed {
	t.Helper()
	e.pushed++
	image, err := e.registry.Push(t.Context(), "shop/web", fmt.Sprintf("v%d", e.pushed), fmt.Sprintf("image %d", e.pushed))
	must(t, err)
	return image
}

// apply applies a Rollout of five pods with a strategy.
func (e *env) apply(t *testing.T, name, strategy string, image bed.Pushed) {
	t.Helper()
	must(t, e.Apply(t.Context(), namespace, fmt.Sprintf(`
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: %[1]s}
spec:
  replicas: 5
  selector: {matchLabels: {app: %[1]s}}
  strategy: {%[2]s}
  template: {metadata: {labels: {app: %[1]s}}, spec: {containers: [{name: web, image: "%[3]s", readinessProbe: {httpGet: {port: 80}}}]}}
`, name, strategy, image.Ref())))
}

// awaitSoaks waits until the Soaks of images have these states.
func (e *env) awaitSoaks(t *testing.T, want map[bed.Pushed]string) {
	t.Helper()
	for image, state := range want {
		err := bed.Poll(t.Context(), bound, func(ctx context.Context) error {
			out, err := e.Kubectl(ctx, "-n", namespace, "get", "soaks", "-o", `jsonpath={range .items[?(@.spec.digest=="`+image.Digest+`")]}{.status.state} {.status.reason}{end}`)
			if got := strings.TrimSpace(out); err == nil && got != state {
				err = fmt.Errorf("the Soak of %s is %q, want %q", image.Ref(), got, state)
			}
			return err
		})
		must(t, err)
	}
}

// patchStatus changes the status of a paused Rollout, as `kubectl argo rollouts` does.
func (e *env) patchStatus(t *testing.T, name, patch string) {
	t.Helper()
	err := bed.Poll(t.Context(), bound, func(ctx context.Context) error {
		phase, err := e.Kubectl(ctx, "-n", namespace, "get", "rollout", name, "-o", "jsonpath={.status.phase}")
		if err == nil && phase != "Paused" {
			err = fmt.Errorf("Rollout %s is %q, want Paused", name, phase)
		}
		return err
	})
	must(t, err)
	_, err = e.Kubectl(t.Context(), "-n", namespace, "patch", "rollout", name, "--subresource=status", "--type=merge", "-p", `{"status":`+patch+`}`)
	must(t, err)
}

// TestArgoRollouts checks that neither digest of an incomplete rollout soaks.
func TestArgoRollouts(t *testing.T) {
	e := start(t)
	t.Run("canary", func(t *testing.T) {
		const canary = "canary: {steps: [{setWeight: 20}, {pause: {}}]}"
		stable, next, aborted := e.push(t), e.push(t), e.push(t)
		e.apply(t, "canary", canary, stable)
		e.awaitSoaks(t, map[bed.Pushed]string{stable: "Healthy"})
		e.apply(t, "canary", canary, next)
		e.awaitSoaks(t, map[bed.Pushed]string{stable: "Interrupted MixedDigests", next: "Waiting MixedDigests"})
		e.patchStatus(t, "canary", `{"pauseConditions":null}`)
		e.awaitSoaks(t, map[bed.Pushed]string{stable: "Stopped NotRunning", next: "Healthy"})
		e.apply(t, "canary", canary, aborted)
		e.awaitSoaks(t, map[bed.Pushed]string{next: "Interrupted MixedDigests"})
		e.patchStatus(t, "canary", `{"abort":true}`)
		e.awaitSoaks(t, map[bed.Pushed]string{next: "Interrupted Aborted"})
		e.apply(t, "canary", canary, next) // what runs is wanted again
		e.awaitSoaks(t, map[bed.Pushed]string{next: "Healthy", aborted: "Stopped NotRunning"})
	})
	t.Run("blue-green", func(t *testing.T) {
		must(t, e.Apply(t.Context(), namespace, `{apiVersion: v1, kind: Service, metadata: {name: active}, spec: {selector: {app: blue-green}, ports: [{port: 80}]}}`,
			`{apiVersion: v1, kind: Service, metadata: {name: preview}, spec: {selector: {app: blue-green}, ports: [{port: 80}]}}`))
		const blueGreen = "blueGreen: {activeService: active, previewService: preview, autoPromotionEnabled: false}"
		active, preview := e.push(t), e.push(t)
		e.apply(t, "blue-green", blueGreen, active)
		e.awaitSoaks(t, map[bed.Pushed]string{active: "Healthy"})
		e.apply(t, "blue-green", blueGreen, preview)
		e.awaitSoaks(t, map[bed.Pushed]string{active: "Interrupted MixedDigests", preview: "Waiting MixedDigests"})
		e.patchStatus(t, "blue-green", `{"pauseConditions":null}`)
		// The old ReplicaSet is scaled down 30 s after the switch.
		e.awaitSoaks(t, map[bed.Pushed]string{active: "Stopped NotRunning", preview: "Healthy"})
	})
}
