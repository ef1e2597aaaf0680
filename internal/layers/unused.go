package layers

import "github.com/envladder/envladder/internal/strictyaml"

// Value is a value that a layer sets.
type Value struct {
	Path []string
	// At is its position, as a problem without a message.
	At strictyaml.Problem
}

// maxUnused bounds how many values are checked and reported at once.
const maxUnused = 100

// Unused returns the first hundred values of layers that isUsed rejects. It leaves out values
// with an anchor, whose aliases are checked where they are.
func (m *Merged) Unused(isUsed func(path []string) bool) []Value {
	var unused []Value
	for _, s := range m.sources {
		if s.kind != KindLayer && s.kind != KindTier {
			continue
		}
		Leaves(s.values, func(path []string, value any) {
			if value == nil || isMap(value) || len(unused) == maxUnused || isUsed(path) || s.anchored(path) {
				return
			}
			unused = append(unused, Value{Path: path, At: s.problem(path, "")})
		})
	}
	return unused
}
