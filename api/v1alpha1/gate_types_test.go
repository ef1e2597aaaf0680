package v1alpha1_test

import (
	"context"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/programtest"
)

func readDesign(t *testing.T) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/design.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func createDesign(t *testing.T, c client.Client) *v1alpha1.Gate {
	t.Helper()
	g, _, err := v1alpha1.DecodeGate(readDesign(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Create(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// The test's own context is over by then.
		if err := c.Delete(context.WithoutCancel(t.Context()), g); err != nil {
			t.Error(err)
		}
	})
	return g
}

func TestServerAcceptsFullGate(t *testing.T) {
	_, c := server(t)
	file, unknown, err := v1alpha1.DecodeGate(readDesign(t))
	if err != nil || len(unknown) > 0 {
		t.Fatalf("unknown %q, error %v", unknown, err)
	}
	object := unstructuredOf(t, parse(t, readDesign(t)))
	// Strict: a field that the CRD lacks would otherwise be dropped without a word.
	if err := c.Create(t.Context(), object, client.FieldValidation("Strict"), client.DryRunAll); err != nil {
		t.Fatal(err)
	}
	served, unknown, err := v1alpha1.GateFrom(object.Object)
	if err != nil || len(unknown) > 0 {
		t.Fatalf("unknown %q, error %v", unknown, err)
	}
	if diff := cmp.Diff(file.Spec, served.Spec); diff != "" {
		t.Errorf("the file and what the server makes of it differ (-file +server):\n%s", diff)
	}
}

func TestSetDefaultsMatchesServer(t *testing.T) {
	_, c := server(t)
	object := parse(t, readDesign(t))
	spec := object["spec"].(map[string]any)
	delete(spec, "action")
	delete(spec["requires"].(map[string]any)["approvals"].(map[string]any), "count")
	delete(spec["exceptions"].(map[string]any), "count")
	delete(spec["provenHere"].(map[string]any), "maxAge")
	delete(spec["exemptImages"].([]any)[0].(map[string]any), "tags")

	file, _, err := v1alpha1.GateFrom(object)
	if err != nil {
		t.Fatal(err)
	}
	served := unstructuredOf(t, object)
	if err := c.Create(t.Context(), served, client.DryRunAll); err != nil {
		t.Fatal(err)
	}
	// Into the bare types, so that the server's defaults alone are seen.
	data, err := json.Marshal(served)
	if err != nil {
		t.Fatal(err)
	}
	var got v1alpha1.Gate
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(file.Spec, got.Spec); diff != "" {
		t.Errorf("SetDefaults and the server differ (-file +server):\n%s", diff)
	}
}

func TestStatusSubresource(t *testing.T) {
	_, c := server(t)
	g := createDesign(t, c)
	g.Status.ObservedGeneration = g.Generation
	g.Status.Conditions = []metav1.Condition{{
		Type: v1alpha1.ConditionAccepted, Status: metav1.ConditionFalse, Reason: "GateInvalid",
		Message: "x", LastTransitionTime: metav1.NewTime(time.Unix(1e9, 0)), ObservedGeneration: g.Generation,
	}}
	if err := c.Status().Update(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	var got v1alpha1.Gate
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(g), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(g.Status, got.Status); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	if got.Generation != 1 {
		t.Errorf("writing the status made generation %d", got.Generation)
	}
	got.Status.Conditions = nil
	if err := c.Update(t.Context(), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Status.Conditions) != 1 {
		t.Error("who may write the Gate wrote its status")
	}

	want := []string{"shop-prod", "prod", `["shop"]`, "Deny", "False"}
	if diff := cmp.Diff(want, columns(t, "gates", "shop-prod")[:len(want)]); diff != "" {
		t.Errorf("columns of kubectl get gates (-want +got):\n%s", diff)
	}
}

// columns returns the cells of a row as kubectl get shows them.
func columns(t *testing.T, resource, name string) []string {
	t.Helper()
	config, _ := server(t)
	var table metav1.Table
	request(t, config, "/apis/envladder.dev/v1alpha1/"+resource+"/"+name, "application/json;as=Table;v=v1;g=meta.k8s.io", &table)
	var cells []string
	for _, cell := range table.Rows[0].Cells {
		text, ok := cell.(string)
		if !ok {
			data, err := json.Marshal(cell)
			if err != nil {
				t.Fatal(err)
			}
			text = string(data)
		}
		cells = append(cells, text)
	}
	return cells
}

func request(t *testing.T, config *rest.Config, path, accept string, into any) {
	t.Helper()
	c, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	data, err := c.RESTClient().Get().AbsPath(path).SetHeader("Accept", accept).DoRaw(t.Context())
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func TestRecalls(t *testing.T) {
	_, c := server(t)
	digest := "sha256:" + strings.Repeat("0", 64)
	recall := func(digests ...string) *v1alpha1.Recall {
		r := &v1alpha1.Recall{Spec: v1alpha1.RecallSpec{Digests: digests, Reason: "CVE-2026-1"}}
		r.Name = "bad"
		return r
	}
	for name, test := range map[string]struct {
		recall *v1alpha1.Recall
		want   string
	}{
		"a digest that is short":      {recall("sha256:00"), `spec.digests[0]: Invalid value: "sha256:00"`},
		"a digest in capital letters": {recall("sha256:" + strings.Repeat("A", 64)), "spec.digests[0]: Invalid value"},
		"an image":                    {recall("a.example.com/b@" + digest), "spec.digests[0]"},
		"a digest twice":              {recall(digest, digest), "spec.digests[1]: Duplicate value"},
		"no digest":                   {recall(), "spec.digests"},
		"no reason":                   {&v1alpha1.Recall{ObjectMeta: recall().ObjectMeta, Spec: v1alpha1.RecallSpec{Digests: []string{digest}}}, "spec.reason: Invalid value"},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.Create(t.Context(), test.recall, client.DryRunAll)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("want an error with %q, have %v", test.want, err)
			}
		})
	}
	if err := c.Create(t.Context(), recall(digest)); err != nil {
		t.Fatal(err)
	}
	want := []string{"bad", `["` + digest + `"]`, "CVE-2026-1"}
	if diff := cmp.Diff(want, columns(t, "recalls", "bad")[:len(want)]); diff != "" {
		t.Errorf("columns of kubectl get recalls (-want +got):\n%s", diff)
	}
}

