package gate

import (
	"encoding/json"
	"strings"

	"github.com/envladder/envladder/api/v1alpha1"
)

// Provenance is the predicate of SLSA's provenance v1, as far as it is looked at.
type Provenance struct {
	BuildDefinition BuildDefinition `json:"buildDefinition"`
	RunDetails      RunDetails      `json:"runDetails"`
}

// BuildDefinition is what a builder was told to build.
type BuildDefinition struct {
	BuildType string `json:"buildType"`
	// ExternalParameters are each build type's own. Two of them name the source: `workflow`
	// (GitHub's) and `source` (the specification's examples).
	ExternalParameters struct {
		Workflow json.RawMessage `json:"workflow,omitempty"`
		Source   json.RawMessage `json:"source,omitempty"`
	} `json:"externalParameters"`
	ResolvedDependencies []ResolvedDependency `json:"resolvedDependencies,omitempty"`
}

// ResolvedDependency is an in-toto ResourceDescriptor.
type ResolvedDependency struct {
	URI    string            `json:"uri,omitempty"`
	Digest map[string]string `json:"digest,omitempty"`
}

// RunDetails is who built.
type RunDetails struct {
	Builder struct {
		ID string `json:"id"`
	} `json:"builder"`
}

func (j *judge) provenance() []Reason {
	required := j.Gate.Spec.Requires.Provenance
	if required == nil {
		return nil
	}
	k := provenanceKind
	k.about = func(e Evidence) bool { return e.Provenance != nil }
	return j.need(k, required.By, func(e Evidence) candidate { return assessProvenance(e, required) })
}

func assessProvenance(e Evidence, required *v1alpha1.ProvenanceRequirement) candidate {
	c := candidate{Evidence: e}
	if is := e.Provenance.RunDetails.Builder.ID; required.Builder != "" && is != required.Builder {
		c.faults = append(c.faults, NewReason(OtherBuilder, "%s is of builder %s, not %s", e.title(), quote(is), quote(required.Builder)))
	}
	want := required.Source
	if want == nil {
		return c
	}
	is, known := e.Provenance.source()
	switch {
	case !known:
		c.faults = append(c.faults, NewReason(OtherSource, "%s doesn't say which source was built, or not in a way that can be read", e.title()))
	case is.repository != source(want.Repository).repository:
		c.faults = append(c.faults, NewReason(OtherSource, "%s is of %s, not %s", e.title(), quote(is.repository), quote(want.Repository)))
	case want.Ref != "" && is.ref != want.Ref:
		c.faults = append(c.faults, NewReason(OtherSource, "%s is of ref %s, not %s", e.title(), quote(is.ref), quote(want.Ref)))
	}
	return c
}

// sourceCode is a repository and a ref of it.
type sourceCode struct{ repository, ref string }

// source reads git+https://github.com/example/shop.git@refs/heads/main.
func source(uri string) sourceCode {
	scheme, rest, _ := strings.Cut(strings.TrimPrefix(uri, "git+"), "://")
	host, path, _ := strings.Cut(rest, "/") // a user's name ends in @ too
	path, ref, _ := strings.Cut(path, "@")
	if host == "" || path == "" {
		return sourceCode{}
	}
	return sourceCode{scheme + "://" + host + "/" + strings.TrimSuffix(strings.TrimSuffix(path, "/"), ".git"), ref}
}

// source is what was built. A dependency counts only where it is the only repository: a
// build of something else may have this one among its dependencies.
func (p *Provenance) source() (sourceCode, bool) {
	external := p.BuildDefinition.ExternalParameters
	if len(external.Workflow) > 0 {
		var workflow struct {
			Repository string `json:"repository"`
			Ref        string `json:"ref"`
		}
		ok := json.Unmarshal(external.Workflow, &workflow) == nil && workflow.Repository != ""
		return sourceCode{source(workflow.Repository).repository, workflow.Ref}, ok
	}
	if len(external.Source) > 0 {
		return externalSource(external.Source)
	}
	var found []sourceCode
	for _, dependency := range p.BuildDefinition.ResolvedDependencies {
		if strings.HasPrefix(dependency.URI, "git+") {
			found = append(found, source(dependency.URI))
		}
	}
	if len(found) != 1 {
		return sourceCode{}, false
	}
	return found[0], found[0].repository != ""
}

// externalSource is a URI, or a ResourceDescriptor with one.
func externalSource(raw json.RawMessage) (sourceCode, bool) {
	var uri string
	if json.Unmarshal(raw, &uri) != nil {
		var descriptor ResolvedDependency
		if json.Unmarshal(raw, &descriptor) != nil {
			return sourceCode{}, false
		}
		uri = descriptor.URI
	}
	found := source(uri)
	return found, found.repository != ""
}
