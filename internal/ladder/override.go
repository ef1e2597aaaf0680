package ladder

import (
	"fmt"
	"maps"
	"slices"

	"github.com/envladder/envladder/internal/strictyaml"
	"github.com/envladder/envladder/internal/valuepath"
)

// Override is a value that a parameter of an Application sets.
type Override struct {
	// Path in the values.
	Path []string
	// Value is a string, an int64, a bool, or a list of these, as `helm --set` parses it.
	Value any
}

// maxOverrides bounds how many values parameters set, since these are compared in pairs.
// More than a few belong in a layer.
const maxOverrides = 100

// Override returns a copy with the values of an Application's parameters, by their paths.
// They are set after all layers. The Ladder must allow each path in overrides, since
// anyone who can write a file .argocd-source.yaml into the repository can set parameters
// too.
func (r Resolved) Override(values map[string]any) (Resolved, error) {
	if len(values) > maxOverrides {
		return Resolved{}, fmt.Errorf("overriding %d values: at most %d can be: set them in a layer", len(values), maxOverrides)
	}
	overridable := valuepath.ParsePatterns(r.Overridable)
	overrides := slices.Clone(r.Overrides)
	for _, text := range slices.Sorted(maps.Keys(values)) {
		path, err := valuepath.ParseKeys(text)
		if err != nil {
			return Resolved{}, fmt.Errorf("overriding the value %.120q: %w", text, err)
		}
		if !overridable.Match(path) {
			return Resolved{}, fmt.Errorf("overriding the value %q: ladder %q lets parameters set %s in environment %q: add it to overrides, or set it in a layer",
				text, r.Ladder, r.overridable(), r.Environment)
		}
		overrides = append(overrides, Override{path, values[text]})
	}
	if err := checkOverlap(overrides); err != nil {
		return Resolved{}, err
	}
	r.Overrides = overrides
	return r, nil
}

// checkOverlap rejects two values of which one would replace the other.
func checkOverlap(overrides []Override) error {
	for i, o := range overrides {
		for _, other := range overrides[i+1:] {
			shared := min(len(o.Path), len(other.Path))
			if slices.Equal(o.Path[:shared], other.Path[:shared]) {
				return fmt.Errorf("overriding the values %q and %q: they are the same, or one contains the other", valuepath.Format(o.Path), valuepath.Format(other.Path))
			}
		}
	}
	return nil
}

func (r Resolved) overridable() string {
	if len(r.Overridable) == 0 {
		return "nothing"
	}
	return ListNames(r.Overridable)
}

// overridable returns the patterns of an environment: its own, if it has any at the path
// at, or those of the Ladder.
func (d *Document) overridable(at string, own []string) []string {
	if d.positions.Has(strictyaml.Key(at, "overrides")) {
		return own
	}
	return d.Spec.Overrides
}

// pinnedPaths returns the value paths of all images, and of their tags.
func (d *Document) pinnedPaths() []pinnedPath {
	var all []pinnedPath
	for _, c := range d.claims() {
		if !c.whole {
			all = append(all, pinnedPath{c.path, c.at})
			continue
		}
		for _, key := range []string{keyRepository, keyDigest, keyTag} {
			all = append(all, pinnedPath{append(slices.Clone(c.path), key), c.at})
		}
	}
	return all
}

// pinnedPath is a path that only pins may set, with its position in the Ladder.
type pinnedPath struct {
	path []string
	at   string
}

// overrides checks one list of patterns. It rejects those that cover values which the pins
// set.
func (v *validator) overrides(at string, patterns []string) {
	at = strictyaml.Key(at, "overrides")
	v.patterns(at, patterns)
	for i, text := range patterns {
		pattern, err := valuepath.ParsePattern(text)
		if err != nil {
			continue
		}
		inside := slices.IndexFunc(v.pinned, func(p pinnedPath) bool { return pattern.Overlaps(p.path) })
		if inside >= 0 {
			p := v.pinned[inside]
			v.problemf(strictyaml.Index(at, i), "%.120q covers %s (%s), which only the pins may set", text, valuepath.Format(p.path), p.at)
		}
	}
}
