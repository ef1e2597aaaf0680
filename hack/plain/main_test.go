package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"

	"github.com/envladder/envladder/internal/chart"
	"github.com/envladder/envladder/internal/chart/manifest"
	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/layers"
	"github.com/envladder/envladder/internal/programtest"
)

// everything enables all parts, with all of their values.
const everything = `
image: {registry: registry.example.com/platform, pullSecrets: [{name: pull}]}
guard: {admins: {users: [ana], serviceAccounts: [argocd-platform/argocd-application-controller]}, namespace: {writers: [calico-system/calico-node]}}
webhook:
  enabled: true
  enforce: [shop, bank]
  audit: [trial]
  image: {digest: "sha256:` + digits + `"}
  tls: {caBundle: PEM}
  registrySecrets: [registry, mirror]
  registryKeychains: [amazon, azure]
  serviceAccountAnnotations: {azure.workload.identity/client-id: id}
  podLabels: {azure.workload.identity/use: "true"}
  nodeSelector: {pool: system}
  priorityClassName: system-cluster-critical
  trustedRoots: {configMap: trusted-roots}
  tolerations: [{key: system, operator: Exists}]
  traces: {endpoint: "https://collector.example.com:4318"}
  extraEnv: [{name: OTEL_TRACES_SAMPLER, value: parentbased_traceidratio}]
  extraArgs: [--log-level=debug]
  kinds:
  - {kind: ray.io/v1/RayCluster, resource: rayclusters, paths: [spec.headGroupSpec.template, "spec.workerGroupSpecs[].template"]}
  - {kind: argoproj.io/v1alpha1/Rollout, resource: rollouts, controllers: ["system:serviceaccount:argo-rollouts:argo-rollouts"]}
observer: {enabled: true, keySecret: key, registrySecrets: [registry], registryKeychains: [google]}
appset:
  enabled: true
  tokenSecret: token
  ladders: [{name: shop, configMap: ladder-shop}, {name: bank, configMap: ladders, key: bank.yaml}]
  gitea: {url: https://git.example.com, tokenSecret: gitea, caConfigMap: gitea-ca}
  gitHub: {url: https://github.example.com/api/v3, tokenSecret: github, caConfigMap: github-ca}
  stateClaim: state
  registrySecrets: [registry]
`

const digits = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// withRegistry is the value that every part requires.
const withRegistry = "image: {registry: registry.example.com/platform}\n"

// renderWith renders the chart with values.
func renderWith(t *testing.T, values string) (manifest.Manifests, error) {
	t.Helper()
	loaded, err := chart.Load(t.Context(), os.DirFS("../.."), "charts/envladder")
	if err != nil {
		t.Fatal(err)
	}
	repository := fstest.MapFS{"values.yaml": {Data: []byte(values)}}
	merged, err := layers.Merge(t.Context(), repository, ladder.Resolved{Layers: []ladder.Layer{{Path: "values.yaml", Origin: "test"}}})
	if err != nil {
		t.Fatal(err)
	}
	return loaded.Render(chart.RenderOptions{Values: merged.Values, Release: chart.Release{Name: "envladder", Namespace: namespace}})
}

// startAPIServer starts an API server that stops with the test.
func startAPIServer(t *testing.T, environment *envtest.Environment) *rest.Config {
	t.Helper()
	programtest.APIServer(t)
	config, err := environment.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := environment.Stop(); err != nil {
			t.Error(err)
		}
	})
	return config
}

// TestAPIServerAcceptsChart creates the objects of the chart with strict validation, so that an
// unknown field is an error.
func TestAPIServerAcceptsChart(t *testing.T) {
	cluster, err := client.New(startAPIServer(t, &envtest.Environment{}), client.Options{})
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
		t.Errorf("the chart with all parts has %v", kinds)
	}
}

