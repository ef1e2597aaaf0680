package strictyaml

import (
	"errors"
	"fmt"
	"io"
	"math"

	"go.yaml.in/yaml/v3"

	"github.com/envladder/envladder/internal/bounded"
	"github.com/envladder/envladder/internal/printable"
)

// checker collects the problems of one document.
type checker struct {
	file     string
	problems Problems
}

func (c *checker) problemf(n *yaml.Node, path, format string, args ...any) {
	if c.problems.Full() {
		return
	}
	c.problems = append(c.problems, Problem{
		File: c.file, Line: n.Line, Column: n.Column, Path: path, Message: fmt.Sprintf(format, args...),
	})
}

// problemAtf adds a problem like problemf. It builds the path only if the problem is stored.
func (c *checker) problemAtf(n *yaml.Node, at *trail, format string, args ...any) {
	if !c.problems.Full() {
		c.problemf(n, at.String(), format, args...)
	}
}

// check checks a node and those below it, without following aliases.
func (c *checker) check(n *yaml.Node, at *trail, depth int) {
	if depth > MaxDepth {
		c.problemAtf(n, at, "is nested deeper than %d", MaxDepth)
		return
	}
	c.checkTag(n, at)
	switch n.Kind {
	case yaml.MappingNode:
		c.checkMapping(n, at, depth)
	case yaml.SequenceNode:
		for i, item := range n.Content {
			c.check(item, at.item(i), depth+1)
		}
	}
}

func (c *checker) checkMapping(n *yaml.Node, at *trail, depth int) {
	first := make(map[string]*yaml.Node, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		below := at.key(key.Value)
		switch {
		case key.Kind != yaml.ScalarNode:
			c.problemAtf(key, at, "has %s as a key: use a string", KindOf(key))
			below = at
		case IsNull(key):
			c.problemAtf(key, at, "has a null key: use a string")
			below = at
		default:
			if before, ok := first[key.Value]; ok {
				c.problemAtf(key, below, "duplicate key, the first is in line %d%s", before.Line, mergeHint(key))
			} else {
				first[key.Value] = key
			}
			c.checkTag(key, below)
		}
		if key.ShortTag() == tagMerge {
			c.checkMerge(value, below)
		}
		c.check(value, below, depth+1)
	}
}

// mergeHint returns a hint how to merge several mappings, for a duplicate merge key.
func mergeHint(key *yaml.Node) string {
	if key.ShortTag() != tagMerge {
		return ""
	}
	return ": to merge several mappings, use one list, such as <<: [*a, *b], in which the first wins"
}

// checkMerge checks the value of a merge key (<<).
func (c *checker) checkMerge(n *yaml.Node, at *trail) {
	if n.Kind != yaml.SequenceNode {
		c.checkMerged(n, at)
		return
	}
	for i, item := range n.Content {
		c.checkMerged(item, at.item(i))
	}
}

func (c *checker) checkMerged(n *yaml.Node, at *trail) {
	merged := n
	if n.Kind == yaml.AliasNode {
		merged = n.Alias
	}
	if merged.Kind != yaml.MappingNode {
		c.problemAtf(n, at, "merges %s: want a mapping, or a list of mappings", KindOf(merged))
	}
}

// coreTags has the supported tags with the kinds of their nodes. Each parser would read
// others (!!binary, a program's own) differently.
var coreTags = map[string]yaml.Kind{
	"!!map":   yaml.MappingNode,
	"!!seq":   yaml.SequenceNode,
	tagString: yaml.ScalarNode,
	tagInt:    yaml.ScalarNode,
	tagFloat:  yaml.ScalarNode,
	tagBool:   yaml.ScalarNode,
	tagNull:   yaml.ScalarNode,
}

// checkTag checks that the node's value matches its tag, explicit or implied. The problems
// don't quote the value, which may be a secret.
func (c *checker) checkTag(n *yaml.Node, at *trail) {
	tag := n.ShortTag()
	if n.Style&yaml.TaggedStyle != 0 {
		kind, ok := coreTags[tag]
		switch {
		case !ok:
			c.problemAtf(n, at, "has the tag %s, which isn't supported", printable.Quote(tag, maxShownKey))
			return
		case kind != n.Kind || kind == yaml.ScalarNode && !decodes(n):
			c.problemAtf(n, at, "has the tag %s, but its value isn't of that type", tag)
			return
		}
	}
	if n.Kind == yaml.ScalarNode && tag == tagFloat && !finite(n) {
		c.problemAtf(n, at, "isn't a finite number: values are JSON, which has neither infinity nor NaN (quote it to make it a string)")
	}
}

