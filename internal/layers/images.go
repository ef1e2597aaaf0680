package layers

import (
	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/strictyaml"
)

// checkImages returns a problem for each value that sets what the pins set, or that replaces
// a mapping around it: only the pins decide which image runs. The pins would override the
// value anyway, and its author wouldn't know why it has no effect.
func (m *Merged) checkImages() strictyaml.Problems {
	var problems strictyaml.Problems
	for _, pin := range m.pins {
		values, err := pin.Values()
		if err != nil {
			continue // Merge reports it
		}
		for _, s := range m.sources {
			for _, v := range values {
				problems = append(problems, s.checkImage(pin, v.Path)...)
				if problems.Full() {
					return problems
				}
			}
			problems = append(problems, s.checkTag(pin)...)
		}
	}
	return problems
}

func (s source) checkImage(pin ladder.Pin, path []string) strictyaml.Problems {
	depth, value := s.walk(path)
	switch {
	case depth == len(path):
		return strictyaml.Problems{s.problem(path, "is set by the pins for image %q: remove it, since nothing else may set it", pin.Name)}
	case !isMap(value):
		return strictyaml.Problems{s.problem(path[:depth], "is %s, and the pins set image %q inside of it: remove it, or make it a mapping", typeName(value), pin.Name)}
	}
	return nil
}

// checkTag returns a problem for a tag next to the digest, since some templates prefer the
// tag. A null is allowed: it removes the chart's own tag.
func (s source) checkTag(pin ladder.Pin) strictyaml.Problems {
	path := pin.TagPath()
	if path == nil {
		return nil
	}
	if depth, value := s.walk(path); depth < len(path) || value == nil || value == "" {
		return nil
	}
	return strictyaml.Problems{s.problem(path, "is a tag of image %q, which can move: the pins say which digest runs, remove it", pin.Name)}
}