// TestExplain asks what kubectl explain asks: every field has its doc in the API
// server's OpenAPI.
func TestExplain(t *testing.T) {
	config, _ := server(t)
	var document struct {
		Components struct {
			Schemas map[string]schema `json:"schemas"`
		} `json:"components"`
	}
	request(t, config, "/openapi/v3/apis/envladder.dev/v1alpha1", "application/json", &document)
	gate := document.Components.Schemas["dev.envladder.v1alpha1.Gate"]
	recall := document.Components.Schemas["dev.envladder.v1alpha1.Recall"]
	if want := "Gate defines the namespaces of an environment"; !strings.HasPrefix(gate.Description, want) {
		t.Errorf("the Gate's doc is %q", gate.Description)
	}
	fields := undocumented(t, "Gate.spec", gate.Properties["spec"]) + undocumented(t, "Recall.spec", recall.Properties["spec"])
	if fields < 50 {
		t.Errorf("found %d fields only; is this the schema?", fields)
	}
}

// TestKubectlExplain runs the real kubectl.
func TestKubectlExplain(t *testing.T) {
	config, _ := server(t)
	kubectl := programtest.Kubectl(t)
	admin, err := environment.AddUser(adminUser, config)
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig, err := admin.KubeConfig()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, kubeconfig, 0o600); err != nil {
		t.Fatal(err)
	}
	for field, want := range map[string]string{
		"gate.spec.requires.soak.duration": "duration of healthy time, such as 24h or 90m.",
		"gate.spec.images.mirrors":         "are other repositories from which pods may pull",
		"recall.spec.digests":              "each sha256:<64 hex digits>",
	} {
		out, err := exec.CommandContext(t.Context(), kubectl, "--kubeconfig", path, "--cache-dir", t.TempDir(), "explain", field).CombinedOutput()
		if err != nil {
			t.Fatalf("kubectl explain %s: %v\n%s", field, err, out)
		}
		if text := strings.Join(strings.Fields(string(out)), " "); !strings.Contains(text, want) {
			t.Errorf("kubectl explain %s says\n%s\nwant %q", field, out, want)
		}
	}
}

