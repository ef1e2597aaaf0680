package gate_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
)

// spellings of one repository.
var spellings = []string{
	"https://git.example.com/acme/shop",
	"https://git.example.com/acme/shop/",
	"https://git.example.com/acme/shop.git",
	"https://git.example.com:443/acme/shop.git/",
	"HTTPS://Git.Example.COM/acme/shop",
	"git+https://git.example.com/acme/shop",
	"ssh://git@git.example.com/acme/shop.git",
	"ssh://git@git.example.com:22/acme/shop.git",
	"git+ssh://git.example.com/acme/shop",
	"git@git.example.com:acme/shop.git",
	"git@git.example.com:/acme/shop",
	"git.example.com/acme/shop",
	"git.example.com:443/acme/shop.git",
}

// unreadable are spellings that name no repository for certain.
var unreadable = []string{
	"", "shop", "acme/shop", "/acme/shop", "./shop", "github.com", "github.com/", "https://github.com", "https:///acme/shop",
	"http://github.com/acme/shop", "git://github.com/acme/shop", "file:///srv/shop", "javascript://github.com/acme/shop",
	"https://ana@github.com/acme/shop", "https://ana:secret@github.com/acme/shop", "ssh://ana@github.com/acme/shop",
	"ana@github.com:acme/shop", "git@github.com/acme/shop", "git@:acme/shop", "git@github.com:", "git@github.com:.git",
	"https://github.com/acme/shop?x=1", "https://github.com/acme/../evil/shop", "https://github.com/acme//shop",
	"https://github.com/acme/%2e%2e/shop", "https://github.com/acme\\shop", "https://github.com/acme/shop ", " https://github.com/acme/shop",
	"https://github.com./acme/shop", "https://github.com:0/acme/shop", "https://git\u0456hub.com/acme/shop",
	"https://github.com/acme/shop@", "https://github.com/acme/shop#", "https://github.com/acme/shop#:app",
	"https://github.com/.git", "https://https://github.com/acme/shop", "https://github.com/acme/shop\n",
	"https://github.com/" + strings.Repeat("a", 1100),
}

// asksFor has the Gate require a source, which the provenance states as a workflow's.
func asksFor(r *gate.Request, required v1alpha1.ProvenanceSource, stated, ref string) {
	r.Gate.Spec.Requires.Provenance.Source = &required
	p := &gate.Provenance{}
	p.RunDetails.Builder.ID = builder
	p.BuildDefinition.ExternalParameters.Workflow = []byte(`{"repository":` + jsonText(stated) + `,"ref":` + jsonText(ref) + `}`)
	r.Evidence[theProvenance].Provenance = p
}

func TestSource(t *testing.T) {
	t.Run("every spelling is the same repository", func(t *testing.T) {
		for _, required := range spellings {
			for _, stated := range spellings {
				r := proven()
				asksFor(&r, v1alpha1.ProvenanceSource{Repository: required}, stated, "")
				if v := gate.Decide(r); !v.Allowed {
					t.Errorf("Gate %q, provenance %q: %+v", required, stated, v.Reasons)
				}
			}
		}
	})
	t.Run("no spelling is another repository", func(t *testing.T) {
		for _, required := range spellings {
			for _, stated := range []string{
				"https://git.example.com/evil/shop", "git@git.example.com:evil/shop", "git.example.com/acme/shop2", "https://git.example.com/acme/shop.git.git",
				"https://evil.example.com/acme/shop", "https://git.example.com:8443/acme/shop", "git.example.com/acme", "ssh://git@git.example.com:2222/acme/shop",
			} {
				r := proven()
				asksFor(&r, v1alpha1.ProvenanceSource{Repository: required}, stated, "")
				if diff := cmp.Diff(codes{gate.OtherSource}, codesOf(gate.Decide(r))); diff != "" {
					t.Errorf("Gate %q, provenance %q (-want +got):\n%s", required, stated, diff)
				}
			}
		}
	})
	t.Run("what can't be read equals nothing, itself included", func(t *testing.T) {
		for _, text := range unreadable {
			r := proven()
			asksFor(&r, v1alpha1.ProvenanceSource{Repository: text}, text, "")
			if diff := cmp.Diff(codes{gate.GateInvalid, gate.OtherSource}, codesOf(gate.Decide(r))); diff != "" {
				t.Errorf("both %q (-want +got):\n%s", text, diff)
			}
			r = proven()
			asksFor(&r, v1alpha1.ProvenanceSource{Repository: spellings[0]}, text, "")
			if diff := cmp.Diff(codes{gate.OtherSource}, codesOf(gate.Decide(r))); diff != "" {
				t.Errorf("provenance %q (-want +got):\n%s", text, diff)
			}
		}
	})
	t.Run("a Gate whose source can't be read isn't accepted", func(t *testing.T) {
		for _, text := range unreadable {
			g := fullGate()
			g.Spec.Requires.Provenance.Source = &v1alpha1.ProvenanceSource{Repository: text}
			if !slices.ContainsFunc(gate.Check(g), func(r gate.Reason) bool {
				return strings.HasPrefix(r.Message, ".spec.requires.provenance.source: parsing source repository ")
			}) {
				t.Errorf("%q: %v", text, gate.Check(g))
			}
		}
	})
}

