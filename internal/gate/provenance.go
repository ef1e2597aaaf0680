package gate

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/envladder/envladder/api/v1alpha1"
)

// Provenance is the predicate of SLSA's provenance v1, as far as a Gate judges it.
type Provenance struct {
	BuildDefinition BuildDefinition `json:"buildDefinition"`
	RunDetails      RunDetails      `json:"runDetails"`
}

// BuildDefinition is the input of a build.
type BuildDefinition struct {
	BuildType            string               `json:"buildType"`
	ExternalParameters   ExternalParameters   `json:"externalParameters"`
	ResolvedDependencies []ResolvedDependency `json:"resolvedDependencies,omitempty"`
}

// ExternalParameters are each build type's own. These are the ones that state a source:
// workflow is GitHub's, configSource BuildKit's, the last two are Cloud Build's, and source
// is that of the specification's examples, of GitLab and of slsa-github-generator.
type ExternalParameters struct {
	Workflow          json.RawMessage `json:"workflow,omitempty"`
	Source            json.RawMessage `json:"source,omitempty"`
	ConfigSource      json.RawMessage `json:"configSource,omitempty"`
	BuildConfigSource json.RawMessage `json:"buildConfigSource,omitempty"`
	SourceToBuild     json.RawMessage `json:"sourceToBuild,omitempty"`
}

// ResolvedDependency is an in-toto ResourceDescriptor.
type ResolvedDependency struct {
	URI    string            `json:"uri,omitempty"`
	Digest map[string]string `json:"digest,omitempty"`
}

// RunDetails identifies the builder.
type RunDetails struct {
	Builder struct {
		ID string `json:"id"`
	} `json:"builder"`
}

func (j *decision) provenance() []Reason {
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
		c.problems = append(c.problems, NewReason(OtherBuilder, "%s is from builder %s, not %s", e.title(), quote(is), quote(required.Builder)))
	}
	if required.Source != nil {
		c.problems = append(c.problems, assessSource(e, required.Source)...)
	}
	return c
}

func assessSource(e Evidence, required *v1alpha1.ProvenanceSource) []Reason {
	want, err := requiredSource(required)
	if err != nil { // Check reports it too
		return []Reason{NewReason(OtherSource, "%s can't be compared with the Gate's source: %v", e.title(), err)}
	}
	is, err := e.Provenance.source()
	switch {
	case err != nil:
		return []Reason{NewReason(OtherSource, "%s %v", e.title(), err)}
	case is.repository != want.repository:
		return []Reason{NewReason(OtherSource, "%s is from source %s, not %s", e.title(), quote(is.repository), quote(want.repository))}
	case want.ref != "" && is.ref != want.ref:
		return []Reason{NewReason(OtherSource, "%s is from ref %s, not %s", e.title(), quote(is.ref), quote(want.ref))}
	}
	return nil
}

// source returns the one source that all parts of the provenance state. A build may have
// used other repositories too, so a dependency identifies the source only if it is the only
// repository. If the parameters name the source, the dependencies must include it.
func (p *Provenance) source() (sourceCode, error) {
	stated, err := p.BuildDefinition.ExternalParameters.sources()
	if err != nil {
		return sourceCode{}, err
	}
	dependencies := p.BuildDefinition.repositories()
	if len(stated) > 0 {
		same := slices.DeleteFunc(slices.Clone(dependencies), func(d sourceCode) bool { return d.repository != stated[0].repository })
		if len(dependencies) > 0 && len(same) == 0 {
			return sourceCode{}, fmt.Errorf("states source %s, which is not among the repositories of its resolvedDependencies", quote(stated[0].repository))
		}
		return agree(append(stated, same...)...)
	}
	if len(dependencies) == 0 || dependencies[0].repository == "" {
		return sourceCode{}, errors.New("states no source that can be read")
	}
	return agree(dependencies...)
}

// sources returns the sources that the parameters state. One that can't be read is an
// error: it may be another one.
func (e ExternalParameters) sources() ([]sourceCode, error) {
	var all []sourceCode
	for _, parameter := range []struct {
		name  string
		value json.RawMessage
	}{
		{"workflow", e.Workflow},
		{"source", e.Source},
		{"configSource", e.ConfigSource},
		{"buildConfigSource", e.BuildConfigSource},
		{"sourceToBuild", e.SourceToBuild},
	} {
		if len(parameter.value) == 0 {
			continue
		}
		stated, err := readSource(parameter.value)
		if err != nil {
			return nil, fmt.Errorf("has a source that can't be read: externalParameters.%s: %w", parameter.name, err)
		}
		all = append(all, stated...)
	}
	return all, nil
}

// readSource reads a parameter: the spelling of a repository, an in-toto
// ResourceDescriptor, or an object with repository and ref.
func readSource(value json.RawMessage) ([]sourceCode, error) {
	var text string
	if json.Unmarshal(value, &text) == nil {
		stated, err := parseSource(text)
		return []sourceCode{stated}, err
	}
	var object struct {
		URI        string `json:"uri"`
		Repository string `json:"repository"`
		Ref        string `json:"ref"`
	}
	if err := json.Unmarshal(value, &object); err != nil {
		return nil, errors.New("it is neither a text nor an object with uri or repository")
	}
	var all []sourceCode
	for _, spelling := range []string{object.URI, object.Repository} {
		if spelling == "" {
			continue
		}
		stated, err := parseSource(spelling)
		if err != nil {
			return nil, err
		}
		all = append(all, stated, sourceCode{stated.repository, object.Ref})
	}
	// BuildKit's configSource names none where the context is a folder. A repository among
	// the dependencies isn't what was built then: a Dockerfile may add any.
	if len(all) == 0 {
		return nil, errors.New("it names no repository")
	}
	return all, nil
}

// repositories returns the dependencies that are repositories of source code. One that
// can't be read has no repository, so that it equals none.
func (b BuildDefinition) repositories() []sourceCode {
	var all []sourceCode
	for _, dependency := range b.ResolvedDependencies {
		if !dependency.isRepository() {
			continue
		}
		stated, err := parseSource(dependency.URI)
		if err != nil {
			stated = sourceCode{}
		}
		all = append(all, stated)
	}
	return all
}

// isRepository reports whether a dependency is a repository: by git+ in front, as SLSA
// writes it, or by a commit or Git's own spelling, as BuildKit does.
func (d ResolvedDependency) isRepository() bool {
	beforeRef, _, _ := strings.Cut(d.URI, "#")
	if strings.HasPrefix(d.URI, "pkg:") {
		return false
	}
	return strings.HasPrefix(d.URI, "git+") || strings.HasPrefix(d.URI, "ssh://") || strings.HasPrefix(d.URI, "git@") ||
		strings.HasSuffix(beforeRef, ".git") || d.Digest["gitCommit"] != "" || d.Digest["sha1"] != ""
}
