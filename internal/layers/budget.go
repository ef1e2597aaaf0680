package layers

import (
	"fmt"

	yamlv3 "go.yaml.in/yaml/v3"

	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/strictyaml"
)

// The bounds of a step's layers together. strictyaml's are of each, and a step may have
// hundreds.
const (
	// maxStepSize in bytes: what is merged goes into a cluster's objects, of at most
	// 1.5 MiB each.
	maxStepSize = 4 << 20
	// maxStepNodes of keys, values, mappings and lists. The values of the largest public
	// charts have 20,000; a node takes some 200 bytes while it is parsed, and a value
	// some 50 as long as it is rendered.
	maxStepNodes = 200_000
)

// budget is what of the bounds is left.
type budget struct {
	size, nodes int
}

func newBudget() budget { return budget{size: maxStepSize, nodes: maxStepNodes} }

// spend takes what a layer has, aliases followed. The error is a strictyaml.Problems.
func (b *budget) spend(layer ladder.Layer, data []byte, root *yamlv3.Node) error {
	nodes, size := strictyaml.Measure(root)
	b.nodes -= nodes
	b.size -= max(size, len(data))
	problem := func(format string, bound int) error {
		return strictyaml.Problems{{File: layer.Path, Message: fmt.Sprintf(format, bound)}}
	}
	switch {
	case b.size < 0:
		return problem("makes the layers larger than %d MiB together: make them smaller, or take some away", maxStepSize>>20)
	case b.nodes < 0:
		return problem("makes the layers more than %d keys and values together: make them smaller, or take some away", maxStepNodes)
	}
	return nil
}

func (b *budget) over() bool { return b.size < 0 || b.nodes < 0 }
