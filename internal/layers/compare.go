package layers

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/envladder/envladder/internal/strictyaml"
	"github.com/envladder/envladder/internal/valuepath"
)

// View is the values of an environment or target as its chart's templates see them.
type View struct {
	// Name of the environment or target: dev, prod/eu, preview.
	Name   string
	Values map[string]any
	// Merged has the origin of the values, with the chart's own.
	Merged *Merged
	// Template is set for the template of pull requests' environments. Its values that
	// contain a template differ between pull requests anyway.
	Template bool
	// Real is set for an environment with real data.
	Real bool
}

// Compare returns the value paths that differ between two environments or targets and may
// not. Values that the pins set differ by design, and so do values that only tiers set: in
// the layers of tiers, or in the chart below them. mayDiffer has patterns of the Ladder.
func Compare(a, b View, mayDiffer []string) strictyaml.Problems {
	c := comparison{a: a, b: b, mayDiffer: valuepath.ParsePatterns(mayDiffer)}
	c.maps(a.Values, b.Values, nil)
	return c.problems
}

type comparison struct {
	a, b      View
	mayDiffer valuepath.Patterns
	problems  strictyaml.Problems
}

// absent stands for a missing value, as against null.
type absent struct{}

func (c *comparison) maps(a, b map[string]any, at []string) {
	keys := map[string]bool{}
	for key := range a {
		keys[key] = true
	}
	for key := range b {
		keys[key] = true
	}
	sorted := make([]string, 0, len(keys))
	for key := range keys {
		sorted = append(sorted, key)
	}
	slices.Sort(sorted)
	for _, key := range sorted {
		c.values(valueOf(a, key), valueOf(b, key), append(slices.Clone(at), key))
	}
}

func valueOf(m map[string]any, key string) any {
	if value, ok := m[key]; ok {
		return value
	}
	return absent{}
}

// values compares the values at path.
func (c *comparison) values(a, b any, path []string) {
	if aMap, bMap, ok := c.mappings(a, b, path); ok {
		c.maps(aMap, bMap, path)
		return
	}
	if c.problems.Full() || reflect.DeepEqual(a, b) || c.mayDiffer.Match(path) {
		return
	}
	if c.a.Template && isTemplate(a) || c.b.Template && isTemplate(b) {
		return
	}
	from, inA := c.a.Merged.Setting(path)
	to, inB := c.b.Merged.Setting(path)
	if from.exempt(inA) && to.exempt(inB) || from.Kind == KindPins || to.Kind == KindPins {
		return
	}
	if copied(path, from, inA) && copied(path, to, inB) {
		return // reported at the path it is copied from
	}
	c.differs(path, from, to)
}

// mappings returns a and b as mappings where they are compared key by key: two mappings, or
// a mapping and no value, so that an empty mapping isn't a difference. Lists are compared
// item by item where a pattern may match something in them.
func (c *comparison) mappings(a, b any, path []string) (aMap, bMap map[string]any, ok bool) {
	aMap, aIsMap := a.(map[string]any)
	bMap, bIsMap := b.(map[string]any)
	if (aIsMap || a == absent{}) && (bIsMap || b == absent{}) && (aIsMap || bIsMap) {
		return aMap, bMap, true
	}
	aMap, aIsList := itemsOf(a)
	bMap, bIsList := itemsOf(b)
	return aMap, bMap, aIsList && bIsList && c.mayDiffer.MatchInside(path)
}

// itemsOf returns a list's items by their index. A missing value counts as an empty list.
func itemsOf(v any) (items map[string]any, ok bool) {
	list, isList := v.([]any)
	items = make(map[string]any, len(list))
	for i, item := range list {
		items[strconv.Itoa(i)] = item
	}
	return items, isList || v == absent{}
}

// exempt reports whether a value may differ because of its origin: a tier, or no layer at
// all.
func (s Setting) exempt(found bool) bool {
	return !found || s.Kind == KindTier || s.Kind == KindChart
}

// copied reports whether a setting comes from another path, as globals do.
func copied(path []string, s Setting, found bool) bool {
	return !found || !strings.HasPrefix(valuepath.Format(path), s.Path)
}

func isTemplate(v any) bool {
	text, ok := v.(string)
	return ok && strings.Contains(text, "{{")
}

// differs reports a path in the environment that is later on the ladder, unless no layer
// sets it there.
func (c *comparison) differs(path []string, from, to Setting) {
	here, name, other, otherName := to, c.b.Name, from, c.a.Name
	if to.exempt(to.File != "") {
		here, name, other, otherName = from, c.a.Name, to, c.b.Name
	}
	message := fmt.Sprintf("%s sets it, and %s doesn't have it", name, otherName)
	if other.File != "" {
		message = fmt.Sprintf("%s sets it, and %s has another value from %s", name, otherName, other.location())
	}
	c.problems = append(c.problems, strictyaml.Problem{
		File: here.File, Line: here.Line, Column: here.Column, Path: valuepath.Format(path),
		Message: message + ": spec.mayDiffer doesn't name this path",
	})
}

// location returns file:line:column (layer).
func (s Setting) location() string {
	switch {
	case s.Line == 0:
		return fmt.Sprintf("%s (%s)", s.File, s.Layer)
	case s.Column == 0:
		return fmt.Sprintf("%s:%d (%s)", s.File, s.Line, s.Layer)
	}
	return fmt.Sprintf("%s:%d:%d (%s)", s.File, s.Line, s.Column, s.Layer)
}