type schema struct {
	Description string            `json:"description"`
	Properties  map[string]schema `json:"properties"`
	Items       *schema           `json:"items"`
}

// undocumented reports fields without a doc, and counts all.
func undocumented(t *testing.T, path string, s schema) (fields int) {
	t.Helper()
	if s.Description == "" {
		t.Errorf("%s has no doc", path)
	}
	if s.Items != nil {
		s.Properties = s.Items.Properties
	}
	for name, field := range s.Properties {
		fields += 1 + undocumented(t, path+"."+name, field)
	}
	return fields
}

// refused is a document of testdata/refused.txtar.
type refused struct {
	name          string
	object        map[string]any
	server, check string // what they say; empty: they accept it
}

func readRefused(t *testing.T) (base map[string]any, all []refused) {
	t.Helper()
	archive, err := txtar.ParseFile("testdata/refused.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range archive.Files {
		if file.Name == "base" {
			base = parse(t, file.Data)
			continue
		}
		r := refused{name: file.Name, object: merge(base, parse(t, file.Data)).(map[string]any)}
		for line := range strings.Lines(string(file.Data)) {
			if text, ok := strings.CutPrefix(line, "# server: "); ok {
				r.server = strings.TrimSpace(text)
			}
			if text, ok := strings.CutPrefix(line, "# check: "); ok {
				r.check = strings.TrimSpace(text)
			}
		}
		if r.server == "" && r.check == "" {
			t.Fatalf("%s: neither the server nor Check refuses it", r.name)
		}
		all = append(all, r)
	}
	return base, all
}

func parse(t *testing.T, data []byte) map[string]any {
	t.Helper()
	var object map[string]any
	if err := yaml.UnmarshalStrict(data, &object); err != nil {
		t.Fatal(err)
	}
	return object
}

// merge returns RFC 7386's JSON merge patch.
func merge(into, patch any) any {
	changes, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	result := map[string]any{}
	if object, ok := into.(map[string]any); ok {
		maps.Copy(result, object)
	}
	for key, change := range changes {
		if change == nil {
			delete(result, key)
			continue
		}
		result[key] = merge(result[key], change)
	}
	return result
}

func TestGateRejected(t *testing.T) {
	_, c := server(t)
	base, all := readRefused(t)
	if err := c.Create(t.Context(), unstructuredOf(t, base), client.DryRunAll); err != nil {
		t.Fatalf("the base must be accepted: %v", err)
	}
	if problems := check(t, base); len(problems) > 0 {
		t.Fatalf("the base must be accepted: %v", problems)
	}
	for _, r := range all {
		t.Run(r.name, func(t *testing.T) {
			err := c.Create(t.Context(), unstructuredOf(t, r.object), client.DryRunAll)
			switch {
			case r.server == "" && err != nil:
				t.Errorf("the server rejects it: add # server: to the case: %v", err)
			case r.server != "" && err == nil:
				t.Errorf("the server accepts it; want %q", r.server)
			case r.server != "" && !strings.Contains(err.Error(), r.server):
				t.Errorf("the server reports\n%v\nwant\n%s", err, r.server)
			}

			problems := check(t, r.object)
			if text := strings.Join(problems, "\n"); !strings.Contains(text, r.check) {
				t.Errorf("Check reports\n%s\nwant\n%s", text, r.check)
			}
			if r.check == "" && len(problems) > 0 {
				t.Errorf("Check rejects it: add # check: to the case: %q", problems)
			}
		})
	}
}

func check(t *testing.T, object map[string]any) []string {
	t.Helper()
	g, unknown, err := v1alpha1.GateFrom(object)
	if err != nil {
		t.Fatal(err)
	}
	if len(unknown) > 0 {
		t.Fatalf("unknown fields %q", unknown)
	}
	var problems []string
	for _, reason := range gate.Check(g) {
		problems = append(problems, reason.Message)
	}
	return problems
}

// unstructuredOf copies an object as JSON would bring it.
func unstructuredOf(t *testing.T, object map[string]any) *unstructured.Unstructured {
	t.Helper()
	data, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	u := &unstructured.Unstructured{}
	if err := u.UnmarshalJSON(data); err != nil {
		t.Fatal(err)
	}
	return u
}
