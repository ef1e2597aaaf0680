package layers

import (
	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/strictyaml"
)

// checkImages finds what sets, or stands in the way of, what the pins set: the pins
// alone say which image runs. The pins would win all the same, but who wrote the value
// would wonder.
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
		return strictyaml.Problems{s.problem(path, "is what the pins set for image %q, and nothing else may: remove it", pin.Name)}
	case !isMap(value):
		return strictyaml.Problems{s.problem(path[:depth], "is %s, and the pins set image %q inside of it: remove it, or make it a mapping", typeName(value), pin.Name)}
	}
	return nil
}

// checkTag finds a tag beside the digest: some templates prefer it. A null takes the
// chart's own away, which is right.
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
