package gitrepo

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/envladder/envladder/internal/strictyaml"
)

// ErrCantEdit is returned for a value that can't be changed without changing others.
var ErrCantEdit = errors.New("edit it by hand")

// simple matches values, such as digests and paths, that need neither quotes nor escapes
// anywhere.
var simple = regexp.MustCompile(`^[A-Za-z0-9./][A-Za-z0-9._/:@+-]*[A-Za-z0-9_/]$`)

// SetString sets the string at a path (keys of mappings) in a YAML document and changes no
// other byte: comments, line endings, quotes and the order of keys stay. It adds a missing
// key in the style of its siblings, and missing mappings around it, also to an empty
// document.
//
// file is only named in errors: a strictyaml.Problems where the document is invalid, and
// one that matches ErrCantEdit where the value can't be changed alone, such as one that
// aliases share. The result was parsed again: it differs in that value only.
func SetString(file string, data []byte, value string, path ...string) ([]byte, error) {
	if !simple.MatchString(value) {
		return nil, fmt.Errorf("editing %q: %.120q has other characters than letters, digits and . _ / : @ + -", file, value)
	}
	root, err := strictyaml.ParseMapping(file, data)
	if err != nil {
		return nil, err
	}
	edit, err := find(newSource(data), root, value, path)
	if err == nil {
		edited := edit.apply(data)
		if err = verify(file, root, edited, value, path); err == nil {
			return edited, nil
		}
	}
	return nil, fmt.Errorf("editing %s of %q: %w: %w", trail(path), file, err, ErrCantEdit)
}

// splice replaces bytes by text.
type splice struct {
	from, to int
	text     string
}

func (s splice) apply(data []byte) []byte {
	return slices.Concat(data[:s.from], []byte(s.text), data[s.to:])
}

// find returns which bytes to change.
func find(src source, root *yaml.Node, value string, path []string) (splice, error) {
	at := root
	for i, key := range path {
		switch {
		case at.Kind == yaml.AliasNode:
			return splice{}, errors.New("it is an alias (*) of another value")
		case isAliased(root, at):
			return splice{}, errAliased
		case at.Kind != yaml.MappingNode:
			return splice{}, fmt.Errorf("it is in %s, and not in a mapping", strictyaml.KindOf(at))
		}
		keyNode, found := lookup(at, key)
		if keyNode == nil {
			return add(src, at, path[i:], value)
		}
		if strictyaml.IsNull(found) && i < len(path)-1 {
			return fill(src, at, keyNode, found, path[i+1:], value)
		}
		at = found
		if i == len(path)-1 {
			if isAliased(root, at) {
				return splice{}, errAliased
			}
			return replace(src, keyNode, at, value)
		}
	}
	return splice{}, errors.New("it has no path")
}

var errAliased = errors.New("it has an anchor (&): aliases of it would change too")

// isAliased reports whether an alias in a document refers to a node.
func isAliased(root, node *yaml.Node) bool {
	if node.Anchor == "" {
		return false
	}
	if root.Kind == yaml.AliasNode {
		return root.Alias == node
	}
	return slices.ContainsFunc(root.Content, func(child *yaml.Node) bool { return isAliased(child, node) })
}

// lookup finds a key of a mapping. Merged keys (<<) are ignored: a key overrides them.
func lookup(mapping *yaml.Node, key string) (keyNode, value *yaml.Node) {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if k := mapping.Content[i]; k.Kind == yaml.ScalarNode && k.Value == key {
			return k, mapping.Content[i+1]
		}
	}
	return nil, nil
}

// replace replaces a scalar by the value.
func replace(src source, key, old *yaml.Node, value string) (splice, error) {
	from, to, err := src.scalar(old)
	if err != nil {
		return splice{}, err
	}
	if from == to && old.Anchor != "" {
		return splice{}, errors.New("it is empty and has an anchor (&)")
	}
	if from == to { // there is no value, as in `web:`
		colon, err := src.colon(key)
		return splice{colon, colon, " " + value}, err
	}
	return splice{from, to, quoted(old, value)}, nil
}

// quoted returns a value in the quotes of another one.
func quoted(like *yaml.Node, value string) string {
	switch {
	case like.Style&yaml.DoubleQuotedStyle != 0:
		return `"` + value + `"`
	case like.Style&yaml.SingleQuotedStyle != 0:
		return "'" + value + "'"
	default:
		return value
	}
}

// verify parses the result, and compares it with the intended document.
func verify(file string, before *yaml.Node, edited []byte, value string, path []string) error {
	after, err := strictyaml.ParseMapping(file, edited)
	if err != nil {
		return errors.New("its syntax is not supported")
	}
	put(before, value, path)
	if !same(before, after) {
		return errors.New("another value would change with it")
	}
	return nil
}

// put applies the intended edit to nodes.
func put(at *yaml.Node, value string, path []string) {
	for _, key := range path {
		_, next := lookup(at, key)
		if next == nil || strictyaml.IsNull(next) {
			made := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
			if next == nil {
				next = made
				at.Content = append(at.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key}, next)
			} else {
				*next = *made
			}
		}
		at = next
	}
	*at = yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value, Anchor: at.Anchor}
}

// same compares the meaning of nodes, including the order of mappings: nothing may move, and
// a new key comes last or, in a new root, first.
func same(a, b *yaml.Node) bool {
	if a.Kind != b.Kind || a.Value != b.Value || a.Anchor != b.Anchor || len(a.Content) != len(b.Content) {
		return false
	}
	if a.Kind != yaml.AliasNode && a.ShortTag() != b.ShortTag() {
		return false
	}
	for i := range a.Content {
		if !same(a.Content[i], b.Content[i]) {
			return false
		}
	}
	return true
}

func trail(path []string) string {
	at := ""
	for _, key := range path {
		at = strictyaml.Key(at, key)
	}
	return at
}

// newline returns the document's line ending.
func newline(data []byte) string {
	if i := bytes.IndexByte(data, '\n'); i > 0 && data[i-1] == '\r' {
		return "\r\n"
	}
	return "\n"
}
