package layers

import "github.com/envladder/envladder/internal/strictyaml"

// Value is a value that a layer sets.
type Value struct {
	Path []string
	// At is where, a problem without a message.
	At strictyaml.Problem
}

// maxUnread bounds what is looked into: more isn't reported at once.
const maxUnread = 100

// Unread are values of layers that nothing reads, by read: the first hundred. What has an
// anchor is there for its aliases, which are judged where they stand.
func (m *Merged) Unread(read func(path []string) bool) []Value {
	var unread []Value
	for _, s := range m.sources {
		if s.kind != KindLayer && s.kind != KindTier {
			continue
		}
		Leaves(s.values, func(path []string, value any) {
			if value == nil || isMap(value) || len(unread) == maxUnread || read(path) || s.anchored(path) {
				return
			}
			unread = append(unread, Value{Path: path, At: s.problem(path, "")})
		})
	}
	return unread
}