// TestUpdatesOfConfiguredKinds checks which updates of a kind in webhook.kinds are sent to the
// webhook: those that may change one of its pod templates. The webhook doesn't run here, so
// requests that are sent fail.
func TestUpdatesOfConfiguredKinds(t *testing.T) {
	environment := &envtest.Environment{CRDs: []*apiextensionsv1.CustomResourceDefinition{rayClusters()}}
	cluster, err := client.New(startAPIServer(t, environment), client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := cluster.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}); err != nil {
		t.Fatal(err)
	}
	ray := object(t, `
apiVersion: ray.io/v1
kind: RayCluster
metadata: {namespace: shop, name: ray}
spec:
  headGroupSpec: {template: {spec: {containers: [{name: ray, image: a}]}}}
  workerGroupSpecs: [{replicas: 2, template: {spec: {containers: [{name: ray, image: a}]}}}]
`)
	if err := cluster.Create(t.Context(), ray); err != nil {
		t.Fatal(err)
	}
	if err := cluster.Create(t.Context(), configuration(t)); err != nil {
		t.Fatal(err)
	}
	another := func() error {
		o := ray.DeepCopy()
		o.SetName("another")
		o.SetResourceVersion("")
		return cluster.Create(t.Context(), o, client.DryRunAll)
	}
	if err := wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, 30*time.Second, true, func(context.Context) (bool, error) {
		return unreachable(another()), nil
	}); err != nil {
		t.Fatalf("waiting until the API server calls the webhook: %v (last: %v)", err, another())
	}

	for name, test := range map[string]struct {
		change string
		sent   bool
	}{
		"a label":                   {`{"metadata":{"labels":{"a":"b"}}}`, false},
		"a field without templates": {`{"spec":{"suspend":true}}`, false},
		"next to a template":        {`{"spec":{"headGroupSpec":{"rayStartParams":{"a":"b"}}}}`, false},
		"a template":                {`{"spec":{"headGroupSpec":{"template":{"spec":{"containers":[{"name":"ray","image":"b"}]}}}}}`, true},
		"a removed template":        {`{"spec":{"headGroupSpec":null}}`, true},
		"a list of templates":       {`{"spec":{"workerGroupSpecs":[]}}`, true},
		"a template in a list":      {`{"spec":{"workerGroupSpecs":[{"template":{"spec":{"containers":[{"name":"ray","image":"b"}]}}}]}}`, true},
		"a stamp":                   {`{"metadata":{"annotations":{"envladder.dev/environment":"dev"}}}`, true},
		"another annotation":        {`{"metadata":{"annotations":{"envladder.dev/other":"x"}}}`, false},
	} {
		err := cluster.Patch(t.Context(), ray.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(test.change)), client.DryRunAll)
		if test.sent && !unreachable(err) || !test.sent && err != nil {
			t.Errorf("%s: sent is %t, want %t: %v", name, unreachable(err), test.sent, err)
		}
	}
}

// configuration returns the webhook's configuration from the chart with everything.
func configuration(t *testing.T) *unstructured.Unstructured {
	t.Helper()
	manifests, err := renderWith(t, everything)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range manifests {
		if o := object(t, m.Content); o.GetKind() == "ValidatingWebhookConfiguration" {
			return o
		}
	}
	t.Fatal("the chart renders no ValidatingWebhookConfiguration")
	return nil
}

// object parses a document.
func object(t *testing.T, document string) *unstructured.Unstructured {
	t.Helper()
	var o unstructured.Unstructured
	if err := yaml.Unmarshal([]byte(document), &o.Object); err != nil {
		t.Fatal(err)
	}
	return &o
}

// unreachable reports whether a request failed because the API server couldn't call the
// webhook.
func unreachable(err error) bool {
	return err != nil && strings.Contains(err.Error(), `failed calling webhook "validate.envladder.dev"`)
}

// rayClusters returns a CRD that accepts any fields.
func rayClusters() *apiextensionsv1.CustomResourceDefinition {
	return &apiextensionsv1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{Name: "rayclusters.ray.io"},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: "ray.io", Scope: apiextensionsv1.NamespaceScoped,
			Names: apiextensionsv1.CustomResourceDefinitionNames{Kind: "RayCluster", Plural: "rayclusters", Singular: "raycluster", ListKind: "RayClusterList"},
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
				Name: "v1", Served: true, Storage: true,
				Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{
					Type: "object", XPreserveUnknownFields: new(true),
				}},
			}},
		},
	}
}

