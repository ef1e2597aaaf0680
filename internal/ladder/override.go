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
	// Value is a string, an int64, a bool, or a list of such: what `helm --set` gives.
	Value any
}

// maxOverrides bounds how many values parameters set, which are compared in pairs. More
// than a few are a layer's business.
const maxOverrides = 100

// Override returns the step with values set after all layers, as parameters of an
// Application set them, by their paths. The Ladder must allow each path in overrides,
// since anyone who can write a file .argocd-source.yaml into the repository sets
// parameters too.
func (s Resolved) Override(values map[string]any) (Resolved, error) {
	if len(values) > maxOverrides {
		return Resolved{}, fmt.Errorf("overriding %d values: at most %d can be: set them in a layer", len(values), maxOverrides)
	}
	overridable := valuepath.ParsePatterns(s.Overridable)
	overrides := slices.Clone(s.Overrides)
	for _, text := range slices.Sorted(maps.Keys(values)) {
		path, err := valuepath.ParseKeys(text)
		if err != nil {
			return Resolved{}, fmt.Errorf("overriding the value %.120q: %w", text, err)
		}
		if !overridable.Match(path) {
			return Resolved{}, fmt.Errorf("overriding the value %q: ladder %q lets parameters set %s in environment %q: add it to overrides, or set it in a layer",
				text, s.Ladder, s.overridable(), s.Environment)
		}
		overrides = append(overrides, Override{path, values[text]})
	}
	if err := checkOverlap(overrides); err != nil {
		return Resolved{}, err
	}
	s.Overrides = overrides
	return s, nil
}

// checkOverlap rejects two values of which one would replace the other.
func checkOverlap(overrides []Override) error {
	for i, o := range overrides {
		for _, other := range overrides[i+1:] {
			shared := min(len(o.Path), len(other.Path))
			if slices.Equal(o.Path[:shared], other.Path[:shared]) {
				return fmt.Errorf("overriding the values %q and %q: they are the same, or one is inside of the other", valuepath.Format(o.Path), valuepath.Format(other.Path))
			}
		}
	}
	return nil
}

func (s Resolved) overridable() string {
	if len(s.Overridable) == 0 {
		return "nothing"
	}
	return ListNames(s.Overridable)
}

// overridable are the patterns for an environment that has its own at the path at, if it
// has.
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

// pinnedPath is a path that is the pins' to set, and where the Ladder says so.
type pinnedPath struct {
	path []string
	at   string
}

// overrides checks one list of patterns. What the pins set isn't theirs.
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
			v.problemf(strictyaml.Index(at, i), "%.120q covers %s (%s): the pins alone say that", text, valuepath.Format(p.path), p.at)
		}
	}
}
