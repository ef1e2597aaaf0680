package strictyaml

import (
	"fmt"

	"go.yaml.in/yaml/v3"
)

// Walk visits the nodes of a tree that Parse returned, without following aliases. key is set
// for the keys of mappings; path returns the node's path. Walk stops when visit returns
// false.
func Walk(root *yaml.Node, visit func(n *yaml.Node, key bool, path func() string) bool) {
	walk(root, nil, visit)
}

func walk(n *yaml.Node, at *trail, visit func(*yaml.Node, bool, func() string) bool) bool {
	if !visit(n, false, at.String) {
		return false
	}
	for i, child := range n.Content {
		below := childOf(n, at, i)
		if n.Kind == yaml.MappingNode && i%2 == 0 {
			if !visit(child, true, below.String) {
				return false
			}
			continue
		}
		if !walk(child, below, visit) {
			return false
		}
	}
	return true
}

// ProblemAt returns a problem at a node.
func ProblemAt(file string, n *yaml.Node, path, format string, args ...any) Problem {
	return Problem{File: file, Line: n.Line, Column: n.Column, Path: path, Message: fmt.Sprintf(format, args...)}
}
