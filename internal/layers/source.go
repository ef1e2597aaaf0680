package layers

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	yamlv3 "go.yaml.in/yaml/v3"

	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/secrets"
	"github.com/envladder/envladder/internal/strictyaml"
	"github.com/envladder/envladder/internal/valuepath"
)

// Kind is the kind of a value's source.
type Kind string

// The kinds, in their order; the last wins.
const (
	KindChart    Kind = "chart"
	KindLayer    Kind = "layer"
	KindTier     Kind = "tier"
	KindOverride Kind = "override"
	KindPins     Kind = "pins"
)

// kindOf returns the kind of a layer.
func kindOf(layer ladder.Layer) Kind {
	if strings.HasPrefix(layer.Origin, ladder.TierOrigin) {
		return KindTier
	}
	return KindLayer
}

// source is a set of values: a layer, a chart's values.yaml, a parameter or a pin.
type source struct {
	kind   Kind
	origin string
	// file as the reader knows it.
	file   string
	values map[string]any
	// document returns the document of the values below prefix; it is nil, or returns nil,
	// where there is none. It is parsed only when needed: its nodes may take a hundred times
	// the memory of the text.
	document func() *yamlv3.Node
	prefix   []string
	// line of a source that has no document.
	line int
	// unresolved are findings that are reported unless secrets are rendered literally.
	unresolved strictyaml.Problems
}

// name returns the source's name for messages.
func (s source) name() string {
	if s.document == nil {
		return s.origin
	}
	return fmt.Sprintf("layer %q (%s)", s.file, s.origin)
}

// walk follows the path as far as there are mappings. It returns how many elements it
// followed, and the value there: the one at path, one that isn't a mapping, or the mapping
// that lacks the next element.
func (s source) walk(path []string) (depth int, value any) {
	value = s.values
	for depth < len(path) {
		m, ok := value.(map[string]any)
		if !ok {
			return depth, value
		}
		next, ok := m[path[depth]]
		if !ok {
			return depth, m
		}
		value = next
		depth++
	}
	return depth, value
}

// valueAt returns the value at path, nil where there is none.
func (s source) valueAt(path []string) any {
	depth, value := s.walk(path)
	if depth < len(path) {
		return nil
	}
	return value
}

// position returns the position of the value at path, or of the nearest one around it.
func (s source) position(path []string) (line, column int) {
	if s.document == nil || len(path) < len(s.prefix) {
		return s.line, 0
	}
	root := s.document()
	if root == nil {
		return 0, 0
	}
	n := nodeAt(root, path[len(s.prefix):])
	return n.Line, n.Column
}

// location returns the position of the value at path: file:line:column (origin).
func (s source) location(path []string) string { return s.setting(path, len(path), nil).location() }

func (s source) problem(path []string, format string, args ...any) strictyaml.Problem {
	line, column := s.position(path)
	return strictyaml.Problem{File: s.file, Line: line, Column: column, Path: valuepath.Format(path), Message: fmt.Sprintf(format, args...)}
}

// nodeAt returns the node of the key (or the list's item) at path, or the last one on the
// way.
func nodeAt(root *yamlv3.Node, path []string) *yamlv3.Node {
	at, value := root, root
	for _, element := range path {
		key, next := child(value, element)
		if next == nil {
			break
		}
		at, value = key, next
	}
	return at
}

// anchored reports whether the node at path, or one around it, has an anchor.
func (s source) anchored(path []string) bool {
	if s.document == nil || len(path) < len(s.prefix) {
		return false
	}
	value := s.document()
	for _, element := range path[len(s.prefix):] {
		if value == nil || value.Kind == yamlv3.AliasNode {
			return false
		}
		if _, value = child(value, element); value != nil && value.Anchor != "" {
			return true
		}
	}
	return false
}

// child returns a mapping's or list's element and the node with its position, or nil where
// there is none.
func child(n *yamlv3.Node, element string) (key, value *yamlv3.Node) {
	if n.Kind == yamlv3.AliasNode {
		n = n.Alias
	}
	switch n.Kind {
	case yamlv3.SequenceNode:
		if i, err := strconv.Atoi(element); err == nil && 0 <= i && i < len(n.Content) {
			return n.Content[i], n.Content[i]
		}
	case yamlv3.MappingNode:
		return valueOfKey(n, element)
	}
	return nil, nil
}

