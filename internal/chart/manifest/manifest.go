package manifest

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// Manifest is one rendered document, or one file of CRDs alone.
type Manifest struct {
	// Source is the template's or CRD's path, starting with the chart's name.
	Source string
	// Content is YAML without the document's separator.
	Content string
	// CRDs is set for a file of the chart's folder crds/.
	CRDs bool
	// Stray is set for a document of such a file that isn't a CustomResourceDefinition.
	Stray bool
	// Hook is set for Helm's hooks, Test for those that `helm test` runs.
	Hook bool
	Test bool
}

// String returns the manifest as Helm prints it.
func (m Manifest) String() string {
	return fmt.Sprintf("---\n# Source: %s\n%s\n", m.Source, m.Content)
}

// OnlyCRDs reports whether the manifest is a file of CRDs alone, which run nothing.
func (m Manifest) OnlyCRDs() bool { return m.CRDs && !m.Stray }

// Manifests are in the order in which Helm prints them: CRDs, then objects in the order of
// their installation, then hooks.
type Manifests []Manifest

// Print writes what `helm template --include-crds` prints.
func (ms Manifests) Print(w io.Writer) error {
	var objects, hooks strings.Builder
	for _, m := range ms {
		if m.Hook {
			hooks.WriteString(m.String())
		} else {
			objects.WriteString(m.String())
		}
	}
	_, err := fmt.Fprintf(w, "%s\n%s", strings.TrimSpace(objects.String()), hooks.String())
	return err
}

// HasObject reports whether a sync would apply anything: comments, empty lists, and hooks
// such as the tests of `helm test` don't count.
func (ms Manifests) HasObject() bool {
	return slices.ContainsFunc(ms, func(m Manifest) bool {
		objects, err := Objects(m.Content)
		found := err != nil // Helm has parsed the objects; Argo CD rejects a CRD that can't be parsed
		for _, object := range objects {
			VisitItems(object, func(item map[string]any) {
				metadata, _ := item["metadata"].(map[string]any)
				found = found || (item["kind"] != nil && item["kind"] != "" && IsApplied(metadata))
			})
		}
		return found
	})
}
