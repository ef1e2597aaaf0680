package gate_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
)

// The parts of a provenance that state a source.
func workflow(repository, ref string) string {
	return `"workflow":{"repository":"` + repository + `","ref":"` + ref + `","path":".github/workflows/release.yml"}`
}

func external(parameters string) string {
	return `{"buildDefinition":{"externalParameters":{` + parameters + `}}}`
}

func dependencies(uris ...string) string {
	var list []string
	for _, uri := range uris {
		list = append(list, `{"uri":"`+uri+`"}`)
	}
	return `"resolvedDependencies":[` + strings.Join(list, ",") + `]`
}

func TestProvenance(t *testing.T) {
	const (
		shop, main  = "https://github.com/example/shop", "refs/heads/main"
		this, other = "git+https://github.com/example/shop@refs/heads/main", "git+https://github.com/example/shop@refs/heads/feature"
		evil        = "git+https://github.com/evil/shop@refs/heads/main"
	)
	source := func(value string) string { return external(`"source":` + value) }
	with := func(parameters, dependencies string) string {
		return `{"buildDefinition":{"externalParameters":{` + parameters + `},` + dependencies + `}}`
	}
	denied := []gate.Code{gate.OtherSource}
	for name, test := range map[string]struct {
		predicate string
		want      []gate.Code
	}{
		"GitHub's workflow":                           {external(workflow(shop, main)), nil},
		"a workflow of another branch":                {external(workflow(shop, "refs/heads/feature")), denied},
		"a workflow without ref":                      {external(workflow(shop, "")), denied},
		"a workflow whose repository has another ref": {external(workflow(other, main)), denied},
		"a workflow whose repository has the ref":     {external(workflow(this, "")), nil},
		"a workflow whose repository can't be read":   {external(workflow("shop", main)), denied},
		"a workflow that is a text":                   {with(`"workflow":"build.yml"`, dependencies(this)), denied},
		"the source as a text":                        {source(`"` + this + `"`), nil},
		"the source as a descriptor":                  {source(`{"uri":"` + this + `"}`), nil},
		"the source as git@HOST:PATH":                 {external(workflow("git@github.com:example/shop.git", main)), nil},
		"the source by ssh":                           {external(workflow("ssh://git@github.com/example/shop", main)), nil},
		"the source as HOST/PATH":                     {external(workflow("GitHub.com/example/shop/", main)), nil},
		"another source as git@HOST:PATH":             {external(workflow("git@github.com:evil/shop.git", main)), denied},
		"another source as HOST/PATH":                 {external(workflow("github.com/evil/shop", main)), denied},
		"the source ends in .git":                     {source(`"git+https://github.com/example/shop.git@refs/heads/main"`), nil},
		"the source with a user":                      {source(`"git+https://ana@github.com/example/shop@refs/heads/main"`), denied},
		"the source without a ref":                    {source(`"git+https://github.com/example/shop"`), denied},
		"the source of another branch":                {source(`"` + other + `"`), denied},
		"a lookalike":                                 {source(`"git+https://github.com/example/shop-evil@refs/heads/main"`), denied},
		"a lookalike of the host":                     {source(`"git+https://github.com.evil.example/example/shop@refs/heads/main"`), denied},
		"another case of the path":                    {source(`"git+https://github.com/Example/shop@refs/heads/main"`), denied},
		"a source that is null":                       {source(`null`), denied},
		"a source that is a list":                     {source(`["` + this + `"]`), denied},
		"BuildKit's configSource":                     {external(`"configSource":{"uri":"https://github.com/example/shop.git#refs/heads/main:app","path":"Dockerfile"}`), nil},
		"a configSource of another branch":            {external(`"configSource":{"uri":"https://github.com/example/shop.git#refs/heads/feature"}`), denied},
		"a configSource of another repository":        {external(`"configSource":{"uri":"https://github.com/evil/shop.git#refs/heads/main"}`), denied},
		"a configSource without repository":           {with(`"configSource":{"path":"Dockerfile"}`, dependencies(this)), denied},
		"Cloud Build's sources":                       {external(`"buildConfigSource":{"repository":"` + shop + `","ref":"` + main + `"},"sourceToBuild":{"repository":"` + shop + `"}`), nil},
		"another sourceToBuild":                       {external(`"buildConfigSource":{"repository":"` + shop + `","ref":"` + main + `"},"sourceToBuild":{"repository":"https://github.com/evil/shop"}`), denied},

		"workflow and source that agree":              {external(workflow(shop, main) + `,"source":"` + this + `"`), nil},
		"workflow ours and source another's":          {external(workflow(shop, main) + `,"source":"` + evil + `"`), denied},
		"workflow another's and source ours":          {external(workflow("https://github.com/evil/shop", main) + `,"source":"` + this + `"`), denied},
		"workflow and source of two branches":         {external(workflow(shop, main) + `,"source":"` + other + `"`), denied},
		"workflow ours and configSource another's":    {external(workflow(shop, main) + `,"configSource":{"uri":"` + evil + `"}`), denied},
		"a descriptor with two repositories":          {source(`{"uri":"` + this + `","repository":"https://github.com/evil/shop"}`), denied},
		"workflow ours and a dependency of ours":      {with(workflow(shop, main), dependencies(this, "git+https://github.com/example/actions@v1")), nil},
		"workflow ours and a dependency of evil only": {with(workflow(shop, main), dependencies(evil)), denied},
		"workflow ours, a dependency of a branch":     {with(workflow(shop, main), dependencies(other)), denied},
		"a source that a dependency contradicts":      {with(`"source":"`+evil+`"`, dependencies(this)), denied},

		"the only dependency":                {with("", dependencies("pkg:docker/golang", this)), nil},
		"one dependency of two":              {with("", dependencies(evil, this)), denied},
		"one dependency, another unreadable": {with("", dependencies(this, "git+http://github.com/example/shop")), denied},
		"dependencies of two branches":       {with("", dependencies(this, other)), denied},
		"only an unreadable dependency":      {with("", dependencies("git+shop")), denied},
		"nothing":                            {`{}`, denied},
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

func TestProvenanceBuilder(t *testing.T) {
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