func TestHelmLint(t *testing.T) {
	helm := programtest.Helm(t)
	values := filepath.Join(t.TempDir(), "values.yaml")
	if err := os.WriteFile(values, []byte(everything), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, arguments := range [][]string{nil, {"--values", values}} {
		lint := exec.CommandContext(t.Context(), helm, append([]string{"lint", "--strict", "../../charts/envladder"}, arguments...)...)
		if output, err := lint.CombinedOutput(); err != nil {
			t.Errorf("helm lint %v: %v\n%s", arguments, err, output)
		}
	}
}

func TestPartsCanBeEnabledSeparately(t *testing.T) {
	for part, values := range map[string]string{
		"webhook":  "webhook: {enabled: true, enforce: [shop], tls: {caBundle: PEM}}",
		"observer": "observer: {enabled: true, keySecret: key}",
		"appset":   "appset: {enabled: true, tokenSecret: token, ladders: [{name: shop, configMap: ladder-shop}]}",
	} {
		t.Run(part, func(t *testing.T) {
			manifests, err := renderWith(t, "crds: {install: false}\n"+withRegistry+values)
			if err != nil {
				t.Fatal(err)
			}
			guarded := false
			for _, m := range manifests {
				source := strings.TrimSuffix(filepath.Base(m.Source), ".yaml")
				guarded = guarded || source == "guard"
				if source != part && source != "guard" {
					t.Errorf("unexpected object of %s", m.Source)
				}
			}
			if guarded != (part != "appset") {
				t.Errorf("the guard is rendered: %v", guarded)
			}
		})
	}
}

func TestChartRejectsInvalidValues(t *testing.T) {
	for name, test := range map[string]struct{ values, want string }{
		"own namespace":                 {"webhook: {enabled: true, enforce: [envladder], tls: {caBundle: PEM}}", "could then prevent itself"},
		"namespaces of the cluster":     {"webhook: {enabled: true, audit: [kube-system], tls: {caBundle: PEM}}", "could then prevent itself"},
		"webhook without namespaces":    {"webhook: {enabled: true, tls: {caBundle: PEM}}", "name the namespaces"},
		"a certificate without its CA":  {"webhook: {enabled: true, enforce: [shop], tls: {secretName: tls}}", "webhook.tls.caBundle is empty"},
		"unknown ungatedNamespaces":     {"webhook: {enabled: true, enforce: [shop], ungatedNamespaces: Maybe}", "use Allow or Deny"},
		"certificate without issuer":    {"webhook: {enabled: true, enforce: [shop], tls: {certManager: {enabled: true}}}", "issuerRef is empty"},
		"a kind without a version":      {"webhook: {enabled: true, enforce: [shop], tls: {caBundle: PEM}, kinds: [{kind: ray.io/RayCluster, resource: r, paths: [spec.template]}]}", "write group/version/Kind"},
		"guard without admins":          {"webhook: {enabled: true, enforce: [shop]}\nguard: {admins: {groups: []}}", "guard.admins is empty"},
		"admin without a namespace":     {"webhook: {enabled: true, enforce: [shop]}\nguard: {admins: {serviceAccounts: [argocd]}}", "write namespace/name"},
		"writer without a namespace":    {"observer: {enabled: true, keySecret: key}\nguard: {namespace: {writers: [calico]}}", "write namespace/name"},
		"trusted roots teams can write": {"webhook: {enabled: true, enforce: [shop], trustedRoots: {configMap: ladder-roots}}", "lets teams write ConfigMaps"},
		"two sources of trusted roots":  {"webhook: {enabled: true, enforce: [shop], trustedRoots: {configMap: a, secret: b}}", "name one"},
		"observer without a key":        {"observer: {enabled: true}", "set exactly one of observer.keySecret"},
		"observer with two keys":        {"observer: {enabled: true, keySecret: key, kms: \"awskms:///alias/observer\"}", "set exactly one of observer.keySecret"},
		"observer's KMS without a seal": {"observer: {enabled: true, kms: \"awskms:///alias/observer\"}", "observer.sealSecret is empty"},
		"keyless without a timestamp":   {"observer: {enabled: true, sealSecret: seal, keyless: {fulcioURL: \"https://fulcio.example.com\"}}", "observer.timestampURL is empty"},
		"previews without a token":      {"appset: {enabled: true, ladders: [{name: shop, configMap: l}]}", "appset.tokenSecret is empty"},
		"previews without a ladder":     {"appset: {enabled: true, tokenSecret: t}", "appset.ladders is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := renderWith(t, withRegistry+test.values); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}

// TestImageWithoutRegistry checks that each part requires a registry with a host: an image name
// without a host refers to Docker Hub.
func TestImageWithoutRegistry(t *testing.T) {
	for part, values := range map[string]string{
		"webhook":  "webhook: {enabled: true, enforce: [shop]IMAGE}",
		"observer": "observer: {enabled: true, keySecret: keyIMAGE}",
		"appset":   "appset: {enabled: true, tokenSecret: token, ladders: [{name: shop, configMap: ladder-shop}]IMAGE}",
	} {
		for registry, test := range map[string]struct{ repository, want string }{
			``:                                     {"", "Docker Hub"},
			`image: {registry: acme}`:              {"", "Docker Hub"},
			`image: {registry: docker.io/acme}`:    {"", ""},
			`image: {registry: "localhost:5000/"}`: {"", ""},
			`image: {registry: ""}`:                {"registry.example.com/platform/it", ""},
		} {
			image := ""
			if test.repository != "" {
				image = ", image: {repository: " + test.repository + "}"
			}
			_, err := renderWith(t, registry+"\n"+strings.Replace(values, "IMAGE", image, 1))
			switch {
			case test.want == "" && err != nil:
				t.Errorf("%s with %q: %v", part, registry, err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), part)):
				t.Errorf("%s with %q: error %v, want one that names it and %s", part, registry, err, test.want)
			}
		}
	}
}

// TestGuardIsSameInAllParts checks that both manifests have the same guard, so that their order
// doesn't matter in a cluster with both.
func TestGuardIsSameInAllParts(t *testing.T) {
	var guards []string
	for _, part := range []string{"webhook", "observer"} {
		text := ""
		for _, object := range readPart(t, part) {
			if strings.HasPrefix(object.GetKind(), "ValidatingAdmissionPolicy") {
				data, err := yaml.Marshal(object)
				if err != nil {
					t.Fatal(err)
				}
				text += string(data)
			}
		}
		guards = append(guards, text)
	}
	if diff := cmp.Diff(guards[0], guards[1]); diff != "" || guards[0] == "" {
		t.Errorf("manifests/webhook.yaml and observer.yaml (-webhook +observer):\n%s", diff)
	}
}

// TestPlainManifestsAreCurrent checks that the manifests match the chart.
func TestPlainManifestsAreCurrent(t *testing.T) {
	root := t.TempDir()
	for _, folder := range []string{"charts", "hack"} {
		if err := os.CopyFS(filepath.Join(root, folder), os.DirFS(filepath.Join("..", "..", folder))); err != nil {
			t.Fatal(err)
		}
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
			t.Errorf("manifests/%s doesn't match the chart: run: make generate", name)
		}
	}
}

// TestTrustedRootsFolder checks that trusted roots are mounted in the folder of the flag.
func TestTrustedRootsFolder(t *testing.T) {
	for values, want := range map[string]corev1.VolumeSource{
		"{}":                   {},
		"{configMap: corp-ca}": {ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "corp-ca"}}},
		"{secret: corp-ca}":    {Secret: &corev1.SecretVolumeSource{SecretName: "corp-ca"}},
	} {
		t.Run(values, func(t *testing.T) {
			pod := webhookPod(t, "{enabled: true, enforce: [shop], trustedRoots: "+values+"}")
			folder := ""
			for _, mount := range pod.Containers[0].VolumeMounts {
				if mount.Name == "trusted-roots" {
					folder = mount.MountPath
				}
			}
			var got corev1.VolumeSource
			for _, volume := range pod.Volumes {
				if volume.Name == "trusted-roots" {
					got = volume.VolumeSource
				}
			}
			set := slices.Contains(pod.Containers[0].Args, "--trusted-roots="+folder)
			if set != (values != "{}") || (folder != "") != set {
				t.Errorf("mounted at %q, with the arguments %q", folder, pod.Containers[0].Args)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("the volume (-want +got):\n%s", diff)
			}
		})
	}
}