// valueOfKey looks a key up as Helm's parser does: the last one wins, and a merge key (<<)
// overrides the keys above it.
func valueOfKey(mapping *yamlv3.Node, wanted string) (key, value *yamlv3.Node) {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		name, v := mapping.Content[i], mapping.Content[i+1]
		if name.ShortTag() != "!!merge" {
			if name.Value == wanted {
				key, value = name, v
			}
			continue
		}
		if k, v := mergedKey(v, wanted); v != nil {
			key, value = k, v
		}
	}
	return key, value
}

// mergedKey looks a key up in the value of a merge key: in a list the first mapping wins.
func mergedKey(from *yamlv3.Node, wanted string) (key, value *yamlv3.Node) {
	if from.Kind != yamlv3.SequenceNode {
		return child(from, wanted)
	}
	for _, m := range from.Content {
		if key, value := child(m, wanted); value != nil {
			return key, value
		}
	}
	return nil, nil
}

// overrideSources returns the parameters' values, each as a source of its own.
func overrideSources(overrides []ladder.Override) []source {
	var sources []source
	for _, o := range overrides {
		s := source{
			kind: KindOverride, origin: "parameter", file: "the Application's parameter values",
			values: nested(o.Path, o.Value),
		}
		text, _ := o.Value.(string)
		if what, ok := secrets.FindUnresolved(text); ok {
			s.unresolved = strictyaml.Problems{s.problem(o.Path, unresolvedValue, what, insteadOfSecrets)}
		}
		sources = append(sources, s)
	}
	return sources
}

// pinSource returns the values that a pin sets.
func pinSource(pin ladder.Pin) (source, error) {
	set, err := pin.Values()
	if err != nil {
		return source{}, err
	}
	values := map[string]any{}
	for _, v := range set {
		values = mergeMaps(values, nested(v.Path, v.Value))
	}
	return source{kind: KindPins, origin: "pins", file: pin.Source, line: pin.Line, values: values}, nil
}

// nested returns value in a mapping for each element of path.
func nested(path []string, value any) map[string]any {
	for i := len(path) - 1; i > 0; i-- {
		value = map[string]any{path[i]: value}
	}
	return map[string]any{path[0]: value}
}

// Default is the values.yaml of a chart or a subchart.
type Default struct {
	// File as the reader knows it.
	File string
	// Prefix is the path of a subchart's values in the chart's; empty for the chart's own.
	Prefix []string
	Values map[string]any
	// Data is the file's text, for positions.
	Data []byte
}

// WithChart returns m with the values of a chart below it: its own first, then its
// subcharts'.
func (m *Merged) WithChart(defaults []Default) *Merged {
	out := *m
	out.sources = nil
	for _, d := range slices.Backward(defaults) {
		out.sources = append(out.sources, chartSource(d))
	}
	out.sources = append(out.sources, m.sources...)
	return &out
}

func chartSource(d Default) source {
	s := source{kind: KindChart, origin: "chart", file: d.File, values: d.Values, prefix: d.Prefix}
	if len(d.Prefix) > 0 {
		s.origin = "subchart " + strings.Join(d.Prefix, "/")
		s.values = nested(d.Prefix, d.Values)
	}
	if s.values == nil {
		s.values = map[string]any{}
	}
	s.document = lazyDocument(d.Data)
	return s
}

// lazyDocument returns a function that parses data. A text that can't be parsed has no
// positions. It doesn't check the rules of layers: they don't apply to a chart's file, and a
// layer has been checked before.
func lazyDocument(data []byte) func() *yamlv3.Node {
	return sync.OnceValue(func() *yamlv3.Node {
		var doc yamlv3.Node
		if err := yamlv3.Unmarshal(data, &doc); err != nil || len(doc.Content) == 0 {
			return nil
		}
		return doc.Content[0]
	})
}
