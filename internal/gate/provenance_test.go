package gate_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
)

func TestProvenance(t *testing.T) {
	source := func(uri string) string { return `{"buildDefinition":{"externalParameters":{"source":` + uri + `}}}` }
	const this, evil = `{"uri":"git+https://github.com/example/shop@refs/heads/main"}`, `{"uri":"git+https://github.com/evil/shop@refs/heads/main"}`
	for name, test := range map[string]struct {
		predicate string
		want      []gate.Code
	}{
		"GitHub's workflow":                {`{"buildDefinition":{"externalParameters":{"workflow":{"repository":"https://github.com/example/shop","ref":"refs/heads/main"}}}}`, nil},
		"a workflow of another branch":     {`{"buildDefinition":{"externalParameters":{"workflow":{"repository":"https://github.com/example/shop","ref":"refs/heads/feature"}}}}`, []gate.Code{gate.OtherSource}},
		"a workflow that is a text":        {`{"buildDefinition":{"externalParameters":{"workflow":"build.yml"},"resolvedDependencies":[` + this + `]}}`, []gate.Code{gate.OtherSource}},
		"the source as a text":             {source(`"git+https://github.com/example/shop@refs/heads/main"`), nil},
		"the source as a descriptor":       {source(this), nil},
		"the source ends in .git":          {source(`"git+https://github.com/example/shop.git@refs/heads/main"`), nil},
		"the source with a user":           {source(`"git+https://ana@github.com/example/shop@refs/heads/main"`), []gate.Code{gate.OtherSource}},
		"no ref":                           {source(`"git+https://github.com/example/shop"`), []gate.Code{gate.OtherSource}},
		"a lookalike":                      {source(`"git+https://github.com/example/shop-evil@refs/heads/main"`), []gate.Code{gate.OtherSource}},
		"a lookalike of the host":          {source(`"git+https://github.com.evil.example/example/shop@refs/heads/main"`), []gate.Code{gate.OtherSource}},
		"the only dependency":              {`{"buildDefinition":{"resolvedDependencies":[{"uri":"pkg:docker/golang"},` + this + `]}}`, nil},
		"one dependency of two":            {`{"buildDefinition":{"resolvedDependencies":[` + evil + `,` + this + `]}}`, []gate.Code{gate.OtherSource}},
		"a dependency beside other source": {`{"buildDefinition":{"externalParameters":{"source":` + evil + `},"resolvedDependencies":[` + this + `]}}`, []gate.Code{gate.OtherSource}},
		"nothing":                          {`{}`, []gate.Code{gate.OtherSource}},
	} {
		t.Run(name, func(t *testing.T) {
			p := &gate.Provenance{}
			if err := json.Unmarshal([]byte(test.predicate), p); err != nil {
				t.Fatal(err)
			}
			p.RunDetails.Builder.ID = builder
			r := proven()
			r.Evidence[theProvenance].Provenance = p
			v := gate.Decide(r)
			if diff := cmp.Diff(append([]gate.Code{}, test.want...), codesOf(v)); diff != "" {
				t.Errorf("%+v (-want +got):\n%s", v.Reasons, diff)
			}
		})
	}
}

func TestTheBuilder(t *testing.T) {
	for is, want := range map[string]bool{builder: true, builder + "/": false, "https://github.com/actions/runner": false, "": false} {
		r := proven()
		r.Evidence[theProvenance].Provenance = built(is, sourceURI)
		if v := gate.Decide(r); v.Allowed != want {
			t.Errorf("builder %q: allowed %v: %+v", is, v.Allowed, v.Reasons)
		}
	}
	r := proven()
	r.Gate.Spec.Requires.Provenance = &v1alpha1.ProvenanceRequirement{By: []string{"ci"}}
	r.Evidence[theProvenance].Provenance = &gate.Provenance{}
	if v := gate.Decide(r); !v.Allowed {
		t.Errorf("where nothing but provenance is asked for: %+v", v.Reasons)
	}
	r.Evidence[theProvenance].Signer = "e2e"
	if v := gate.Decide(r); !cmp.Equal(codesOf(v), []gate.Code{gate.NoProvenance, gate.WrongSigner}) {
		t.Errorf("by another signer: %v", codesOf(v))
	}
}

// FuzzProvenance: whatever a builder says, it is judged, and junk is of no source.
func FuzzProvenance(f *testing.F) {
	f.Add([]byte(`{"buildDefinition":{"externalParameters":{"workflow":{"repository":"https://github.com/example/shop","ref":"refs/heads/main"}}}}`))
	f.Add([]byte(`{"buildDefinition":{"externalParameters":{"source":{"uri":"git+https://a@b/c@d"}},"resolvedDependencies":[{"uri":"git+"}]}}`))
	f.Fuzz(func(t *testing.T, predicate []byte) {
		p := &gate.Provenance{}
		if json.Unmarshal(predicate, p) != nil {
			return
		}
		r := proven()
		r.Evidence[theProvenance].Provenance = p
		if v := gate.Decide(r); v.Allowed && !strings.Contains(string(predicate), "shop") && !strings.Contains(string(predicate), `\u`) {
			t.Errorf("allowed by %q", predicate)
		}
	})
}
