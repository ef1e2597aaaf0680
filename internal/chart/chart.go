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
	// Path in the repository, or the address in a registry.
	Path string
	// Digest as Source has it.
	Digest string

	pristine *helm.Chart
	schemas  schemas
	local    []LocalChart

	findDefaults sync.Once
	defaults     []layers.Default
}

// Helm returns the chart as Helm has loaded it, which must not be changed.
func (c *Chart) Helm() *helm.Chart { return c.pristine }

// MemorySize returns an upper estimate of the memory that the chart takes once it has
// rendered, in bytes.
func (c *Chart) MemorySize() int64 { return memorySize(c.pristine) }

// compiledSchemaFactor is how many times the size of its text a schema takes once it is
// compiled: a megabyte of short properties takes 35 MiB.
const compiledSchemaFactor = 40

func memorySize(c *helm.Chart) int64 {
	size := compiledSchemaFactor * int64(len(c.Schema))
	for _, file := range c.Raw {
		size += int64(len(file.Name) + cap(file.Data)) // Helm reads packages into larger buffers
	}
	for _, child := range c.Dependencies() {
		size += memorySize(child)
	}
	return size
}

// silenceHelm discards Helm's warnings. They contain values, which may be secrets, and go to
// the standard logger, which can't be replaced for Helm alone. The programs log with slog.
var silenceHelm = sync.OnceFunc(func() { log.SetOutput(io.Discard) })

// Load loads the chart at name, a folder or a .tgz in fsys, without leaving out a ladder's
// own files. Its dependencies must be in its folder charts/, or local. Reading stops when
// ctx is done.
func Load(ctx context.Context, fsys fs.FS, name string) (*Chart, error) {
	source, err := Read(ctx, fsys, name, nil)
	if err != nil {
		return nil, err
	}
	return source.Load()
}

// checkLoaded rejects what `helm template` rejects before it renders.
func checkLoaded(c *helm.Chart, name string) error {
	if kind := c.Metadata.Type; kind != "" && kind != "application" {
		return fmt.Errorf("it is a %s chart, which can't be installed alone", kind)
	}
	if missing := missingDependencies(c); len(missing) > 0 {
		return fmt.Errorf("its folder charts/ lacks dependencies that its Chart.yaml names: %s: run `helm dependency build %s` and commit the files",
			strings.Join(missing, ", "), name)
	}
	return checkNames(c)
}

// lineBreaks are the line breaks of YAML 1.1.
const lineBreaks = "\n\r\u0085\u2028\u2029"

// checkNames rejects files whose names would end the comment that names a manifest's file:
// the rest of the name would be applied.
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

// missingDependencies returns the dependencies that aren't loaded. It compares names only,
// as Helm does.
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

// clone copies what a render changes: metadata (Helm applies conditions, tags and aliases
// to it, and a template's sortAlpha sorts a list of it in place), values (Helm imports the
// children's) and the tree of dependencies. It sorts the dependencies, which Helm's loader
// leaves in a map's order, so that the same chart always renders to the same bytes.
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
