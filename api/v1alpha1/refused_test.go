package v1alpha1_test

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
)

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

func TestRefusedGates(t *testing.T) {
	_, c := server(t)
	base, all := readRefused(t)
	if err := c.Create(t.Context(), unstructuredOf(t, base), client.DryRunAll); err != nil {
		t.Fatalf("the base must be accepted: %v", err)
	}
	if faults := check(t, base); len(faults) > 0 {
		t.Fatalf("the base must be accepted: %v", faults)
	}
	for _, r := range all {
		t.Run(r.name, func(t *testing.T) {
			err := c.Create(t.Context(), unstructuredOf(t, r.object), client.DryRunAll)
			switch {
			case r.server == "" && err != nil:
				t.Errorf("the server refuses it, say so (# server:): %v", err)
			case r.server != "" && err == nil:
				t.Errorf("the server accepts it; want %q", r.server)
			case r.server != "" && !strings.Contains(err.Error(), r.server):
				t.Errorf("the server says\n%v\nwant\n%s", err, r.server)
			}

			faults := check(t, r.object)
			if text := strings.Join(faults, "\n"); !strings.Contains(text, r.check) {
				t.Errorf("Check says\n%s\nwant\n%s", text, r.check)
			}
			if r.check == "" && len(faults) > 0 {
				t.Errorf("Check refuses it, say so (# check:): %q", faults)
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
	var faults []string
	for _, reason := range gate.Check(g) {
		faults = append(faults, reason.Message)
	}
	return faults
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
