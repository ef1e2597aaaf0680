package ladder

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/envladder/envladder/internal/strictyaml"
)

// Override is a value that a parameter of an Application sets.
type Override struct {
	// Path in the values.
	Path []string
	// Value is a string, a float64 or a bool.
	Value any
}

// Override is the step with values set after all layers, as parameters of an Application
// set them: a scalar in YAML by its dotted path. The Ladder must allow each path in
// overrides, since whoever can write a file .argocd-source.yaml into the repository sets
// parameters too.
func (s Step) Override(values map[string]string) (Step, error) {
	if len(values) > maxOverrides {
		return Step{}, fmt.Errorf("overriding %d values: at most %d can be: set them in a layer", len(values), maxOverrides)
	}
	overrides := slices.Clone(s.Overrides)
	for _, path := range slices.Sorted(maps.Keys(values)) {
		if !isValuesPath(path) {
			return Step{}, fmt.Errorf("overriding the value %.120q: it isn't a value path: %s", path, wantPath)
		}
		elements := strings.Split(path, ".")
		if !Match(s.Overridable, elements) {
			return Step{}, fmt.Errorf("overriding the value %q: ladder %q lets parameters set %s in environment %q: add it to overrides, or set it in a layer",
				path, s.Ladder, s.overridable(), s.Environment)
		}
		value, err := parseOverride(values[path])
		if err != nil {
			return Step{}, fmt.Errorf("overriding the value %q: %w", path, err)
		}
		overrides = append(overrides, Override{elements, value})
	}
	for i, o := range overrides[:max(len(overrides)-1, 0)] {
		// They are sorted, so a path comes right before those inside of it, or before
		// others that begin with its name.
		for _, next := range overrides[i+1:] {
			if len(next.Path) > len(o.Path) && slices.Equal(o.Path, next.Path[:len(o.Path)]) {
				return Step{}, fmt.Errorf("overriding the values %q and %q: one is inside of the other", strings.Join(o.Path, "."), strings.Join(next.Path, "."))
			}
		}
	}
	s.Overrides = overrides
	return s, nil
}

func (s Step) overridable() string {
	if len(s.Overridable) == 0 {
		return "nothing"
	}
	return some(s.Overridable)
}

// maxOverrides bounds how many values parameters set, which are compared in pairs. More
// than a few are a layer's business.
const maxOverrides = 100

// maxOverride bounds a value: a hostname, a number, a flag. What is longer belongs in a
// layer.
const maxOverride = 4 << 10

// parseOverride reads a scalar as Helm reads one of a layer. Errors leave it out.
func parseOverride(text string) (any, error) {
	if len(text) > maxOverride {
		return nil, fmt.Errorf("it has more than %d bytes", maxOverride)
	}
	if _, err := strictyaml.Parse("value", []byte(text)); err != nil {
		return nil, fmt.Errorf("it isn't a YAML scalar: quote it to make it a string")
	}
	var value any
	if err := yaml.Unmarshal([]byte(text), &value); err != nil {
		return nil, fmt.Errorf("it isn't a YAML scalar: quote it to make it a string")
	}
	switch value := value.(type) {
	case string, bool:
		return value, nil
	case float64:
		if math.Abs(value) >= 1<<53 {
			return nil, errors.New("it is a number of 2^53 or more, whose last digits Helm may lose: quote it to make it a string")
		}
		return value, nil
	case nil:
		return nil, fmt.Errorf("it is null, which would remove a value: only a layer may")
	}
	return nil, fmt.Errorf("it is a mapping or a list: only scalars can be set so")
}

// overridable are the patterns for an environment that has its own at the path at, if it
// has.
func (d *Document) overridable(at string, own []string) []string {
	if d.positions.Has(strictyaml.Key(at, "overrides")) {
		return own
	}
	return d.Spec.Overrides
}

// pinnedPaths are the value paths of all images, and of their tags.
func (d *Document) pinnedPaths() []pinnedPath {
	var all []pinnedPath
	for _, c := range d.claims() {
		path := strings.Split(c.path, ".")
		if !strings.HasSuffix(c.at, ".valuesPath") {
			all = append(all, pinnedPath{path, c.at})
			continue
		}
		for _, key := range []string{keyRepository, keyDigest, keyTag} {
			all = append(all, pinnedPath{append(slices.Clone(path), key), c.at})
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
	for i, pattern := range patterns {
		if wrongPattern(pattern) != "" || pattern == "" {
			continue
		}
		elements := strings.Split(pattern, ".")
		inside := slices.IndexFunc(v.pinned, func(p pinnedPath) bool { return matches(elements, p.path) })
		if inside >= 0 {
			p := v.pinned[inside]
			v.faultf(strictyaml.Index(at, i), "%.120q covers %s (%s): the pins alone say that", pattern, strings.Join(p.path, "."), p.at)
		}
	}
}
