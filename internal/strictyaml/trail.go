package strictyaml

import (
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/envladder/envladder/internal/printable"
)

// trail is the path from a document's root (nil) to a node. It becomes a text only for a
// problem: the texts of all nodes of a deep document would be far larger than the document.
type trail struct {
	up    *trail
	name  string
	index int // of a list's item, or -1
}

func (t *trail) key(name string) *trail { return &trail{up: t, name: name, index: -1} }

func (t *trail) item(i int) *trail { return &trail{up: t, index: i} }

// childOf returns the trail of the i-th of n's children. The children of a mapping are its
// keys and values in turn; a key that isn't a string has the mapping's trail.
func childOf(n *yaml.Node, at *trail, i int) *trail {
	switch {
	case n.Kind == yaml.SequenceNode:
		return at.item(i)
	case n.Content[i-i%2].Kind == yaml.ScalarNode:
		return at.key(n.Content[i-i%2].Value)
	}
	return at
}

// maxShownPath is where messages cut paths, in bytes: after a few of the longest keys.
const maxShownPath = 4 * maxShownKey

// String returns the path, such as spec.environments[2].layers[0].
func (t *trail) String() string {
	var steps []*trail
	for at := t; at != nil; at = at.up {
		steps = append(steps, at)
	}
	path := ""
	for _, step := range slices.Backward(steps) {
		if step.index >= 0 {
			path = Index(path, step.index)
		} else {
			path = Key(path, step.name)
		}
		if cut := printable.Cut(path, maxShownPath); cut != path {
			return cut
		}
	}
	return path
}
