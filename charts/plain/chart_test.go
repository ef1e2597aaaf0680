package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"

	"github.com/envladder/envladder/internal/chart"
	"github.com/envladder/envladder/internal/ladder"
)

// everything enables all parts, with all that a part can be given.
const everything = `
image: {registry: registry.example.com/platform, pullSecrets: [{name: pull}]}
webhook:
  enabled: true
  enforce: [shop, bank]
  audit: [trial]
  image: {digest: "sha256:` + digits + `"}
  tls: {caBundle: PEM}
  registrySecret: registry
  nodeSelector: {pool: system}
  tolerations: [{key: system, operator: Exists}]
  extraArgs: [--log-level=debug]
observer: {enabled: true, keySecret: key, registrySecret: registry}
appset:
  enabled: true
  tokenSecret: token
  ladders: [{name: shop, configMap: ladder-shop}, {name: bank, configMap: ladders, key: bank.yaml}]
  gitea: {url: https://git.example.com, tokenSecret: gitea}
  gitHub: {url: https://github.example.com/api/v3, tokenSecret: github}
  stateClaim: state
  registrySecret: registry
`

const digits = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func renderWith(t *testing.T, values string) (chart.Manifests, error) {
	t.Helper()
	loaded, err := chart.Load(t.Context(), os.DirFS("../.."), "charts/envladder")
	if err != nil {
		t.Fatal(err)
	}
	layers := fstest.MapFS{"values.yaml": {Data: []byte(values)}}
	merged, err := chart.Merge(t.Context(), layers, ladder.Step{Layers: []ladder.Layer{{Path: "values.yaml", Origin: "test"}}})
	if err != nil {
		t.Fatal(err)
	}
	return loaded.Render(merged, chart.Release{Name: "envladder", Namespace: namespace})
}

// TestAnAPIServerTakesTheChart: strictly, so that a field that Kubernetes doesn't have is
// an error.
func TestAnAPIServerTakesTheChart(t *testing.T) {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Fatal("KUBEBUILDER_ASSETS isn't set: run: make test")
	}
	environment := &envtest.Environment{}
	config, err := environment.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := environment.Stop(); err != nil {
			t.Error(err)
		}
	}()
	cluster, err := client.New(config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	manifests, err := renderWith(t, everything)
	if err != nil {
		t.Fatal(err)
	}
	space := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": namespace}}}
	if err := cluster.Create(t.Context(), space); err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	for _, m := range manifests {
		var object unstructured.Unstructured
		if err := yaml.Unmarshal([]byte(m.Content), &object.Object); err != nil {
			t.Fatalf("%s: %v", m.Source, err)
		}
		if err := cluster.Create(t.Context(), &object, client.FieldValidation("Strict")); err != nil {
			t.Errorf("creating %s %q of %s: %v", object.GetKind(), object.GetName(), m.Source, err)
		}
		kinds[object.GetKind()]++
	}
	if kinds["Deployment"] != 3 || kinds["CustomResourceDefinition"] < 3 || kinds["ValidatingWebhookConfiguration"] != 1 {
		t.Errorf("the chart with everything on has %v", kinds)
	}
}

func TestHelmLintFindsNothing(t *testing.T) {
	helm := os.Getenv("HELM")
	if helm == "" {
		t.Fatal("HELM doesn't name the program helm: run: make test")
	}
	values := filepath.Join(t.TempDir(), "values.yaml")
	if err := os.WriteFile(values, []byte(everything), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, arguments := range [][]string{nil, {"--values", values}} {
		lint := exec.CommandContext(t.Context(), helm, append([]string{"lint", "--strict", "../envladder"}, arguments...)...)
		if output, err := lint.CombinedOutput(); err != nil {
			t.Errorf("helm lint %v: %v\n%s", arguments, err, output)
		}
	}
}

func TestEachPartIsSwitchable(t *testing.T) {
	for part, values := range map[string]string{
		"webhook":  "webhook: {enabled: true, enforce: [shop], tls: {caBundle: PEM}}",
		"observer": "observer: {enabled: true, keySecret: key}",
		"appset":   "appset: {enabled: true, tokenSecret: token, ladders: [{name: shop, configMap: ladder-shop}]}",
	} {
		t.Run(part, func(t *testing.T) {
			manifests, err := renderWith(t, "crds: {install: false}\n"+values)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range manifests {
				if filepath.Base(m.Source) != part+".yaml" {
					t.Errorf("there is an object of %s", m.Source)
				}
			}
		})
	}
}

func TestTheChartRefuses(t *testing.T) {
	for name, test := range map[string]struct{ values, want string }{
		"its own namespace":         {"webhook: {enabled: true, enforce: [envladder], tls: {caBundle: PEM}}", "could then keep itself"},
		"the cluster's namespaces":  {"webhook: {enabled: true, audit: [kube-system], tls: {caBundle: PEM}}", "could then keep itself"},
		"a webhook of no namespace": {"webhook: {enabled: true, tls: {caBundle: PEM}}", "name the namespaces"},
		"a webhook without a CA":    {"webhook: {enabled: true, enforce: [shop]}", "webhook.tls.caBundle is empty"},
		"a certificate of nobody":   {"webhook: {enabled: true, enforce: [shop], tls: {certManager: {enabled: true}}}", "issuerRef is empty"},
		"an observer without a key": {"observer: {enabled: true}", "observer.keySecret is empty"},
		"previews without a token":  {"appset: {enabled: true, ladders: [{name: shop, configMap: l}]}", "appset.tokenSecret is empty"},
		"previews without a ladder": {"appset: {enabled: true, tokenSecret: t}", "appset.ladders is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := renderWith(t, test.values); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}

// TestThePlainManifestsAreCurrent: who changes the chart runs `make generate`.
func TestThePlainManifestsAreCurrent(t *testing.T) {
	root := t.TempDir()
	if err := os.CopyFS(filepath.Join(root, "charts"), os.DirFS("..")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(root, "manifests"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), root); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"webhook.yaml", "observer.yaml", "appset-generator.yaml"} {
		want, err := os.ReadFile(filepath.Join(root, "manifests", name))
		got, gotErr := os.ReadFile(filepath.Join("..", "..", "manifests", name))
		if err := errors.Join(err, gotErr); err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Errorf("manifests/%s isn't what the chart gives: run: make generate", name)
		}
	}
}