func TestForgeCAs(t *testing.T) {
	const base = "appset: {enabled: true, tokenSecret: token, ladders: [{name: shop, configMap: ladder-shop}], "
	for values, want := range map[string]map[string]string{
		"gitea: {url: 'https://git.example.com'}": {},
		"gitea: {caConfigMap: unused}":            {},
		"gitea: {url: 'https://git.example.com', caConfigMap: corp-ca}, gitHub: {caConfigMap: other-ca}": {
			"--gitea-ca-file": "corp-ca", "--github-ca-file": "other-ca",
		},
	} {
		t.Run(values, func(t *testing.T) {
			pod := podOf(t, base+values+"}")
			got := map[string]string{}
			for _, argument := range pod.Containers[0].Args {
				flag, file, _ := strings.Cut(argument, "=")
				if !strings.HasSuffix(flag, "-ca-file") {
					continue
				}
				got[flag] = configMapAt(pod, filepath.Dir(file))
				if filepath.Base(file) != "ca.crt" {
					t.Errorf("%s isn't a key of the ConfigMap", file)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("the ConfigMap by the flag (-want +got):\n%s", diff)
			}
		})
	}
}

// configMapAt returns the name of the ConfigMap that is mounted in a folder.
func configMapAt(pod corev1.PodSpec, folder string) string {
	for _, mount := range pod.Containers[0].VolumeMounts {
		for _, volume := range pod.Volumes {
			if mount.MountPath == folder && mount.Name == volume.Name && volume.ConfigMap != nil {
				return volume.ConfigMap.Name
			}
		}
	}
	return ""
}

// webhookPod returns the pod of the webhook with these values.
func webhookPod(t *testing.T, values string) corev1.PodSpec {
	t.Helper()
	return podOf(t, "webhook: "+values)
}

// podOf returns the pod of the Deployment that the chart renders with these values.
func podOf(t *testing.T, values string) corev1.PodSpec {
	t.Helper()
	manifests, err := renderWith(t, withRegistry+values)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range manifests {
		var deployment appsv1.Deployment
		if err := yaml.Unmarshal([]byte(m.Content), &deployment); err == nil && deployment.Kind == "Deployment" {
			return deployment.Spec.Template.Spec
		}
	}
	t.Fatal("the chart renders no Deployment")
	return corev1.PodSpec{}
}

// selectors returns the namespace selector of each webhook, by the webhook's name.
func selectors(t *testing.T, values string) map[string]string {
	t.Helper()
	manifests, err := renderWith(t, withRegistry+values)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, m := range manifests {
		var hook admissionregistrationv1.ValidatingWebhookConfiguration
		if err := yaml.Unmarshal([]byte(m.Content), &hook); err != nil || hook.Kind != "ValidatingWebhookConfiguration" {
			continue
		}
		for _, w := range hook.Webhooks {
			e := w.NamespaceSelector.MatchExpressions[0]
			found[w.Name] = fmt.Sprintf("%s %s %s %v", *w.FailurePolicy, e.Key, e.Operator, e.Values)
		}
	}
	return found
}

func TestNamespaceSelectors(t *testing.T) {
	const name = "kubernetes.io/metadata.name"
	for values, want := range map[string]map[string]string{
		"{enforce: [shop, bank], audit: [trial]}": {
			"validate.envladder.dev": "Fail " + name + " In [shop bank]",
			"audit.envladder.dev":    "Ignore " + name + " In [trial]",
		},
		"{audit: [trial]}": {"audit.envladder.dev": "Ignore " + name + " In [trial]"},
		"{ungatedNamespaces: Deny, excluded: [argocd, cni], audit: [trial]}": {
			"validate.envladder.dev": "Fail " + name + " NotIn [envladder kube-system kube-public kube-node-lease argocd cni trial]",
			"audit.envladder.dev":    "Ignore " + name + " In [trial]",
		},
		"{ungatedNamespaces: Deny, enforce: [shop]}": {
			"validate.envladder.dev": "Fail " + name + " NotIn [envladder kube-system kube-public kube-node-lease]",
		},
	} {
		got := selectors(t, "webhook: "+strings.Replace(values, "{", "{enabled: true, ", 1))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", values, diff)
		}
	}
}