func TestSourceRef(t *testing.T) {
	const repository = "https://git.example.com/acme/shop"
	for name, test := range map[string]struct {
		required    v1alpha1.ProvenanceSource
		stated, ref string
		want        codes
	}{
		"in the Gate's URI":                   {v1alpha1.ProvenanceSource{Repository: "git+" + repository + "@refs/heads/main"}, repository, "refs/heads/main", nil},
		"in the Gate's URI, another":          {v1alpha1.ProvenanceSource{Repository: "git+" + repository + "@refs/heads/main"}, repository, "refs/heads/evil", codes{gate.OtherSource}},
		"in the Gate's URI, none":             {v1alpha1.ProvenanceSource{Repository: "git+" + repository + "@refs/heads/main"}, repository, "", codes{gate.OtherSource}},
		"in the Gate's URI after #, another":  {v1alpha1.ProvenanceSource{Repository: repository + ".git#refs/heads/main"}, repository, "refs/heads/evil", codes{gate.OtherSource}},
		"in the Gate twice":                   {v1alpha1.ProvenanceSource{Repository: repository + "@refs/heads/main", Ref: "refs/heads/main"}, repository, "refs/heads/main", nil},
		"in the Gate twice, contradicting":    {v1alpha1.ProvenanceSource{Repository: repository + "@refs/heads/main", Ref: "refs/heads/dev"}, repository, "refs/heads/dev", codes{gate.GateInvalid, gate.OtherSource}},
		"in the provenance's URI, another":    {v1alpha1.ProvenanceSource{Repository: repository, Ref: "refs/heads/main"}, repository + "@refs/heads/evil", "", codes{gate.OtherSource}},
		"in the provenance's URI and another": {v1alpha1.ProvenanceSource{Repository: repository, Ref: "refs/heads/main"}, repository + "@refs/heads/evil", "refs/heads/main", codes{gate.OtherSource}},
		"a tag with an @":                     {v1alpha1.ProvenanceSource{Repository: repository, Ref: "refs/tags/web@1.2.3"}, repository + "@refs/tags/web@1.2.3", "", nil},
		"a branch that begins like the other": {v1alpha1.ProvenanceSource{Repository: repository, Ref: "refs/heads/main"}, repository + "@refs/heads/main#evil", "", codes{gate.OtherSource}},
		"none required, whatever is stated":   {v1alpha1.ProvenanceSource{Repository: repository}, repository + "@refs/heads/any", "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := proven()
			asksFor(&r, test.required, test.stated, test.ref)
			want := append(codes{}, test.want...)
			if diff := cmp.Diff(want, codesOf(gate.Decide(r))); diff != "" {
				t.Errorf("%+v (-want +got):\n%s", gate.Decide(r).Reasons, diff)
			}
		})
	}
}

// FuzzSource: a Gate's source that can't be read is found by Check, and one that can is
// satisfied by that source only.
func FuzzSource(f *testing.F) {
	for _, text := range slices.Concat(spellings, unreadable) {
		f.Add(text, spellings[0])
	}
	f.Fuzz(func(t *testing.T, required, stated string) {
		r := proven()
		asksFor(&r, v1alpha1.ProvenanceSource{Repository: required}, stated, "")
		valid := len(gate.Check(r.Gate)) == 0
		if v := gate.Decide(r); v.Allowed && !valid {
			t.Fatalf("allowed by %q", required)
		}
		asksFor(&r, v1alpha1.ProvenanceSource{Repository: required}, required, "")
		if v := gate.Decide(r); v.Allowed != valid {
			t.Fatalf("%q: valid %v, allowed with that source %v: %+v", required, valid, v.Allowed, v.Reasons)
		}
	})
}

func jsonText(text string) string {
	raw, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return string(raw)
}
