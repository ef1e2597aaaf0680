package layers

import (
	"fmt"

	yamlv3 "go.yaml.in/yaml/v3"

	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/strictyaml"
)

// The limits of all layers of an environment together. Those of package strictyaml apply to
// each layer, and an environment may have hundreds.
const (
	// maxLayersSize in bytes: merged values end up in a cluster's objects, of at most
	// 1.5 MiB each.
	maxLayersSize = 4 << 20
	// maxLayersNodes counts keys, values, mappings and lists. The values of the largest public
	// charts have 20,000; a node takes some 200 bytes while it is parsed, and a value
	// some 50 as long as it is rendered.
	maxLayersNodes = 200_000
)

// limits has the size and nodes that are left.
type limits struct {
	size, nodes int
}

func newLimits() limits { return limits{size: maxLayersSize, nodes: maxLayersNodes} }

// spend subtracts a layer with its aliases expanded. The error is a strictyaml.Problems.
func (l *limits) spend(layer ladder.Layer, data []byte, root *yamlv3.Node) error {
	nodes, size := strictyaml.Measure(root)
	l.nodes -= nodes
	l.size -= max(size, len(data))
	problem := func(format string, bound int) error {
		return strictyaml.Problems{{File: layer.Path, Message: fmt.Sprintf(format, bound)}}
	}
	switch {
	case l.size < 0:
		return problem("makes all layers together larger than %d MiB: make them smaller, or remove some", maxLayersSize>>20)
	case l.nodes < 0:
		return problem("makes all layers together more than %d keys and values: make them smaller, or remove some", maxLayersNodes)
	}
	return nil
}

// exceeded reports whether a limit is exceeded.
func (l *limits) exceeded() bool { return l.size < 0 || l.nodes < 0 }
