package lint

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/envladder/envladder/internal/chart"
	"github.com/envladder/envladder/internal/chart/chartlint"
	"github.com/envladder/envladder/internal/chart/manifest"
	"github.com/envladder/envladder/internal/layers"
	"github.com/envladder/envladder/internal/strictyaml"
	"github.com/envladder/envladder/internal/valuepath"
)

// unusedValues finds values of layers that no template references and that change nothing
// that is rendered, in all environments that have them.
type unusedValues struct {
	// dir is the ladder's folder. A layer outside may be used by other services too.
	dir string
	// users counts the environments and targets that use a layer, by its file.
	users map[string]int
	// unused counts those in which a value is unused, and messages has its message.
	unused   map[strictyaml.Problem]int
	messages map[strictyaml.Problem]string
}

func newUnusedValues(dir string) *unusedValues {
	return &unusedValues{
		dir:      dir,
		users:    map[string]int{},
		unused:   map[strictyaml.Problem]int{},
		messages: map[strictyaml.Problem]string{},
	}
}

// add adds a view and what it renders to; nil where that isn't known.
func (u *unusedValues) add(ctx context.Context, v view, rendered manifest.Manifests) error {
	for file := range v.files() {
		u.users[file]++
	}
	if rendered == nil {
		return nil
	}
	refs := chartlint.FindValueRefs(v.chart)
	referenced, exact := refs.Matcher(v.Values)
	suspects := v.ownValues.Unused(referenced)
	paths := make([][]string, len(suspects))
	for n, suspect := range suspects {
		paths[n] = suspect.Path
	}
	unusedPaths, err := chartlint.UnusedValues(ctx, v.chart, v.chartOptions(), rendered, paths)
	if err != nil {
		return fmt.Errorf("finding unused values of %s: %w", v.Name, err)
	}
	unused := map[string]bool{}
	for _, path := range unusedPaths {
		unused[valuepath.Format(path)] = true
	}
	known := knownPaths(v.chart, refs)
	counted := map[strictyaml.Problem]bool{}
	for _, suspect := range suspects {
		path := valuepath.Format(suspect.Path)
		if !unused[path] || counted[suspect.At] {
			continue
		}
		counted[suspect.At] = true // once, though a layer may be listed twice
		u.unused[suspect.At]++
		u.messages[suspect.At] = unusedMessage(exact) + cmp.Or(subchartHint(v.chart, suspect.Path), strictyaml.DidYouMean(path, known))
	}
	return nil
}

// files returns the files of the view's layers.
func (v view) files() map[string]bool {
	files := map[string]bool{}
	for _, layer := range v.resolved.Layers {
		files[layer.Path] = true
	}
	return files
}

// problems returns a finding for each value that is unused in all environments.
func (u *unusedValues) problems() strictyaml.Problems {
	var problems strictyaml.Problems
	for at, count := range u.unused {
		if count < u.users[at.File] || (u.dir != "." && !strings.HasPrefix(at.File, u.dir+"/")) {
			continue
		}
		at.Message, at.Warning = u.messages[at], true
		problems = append(problems, at)
	}
	return problems
}

// unusedMessage returns the message for a value; exact is set where all references of the
// templates are known.
func unusedMessage(exact bool) string {
	if exact {
		return "no template of the chart reads this"
	}
	return "no template of the chart names this, and other values render to the same"
}

// subchartHint returns a hint such as `, did you mean "monitor.retention"?` where a subchart
// has a value at the path: an umbrella chart's values for it belong below its name.
func subchartHint(c *chart.Chart, path []string) string {
	for _, d := range c.Defaults() {
		if len(d.Prefix) == 0 {
			continue
		}
		if _, ok := valuepath.Lookup(d.Values, path); ok {
			return fmt.Sprintf(", did you mean %q?", valuepath.Format(slices.Concat(d.Prefix, path)))
		}
	}
	return ""
}

// knownPaths returns the paths that a misspelt path may stand for: those that templates
// reference, and the chart's own where templates pass all values on.
func knownPaths(c *chart.Chart, refs chartlint.ValueRefs) []string {
	var known []string
	for _, path := range refs.Paths {
		known = append(known, valuepath.Format(path))
	}
	if refs.Unknown {
		layers.Leaves(c.Defaults()[0].Values, func(path []string, _ any) { known = append(known, valuepath.Format(path)) })
	}
	return known
}
