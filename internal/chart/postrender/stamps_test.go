package postrender_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/chart/manifest"
	"github.com/envladder/envladder/internal/chart/postrender"
)

var stamps = postrender.Stamps{Ladder: "shop", Environment: "on", Target: "eu", ChartDigest: "sha256:aa"}

func stamp(t *testing.T, s postrender.Stamps, content string) string {
	t.Helper()
	stamped, err := postrender.Run(manifest.Manifests{{Source: "t.yaml", Content: content}}, postrender.Options{Stamps: &s})
	if err != nil {
		t.Fatal(err)
	}
	return stamped[0].Content
}

func TestStamps(t *testing.T) {
	const all = `    envladder.dev/ladder: shop
    envladder.dev/environment: "on"
    envladder.dev/target: eu
    envladder.dev/chart-digest: sha256:aa
`
	for _, tt := range []struct{ name, in, want string }{
		{
			"workload and pod template",
			"apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\nspec:\n  template:\n    metadata:\n      labels: {a: b}\n",
			"apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\n  annotations:\n" + all +
				"spec:\n  template:\n    metadata:\n      labels: {a: b}\n      annotations:\n        envladder.dev/ladder: shop\n        envladder.dev/environment: \"on\"\n        envladder.dev/target: eu",
		}, {
			"existing annotations, comments and notations stay",
			"kind: Pod\nmetadata:\n  # why\n  annotations:\n    a: 'b' # quoted\n  name: 0755\nspec:\n- 1e3\n- on\n- |\n  two\n  lines",
			"kind: Pod\nmetadata:\n  # why\n  annotations:\n    a: 'b' # quoted\n" + all + "  name: 0755\nspec:\n- 1e3\n- on\n- |\n  two\n  lines",
		}, {
			"null and empty annotations",
			"kind: Pod\nmetadata:\n  annotations:\n  name: x\n",
			"kind: Pod\nmetadata:\n  annotations:\n" + all + "  name: x",
		}, {
			"stamps of the chart are overwritten",
			"kind: Pod\nmetadata:\n  annotations: {envladder.dev/environment: prod, b: c}\n",
			"kind: Pod\nmetadata:\n  annotations:\n    b: c\n" + strings.TrimSuffix(all, "\n"),
		}, {
			"no metadata",
			"kind: Pod\n",
			"kind: Pod\nmetadata:\n  annotations:\n" + strings.TrimSuffix(all, "\n"),
		}, {
			"other kinds stay byte for byte",
			"kind:   ConfigMap\ndata: {kind: Pod}   # Deployment",
			"kind:   ConfigMap\ndata: {kind: Pod}   # Deployment",
		}, {
			"workload without a pod template",
			"kind: Rollout\nspec:\n  workloadRef: {kind: Deployment}\n",
			"kind: Rollout\nspec:\n  workloadRef: {kind: Deployment}\nmetadata:\n  annotations:\n" + strings.TrimSuffix(all, "\n"),
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, stamp(t, stamps, tt.in)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// annotationsAt returns the annotations of the metadata at keys.
func annotationsAt(t *testing.T, content string, keys ...string) map[string]any {
	t.Helper()
	var object map[string]any
	if err := yaml.Unmarshal([]byte(content), &object); err != nil {
		t.Fatalf("%v:\n%s", err, content)
	}
	for _, key := range append(keys, "metadata", "annotations") {
		object, _ = object[key].(map[string]any)
	}
	return object
}

var (
	own    = map[string]any{v1alpha1.AnnotationLadder: "shop", v1alpha1.AnnotationEnvironment: "on", v1alpha1.AnnotationTarget: "eu", v1alpha1.AnnotationChartDigest: "sha256:aa"}
	onPods = map[string]any{v1alpha1.AnnotationLadder: "shop", v1alpha1.AnnotationEnvironment: "on", v1alpha1.AnnotationTarget: "eu"}
)

func TestStampsByKind(t *testing.T) {
	for kind, template := range map[string][]string{
		"Deployment": {"spec", "template"}, "StatefulSet": {"spec", "template"}, "DaemonSet": {"spec", "template"},
		"ReplicaSet": {"spec", "template"}, "ReplicationController": {"spec", "template"}, "Rollout": {"spec", "template"},
		"Job": {"spec", "template"}, "PodTemplate": {"template"},
	} {
		t.Run(kind, func(t *testing.T) {
			got := stamp(t, stamps, "kind: "+kind+"\nspec: {template: {spec: {}}}\ntemplate: {metadata: {annotations: {envladder.dev/chart-digest: forged}}}\n")
			if diff := cmp.Diff(own, annotationsAt(t, got)); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(onPods, annotationsAt(t, got, template...)); diff != "" {
				t.Errorf("pod template: %s", diff)
			}
		})
	}
	t.Run("CronJob, Jobs and pods", func(t *testing.T) {
		got := stamp(t, stamps, "kind: CronJob\nspec: {jobTemplate: {spec: {template: {spec: {}}}}}\n")
		for _, keys := range [][]string{nil, {"spec", "jobTemplate"}} {
			if diff := cmp.Diff(own, annotationsAt(t, got, keys...)); diff != "" {
				t.Errorf("%q: %s", keys, diff)
			}
		}
		if diff := cmp.Diff(onPods, annotationsAt(t, got, "spec", "jobTemplate", "spec", "template")); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("items of a List", func(t *testing.T) {
		got := stamp(t, stamps, "kind: List\nitems:\n- {kind: ConfigMap}\n- {kind: Pod}\n")
		var list struct{ Items []map[string]any }
		if err := yaml.Unmarshal([]byte(got), &list); err != nil {
			t.Fatal(err)
		}
		want := []map[string]any{{"kind": "ConfigMap"}, {"kind": "Pod", "metadata": map[string]any{"annotations": own}}}
		if diff := cmp.Diff(want, list.Items); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("object with items is a list to Argo CD", func(t *testing.T) {
		got := stamp(t, stamps, "kind: Pod\nitems:\n- {kind: Pod}\n")
		if diff := cmp.Diff(map[string]any(nil), annotationsAt(t, got)); diff != "" || !strings.Contains(got, "envladder.dev/ladder") {
			t.Errorf("%s\n%s", diff, got)
		}
	})
	t.Run("kind from an alias", func(t *testing.T) {
		got := stamp(t, stamps, "a: &a {kind: Pod}\n<<: *a\n")
		if diff := cmp.Diff(own, annotationsAt(t, got)); diff != "" {
			t.Errorf("%s\n%s", diff, got)
		}
	})
	t.Run("kind in base64", func(t *testing.T) {
		got := stamp(t, stamps, "kind: !<tag:yaml.org,2002:%62inary> UG9k\n")
		if diff := cmp.Diff(own, annotationsAt(t, got)); diff != "" {
			t.Errorf("%s\n%s", diff, got)
		}
	})
	t.Run("kind with escapes", func(t *testing.T) {
		got := stamp(t, stamps, "kind: \"\\x50od\"\n")
		if diff := cmp.Diff(own, annotationsAt(t, got)); diff != "" {
			t.Errorf("%s\n%s", diff, got)
		}
	})
	t.Run("without a target", func(t *testing.T) {
		got := stamp(t, postrender.Stamps{Ladder: "shop", Environment: "dev", ChartDigest: "sha256:aa"}, "kind: Pod\nmetadata: {annotations: {envladder.dev/target: forged}}\n")
		if _, ok := annotationsAt(t, got)[v1alpha1.AnnotationTarget]; ok {
			t.Errorf("there is a target:\n%s", got)
		}
	})
}

func TestStampsInDocumentWithAliases(t *testing.T) {
	got := stamp(t, stamps, `kind: Deployment
metadata: &m
  annotations: {a: "on", big: "12345678901234567"}
spec:
  replicas: 12345678901234567
  template:
    metadata:
      <<: *m
      name: x
`)
	with := func(m map[string]any) map[string]any {
		out := map[string]any{"a": "on", "big": "12345678901234567"}
		maps.Copy(out, m)
		return out
	}
	if diff := cmp.Diff(with(own), annotationsAt(t, got)); diff != "" {
		t.Errorf("%s\n%s", diff, got)
	}
	if diff := cmp.Diff(with(onPods), annotationsAt(t, got, "spec", "template")); diff != "" {
		t.Errorf("%s\n%s", diff, got)
	}
	if !strings.Contains(got, "replicas: 12345678901234567\n") {
		t.Errorf("a number changed:\n%s", got)
	}
}

func TestStampsRejectInvalidMetadata(t *testing.T) {
	for _, content := range []string{"kind: Pod\nmetadata: name\n", "kind: Pod\nmetadata: {annotations: [a]}\n"} {
		if _, err := postrender.Run(manifest.Manifests{{Source: "t.yaml", Content: content}}, postrender.Options{Stamps: &stamps}); err == nil || !strings.Contains(err.Error(), `"t.yaml"`) {
			t.Errorf("error %v for %q", err, content)
		}
	}
}

// FuzzStamp checks that stamping changes only annotations, for the parser that Helm and
// Argo CD use.
func FuzzStamp(f *testing.F) {
	for _, seed := range []string{
		"kind: Deployment\nmetadata: {name: on}\nspec: {template: {}}\n",
		"kind: Pod\nspec:\n  a: |+\n    x\n\n  b: >-\n    folded\n    text\n  c: \"\\u0007\"\n",
		"# c\nkind: Pod # d\nmetadata: &a {annotations: &b {x: y}}\nspec: *b\n",
		"{\"kind\": \"Pod\", \"spec\": [1, 2.50, 1e400, 0o7, 0x1F, 1_000, .inf, 2020-01-01]}",
		"kind: List\nitems: [{kind: Pod}, ~]\n",
		"kind: Pod\nspec: {a: !!str 1, b: ! 2, y: n, ? {c: d} : e}\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, content string) {
		var before any
		content = strings.TrimSpace(content) // as Helm renders it
		if err := yaml.Unmarshal([]byte(content+"\n"), &before); err != nil {
			t.Skip() // Helm has rejected it
		}
		stamped, err := postrender.Run(manifest.Manifests{{Content: content}}, postrender.Options{Stamps: &stamps})
		if err != nil {
			return
		}
		var after any
		if err := yaml.Unmarshal([]byte(stamped[0].Content+"\n"), &after); err != nil {
			t.Fatalf("stamped can't be parsed: %v\n%s", err, stamped[0].Content)
		}
		if diff := cmp.Diff(withoutStamps(before), withoutStamps(after)); diff != "" {
			t.Errorf("stamping changed more than annotations:\n%s\n%s", diff, stamped[0].Content)
		}
	})
}

// withoutStamps removes envladder's annotations, and what is empty without them.
func withoutStamps(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for key, value := range v {
			value = withoutStamps(value)
			empty, isMap := value.(map[string]any)
			switch {
			case strings.HasPrefix(key, "envladder.dev/"):
			case (key == "metadata" || key == "annotations") && (value == nil || isMap && len(empty) == 0):
			default:
				out[key] = value
			}
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = withoutStamps(item)
		}
		return out
	default:
		return v
	}
}
