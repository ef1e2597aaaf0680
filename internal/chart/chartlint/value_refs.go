package chartlint

import (
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/envladder/envladder/internal/chart"
)

// ValueRefs are the value paths that a chart's templates reference.
type ValueRefs struct {
	// Paths that are referenced, with everything below them.
	Paths [][]string
	// Unknown is set where templates may reference any value: they do what can't be
	// determined without running them, such as passing .Values on as a whole.
	Unknown bool
	// Evaluates is set where templates evaluate values (tpl), which may reference others.
	// Where they evaluate anything else, a file or another template's output, Unknown is
	// set.
	Evaluates bool

	// words of the templates, and of files that may be evaluated; nil where there are no
	// templates, or one can't be parsed.
	words map[string]bool
}

// FindValueRefs reads the chart's templates without running them. All values of subcharts
// count as referenced.
func FindValueRefs(c *chart.Chart) ValueRefs {
	root := c.Helm()
	w := newTemplateWalk(root)
	for _, file := range w.files {
		w.node(file.Root)
	}
	if len(w.files)+len(w.others) == 0 || w.broken {
		w.refs.Unknown, w.refs.words = true, nil
	}
	w.refs.Paths = append(w.refs.Paths, []string{"global"}, []string{"tags"})
	for _, child := range root.Dependencies() {
		for _, name := range chart.SubchartNames(child, root) {
			w.refs.Paths = append(w.refs.Paths, []string{name})
		}
	}
	for _, dependency := range root.Metadata.Dependencies {
		if dependency == nil {
			continue
		}
		for condition := range strings.SplitSeq(dependency.Condition, ",") {
			if condition = strings.TrimSpace(condition); condition != "" {
				w.refs.Paths = append(w.refs.Paths, strings.Split(condition, "."))
			}
		}
	}
	return w.refs
}

// evaluatesText reports whether any template evaluates something (tpl), those of subcharts
// included.
func evaluatesText(c *chart.Chart) bool {
	w := newTemplateWalk(c.Helm())
	for _, file := range slices.Concat(w.files, w.others) {
		w.node(file.Root)
	}
	w.include("")
	return w.refs.Evaluates
}

// Includes reports whether the value at path is referenced, or may be.
func (r ValueRefs) Includes(path []string) bool {
	return r.Unknown || slices.ContainsFunc(r.Paths, func(referenced []string) bool {
		shared := min(len(referenced), len(path))
		return slices.Equal(referenced[:shared], path[:shared])
	})
}

// Matcher returns a function that reports whether the chart's templates may reference the
// value at a path when they see these values. It is exact where all references are known.
// Otherwise a value counts as unreferenced only if no template contains all words of its
// path. The templates may still reference such a value by a computed name, or as part of
// values that they pass on as a whole.
func (r ValueRefs) Matcher(values map[string]any) (referenced func(path []string) bool, exact bool) {
	switch {
	case r.words == nil:
		return func([]string) bool { return true }, false
	case r.Unknown, r.Evaluates && hasAction(values):
	default:
		return r.Includes, true
	}
	words := maps.Clone(r.words)
	addEvaluatedWords(words, values)
	known := ValueRefs{Paths: r.Paths}
	return func(path []string) bool {
		return known.Includes(path) || !slices.ContainsFunc(path, func(key string) bool {
			return slices.ContainsFunc(splitWords(key), func(word string) bool { return !words[word] })
		})
	}, false
}

// addEvaluatedWords adds the words of texts in v that contain template actions.
func addEvaluatedWords(words map[string]bool, v any) {
	switch v := v.(type) {
	case string:
		if hasAction(v) {
			addWords(words, v)
		}
	case map[string]any:
		for _, item := range v {
			addEvaluatedWords(words, item)
		}
	case []any:
		for _, item := range v {
			addEvaluatedWords(words, item)
		}
	}
}

// addWords adds the words of a text.
func addWords(words map[string]bool, text string) {
	for _, word := range splitWords(text) {
		words[word] = true
	}
}

// splitWords returns the words of a text: letters, digits and underscores.
func splitWords(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) })
}
