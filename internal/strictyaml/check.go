package strictyaml

import (
	"errors"
	"fmt"
	"io"

	"go.yaml.in/yaml/v3"
)

// checker gathers the faults of one document.
type checker struct {
	file   string
	faults Faults
}

func (c *checker) faultf(n *yaml.Node, path, format string, args ...any) {
	c.faults = append(c.faults, Fault{
		File: c.file, Line: n.Line, Column: n.Column, Path: path, Message: fmt.Sprintf(format, args...),
	})
}

// check walks the nodes as they are written, without following aliases.
func (c *checker) check(n *yaml.Node, path string, depth int) {
	if depth > MaxDepth {
		c.faultf(n, path, "is nested deeper than %d", MaxDepth)
		return
	}
	c.checkTag(n, path)
	switch n.Kind {
	case yaml.MappingNode:
		c.checkMapping(n, path, depth)
	case yaml.SequenceNode:
		for i, item := range n.Content {
			c.check(item, Index(path, i), depth+1)
		}
	}
}

func (c *checker) checkMapping(n *yaml.Node, path string, depth int) {
	first := make(map[string]*yaml.Node, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode {
			c.faultf(key, path, "has %s as a key: use a string", KindOf(key))
			continue
		}
		if IsNull(key) {
			c.faultf(key, path, "has a null key: use a string")
			continue
		}
		keyPath := Key(path, key.Value)
		if before, ok := first[key.Value]; ok {
			c.faultf(key, keyPath, "duplicate key, the first is in line %d", before.Line)
		} else {
			first[key.Value] = key
		}
		c.checkTag(key, keyPath)
		c.check(value, keyPath, depth+1)
	}
}

// coreTags are the tags that may be written. Others (!!binary, a program's own) would
// mean something else to each reader of the document.
var coreTags = map[string]bool{
	"!!map": true, "!!seq": true, tagString: true, tagInt: true, "!!float": true, "!!bool": true, tagNull: true,
}

func (c *checker) checkTag(n *yaml.Node, path string) {
	if n.Style&yaml.TaggedStyle != 0 && !coreTags[n.ShortTag()] {
		c.faultf(n, path, "has the tag %q, which isn't supported", shorten(n.ShortTag()))
	}
}

// checkSingle expects the end of the file after the first document.
func (c *checker) checkSingle(decoder *yaml.Decoder) {
	var next yaml.Node
	switch err := decoder.Decode(&next); {
	case errors.Is(err, io.EOF):
	case err != nil:
		c.faults = append(c.faults, syntaxFault(c.file, err))
	default:
		c.faultf(&next, "", "has a second document: one file, one document")
	}
}

// checkAliased bounds what following the aliases costs.
func (c *checker) checkAliased(root *yaml.Node) {
	e := expansion{anchors: map[*yaml.Node]extent{}}
	whole := e.measure(root, 1)
	switch {
	case e.cycle != nil:
		c.faultf(e.cycle, "", "alias *%s contains itself", shorten(e.cycle.Value))
	case e.deep != nil:
		c.faultf(e.deep, "", "is nested deeper than %d by alias *%s", MaxDepth, shorten(e.deep.Value))
	case whole.nodes-e.written > MaxAliased:
		c.faultf(e.first, "", "the aliases from here on repeat more than %d nodes", MaxAliased)
	}
}

// extent is how much there is from a node down, aliases followed.
type extent struct {
	nodes, height int
}

// maxNodes is where counting stops: enough to tell a bomb, and far from overflowing.
const maxNodes = 1 << 30

// expansion measures a document as if each alias were what it stands for. Each anchor is
// measured once, so that measuring a bomb is cheap.
type expansion struct {
	// anchors that are measured. YAML defines an anchor above its aliases, so one that
	// an alias doesn't find here is still being measured: the alias is inside it.
	anchors map[*yaml.Node]extent
	// written is how many nodes the document has as it is written.
	written int
	// first alias; the last alias inside its own anchor; the last that nests too deep.
	first, cycle, deep *yaml.Node
}

func (e *expansion) measure(n *yaml.Node, depth int) extent {
	e.written++
	if n.Kind == yaml.AliasNode {
		return e.measureAlias(n, depth)
	}
	whole := extent{nodes: 1, height: 1}
	for _, child := range n.Content {
		part := e.measure(child, depth+1)
		whole.nodes = min(whole.nodes+part.nodes, maxNodes)
		whole.height = max(whole.height, part.height+1)
	}
	if n.Anchor != "" {
		e.anchors[n] = whole
	}
	return whole
}

func (e *expansion) measureAlias(n *yaml.Node, depth int) extent {
	if e.first == nil {
		e.first = n
	}
	target, ok := e.anchors[n.Alias]
	if !ok {
		e.cycle = n
		return extent{nodes: 1, height: 1}
	}
	if depth+target.height-1 > MaxDepth {
		e.deep = n
	}
	return target
}