func decodes(scalar *yaml.Node) bool {
	var value any
	return scalar.Decode(&value) == nil
}

func finite(scalar *yaml.Node) bool {
	var value float64
	return scalar.Decode(&value) == nil && !math.IsInf(value, 0) && !math.IsNaN(value)
}

// checkSingle reports a second document that has content. Empty ones, such as after a closing
// `---`, are allowed: Helm reads only the first document.
func (c *checker) checkSingle(decoder *yaml.Decoder) {
	for {
		var next yaml.Node
		switch err := decoder.Decode(&next); {
		case errors.Is(err, io.EOF):
			return
		case err != nil:
			c.problems = append(c.problems, syntaxProblem(c.file, err))
			return
		case !isEmpty(&next):
			c.problemf(&next, "", "has a second document: use a file for each")
			return
		}
	}
}

// isEmpty reports whether a document has only comments.
func isEmpty(document *yaml.Node) bool {
	root := document.Content[0]
	return IsNull(root) && root.Value == "" && root.Anchor == "" && root.Style&yaml.TaggedStyle == 0
}

// checkAliased bounds the cost of following aliases.
func (c *checker) checkAliased(root *yaml.Node) {
	e := expansion{anchors: map[*yaml.Node]extent{}}
	whole := e.measure(root, nil, 1)
	switch {
	case e.cycle.node != nil:
		c.problemAtf(e.cycle.node, e.cycle.at, "alias *%s contains itself", printable.Cut(e.cycle.node.Value, maxShownKey))
	case e.deep.node != nil:
		c.problemAtf(e.deep.node, e.deep.at, "is nested deeper than %d by alias *%s", MaxDepth, printable.Cut(e.deep.node.Value, maxShownKey))
	case whole.nodes-e.written > MaxAliased:
		c.problemAtf(e.first.node, e.first.at, "the aliases from here on repeat more than %d nodes", MaxAliased)
	case whole.size-e.size > MaxAliasedSize:
		c.problemAtf(e.first.node, e.first.at, "the aliases from here on repeat more than %s", bounded.Size(MaxAliasedSize))
	}
}

// found is a node with its trail.
type found struct {
	node *yaml.Node
	at   *trail
}

// Measure returns the nodes and the bytes of scalars of a tree that Parse returned, with
// aliases expanded: the size of its decoded values.
func Measure(root *yaml.Node) (nodes, size int) {
	e := expansion{anchors: map[*yaml.Node]extent{}}
	whole := e.measure(root, nil, 1)
	return whole.nodes, whole.size
}

// extent is the size of a node with everything below it, aliases expanded; size is in bytes.
type extent struct {
	nodes, size, height int
}

// maxCount is where counting stops: enough to detect a bomb, and far from an overflow.
const maxCount = 1 << 30

// expansion measures a document with its aliases expanded. It measures each anchor once, so
// that measuring a bomb is cheap.
type expansion struct {
	// anchors has the measured anchors. YAML defines an anchor above its aliases, so an
	// anchor that isn't here yet is still being measured: the alias is inside it.
	anchors map[*yaml.Node]extent
	// written has the nodes of the document without expanded aliases, size the bytes of
	// their scalars.
	written, size int
	// first alias; the last alias inside its own anchor; the last that nests too deep.
	first, cycle, deep found
}

func (e *expansion) measure(n *yaml.Node, at *trail, depth int) extent {
	e.written++
	if n.Kind == yaml.AliasNode {
		return e.measureAlias(found{n, at}, depth)
	}
	whole := extent{nodes: 1, size: len(n.Value), height: 1}
	e.size += len(n.Value)
	for i, child := range n.Content {
		part := e.measure(child, childOf(n, at, i), depth+1)
		whole.nodes = min(whole.nodes+part.nodes, maxCount)
		whole.size = min(whole.size+part.size, maxCount)
		whole.height = max(whole.height, part.height+1)
	}
	if n.Anchor != "" {
		e.anchors[n] = whole
	}
	return whole
}

func (e *expansion) measureAlias(alias found, depth int) extent {
	if e.first.node == nil {
		e.first = alias
	}
	target, ok := e.anchors[alias.node.Alias]
	if !ok {
		e.cycle = alias
		return extent{nodes: 1, height: 1}
	}
	if depth+target.height-1 > MaxDepth {
		e.deep = alias
	}
	return target
}
