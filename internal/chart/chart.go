// Package chart takes a step's layers to values and its chart to manifests: what it
// renders equals what `helm template --include-crds` of the linked Helm version prints
// for the same chart and values. It is the only importer of Helm, and uses of it the
// loader, the values and the engine, not the actions, which drag a cluster's client, a
// registry's and a release store along.
//
// A render reaches no cluster, no network and no file outside the chart. Which layers
// there are, and in which order, it leaves to internal/ladder.
package chart

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"io/fs"
	"log"
	"maps"
	"slices"
	"strings"
	"sync"

	helm "helm.sh/helm/v3/pkg/chart"

	"github.com/envladder/envladder/internal/layers"
)

// Chart is a loaded chart. It is safe for concurrent use: Helm changes a chart while it
// renders it, so each render works on a copy.
type Chart struct {
	// Path in the repository.
	Path string
	// Digest as Source has it.
	Digest string

	pristine *helm.Chart
	schemas  schemas
	local    []LocalChart

	findDefaults sync.Once
	defaults     []layers.Default
}

// Held is about what the chart takes in memory once it has rendered, in bytes.
func (c *Chart) Held() int64 { return held(c.pristine) }

// compiledSchema is how many times its text a schema takes once it is compiled: a megabyte
// of short properties takes 35 MiB.
const compiledSchema = 40

func held(c *helm.Chart) int64 {
	size := compiledSchema * int64(len(c.Schema))
	for _, file := range c.Raw {
		size += int64(len(file.Name) + cap(file.Data)) // Helm reads packages into room to spare
	}
	for _, child := range c.Dependencies() {
		size += held(child)
	}
	return size
}

// silenceHelm ends Helm's warnings: they have values in them, which may be secrets, and
// go to the standard logger, which no part of Helm's lets be replaced. Nothing of ours
// uses that logger; the programs log by slog.
var silenceHelm = sync.OnceFunc(func() { log.SetOutput(io.Discard) })

// Load loads the chart at name, a folder or a .tgz in fsys, that isn't a ladder's. Its
// dependencies must be in its folder charts/, or local. It ends early with ctx while it
// reads.
func Load(ctx context.Context, fsys fs.FS, name string) (*Chart, error) {
	source, err := Read(ctx, fsys, name, nil)
	if err != nil {
		return nil, err
	}
	return source.Load()
}

// checkLoaded refuses what `helm template` refuses before it renders.
func checkLoaded(c *helm.Chart, name string) error {
	if kind := c.Metadata.Type; kind != "" && kind != "application" {
		return fmt.Errorf("it is a %s chart, which can't be installed by itself", kind)
	}
	if missing := missingDependencies(c); len(missing) > 0 {
		return fmt.Errorf("its Chart.yaml names dependencies that its folder charts/ lacks: %s: run `helm dependency build %s` and commit what it writes",
			strings.Join(missing, ", "), name)
	}
	return checkNames(c)
}

// lineBreaks are those of YAML 1.1.
const lineBreaks = "\n\r\u0085\u2028\u2029"

// checkNames refuses files whose names would end the comment that says which file a
// manifest is from: the rest of the name would be applied.
func checkNames(c *helm.Chart) error {
	for _, file := range c.Raw {
		if strings.ContainsAny(file.Name, lineBreaks) {
			return fmt.Errorf("%q: a file's name has a line break", file.Name)
		}
	}
	for _, child := range c.Dependencies() {
		if err := checkNames(child); err != nil {
			return fmt.Errorf("its dependency %q: %w", child.Name(), err)
		}
	}
	return nil
}

// missingDependencies compares by name only, as Helm does.
func missingDependencies(c *helm.Chart) []string {
	var missing []string
	for _, want := range c.Metadata.Dependencies {
		has := func(have *helm.Chart) bool { return have.Name() == want.Name }
		if !slices.ContainsFunc(c.Dependencies(), has) {
			missing = append(missing, want.Name)
		}
	}
	return missing
}

// clone copies what a render changes: metadata (Helm applies conditions, tags and
// aliases to it, and a template's sortAlpha sorts a list of it where it is), values (Helm
// imports the children's) and the tree of dependencies.
// Helm's loader leaves the dependencies in a map's order; here they are sorted, so that
// the same chart always renders to the same bytes.
func clone(c *helm.Chart) *helm.Chart {
	out := *c
	out.Metadata = cloneMetadata(c.Metadata)
	if c.Values != nil {
		out.Values = copyMap(c.Values)
	}
	children := slices.Clone(c.Dependencies())
	slices.SortStableFunc(children, func(a, b *helm.Chart) int {
		return cmp.Or(cmp.Compare(a.Name(), b.Name()), cmp.Compare(a.Metadata.Version, b.Metadata.Version))
	})
	for i, child := range children {
		children[i] = clone(child)
	}
	out.SetDependencies(children...)
	return &out
}

func cloneMetadata(m *helm.Metadata) *helm.Metadata {
	out := *m
	out.Keywords = slices.Clone(m.Keywords)
	out.Sources = slices.Clone(m.Sources)
	out.Annotations = maps.Clone(m.Annotations)
	out.Maintainers = slices.Clone(m.Maintainers)
	for i, maintainer := range out.Maintainers {
		out.Maintainers[i] = cloneOf(maintainer)
	}
	out.Dependencies = slices.Clone(m.Dependencies)
	for i, dependency := range out.Dependencies {
		if copied := cloneOf(dependency); copied != nil {
			copied.Tags = slices.Clone(dependency.Tags)
			copied.ImportValues = copyList(dependency.ImportValues)
			out.Dependencies[i] = copied
		}
	}
	return &out
}

func cloneOf[T any](p *T) *T {
	if p == nil {
		return nil
	}
	copied := *p
	return &copied
}
