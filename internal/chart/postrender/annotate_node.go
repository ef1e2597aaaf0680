package postrender

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	k8syaml "sigs.k8s.io/yaml"
)

// annotateNode annotates a document's root as annotateObject has annotated its objects. It
// returns false where the root doesn't have the targets; the caller finds other differences
// by comparing the result.
func annotateNode(root *yaml.Node, targets []target) bool {
	for _, t := range targets {
		object := root
		for _, i := range t.items {
			items := lookup(object, "items")
			if items == nil || items.Kind != yaml.SequenceNode || i >= len(items.Content) {
				return false
			}
			object = resolve(items.Content[i])
		}
		for _, part := range t.parts {
			at := object
			for _, key := range part.path {
				at = lookup(at, key)
			}
			if at != nil && at.Kind == yaml.MappingNode && !annotateMapping(at, part.set) {
				return false
			}
		}
	}
	return true
}

// annotateMapping annotates the metadata of an object or part. It returns false where that
// has another kind than mapping.
func annotateMapping(object *yaml.Node, set []annotation) bool {
	metadata := ensureMapping(object, "metadata")
	annotations := ensureMapping(metadata, "annotations")
	if annotations == nil {
		return false
	}
	for _, a := range set {
		remove(annotations, a.key)
		if a.value == "" {
			continue
		}
		value, err := stringNode(a.value)
		if err != nil {
			return false
		}
		annotations.Content = append(annotations.Content, keyNode(a.key), value)
	}
	if len(annotations.Content) == 0 {
		remove(metadata, "annotations")
	}
	annotations.Style &^= yaml.FlowStyle
	return true
}

// parseNode parses a document.
func parseNode(content string) (*yaml.Node, error) {
	decoder := yaml.NewDecoder(strings.NewReader(content))
	var document, next yaml.Node
	if err := decoder.Decode(&document); err != nil {
		return nil, err
	}
	if err := decoder.Decode(&next); !errors.Is(err, io.EOF) {
		return nil, errSecondDocument
	}
	return &document, nil
}

// parseViaJSON parses a document by way of JSON, as Helm and Argo CD do.
func parseViaJSON(content string) (*yaml.Node, error) {
	json, err := k8syaml.YAMLToJSON([]byte(content))
	if err != nil {
		return nil, err
	}
	document, err := parseNode(string(json))
	if err != nil {
		return nil, err
	}
	return document, restyle(document)
}

// restyle removes JSON's brackets, and its quotes where they aren't needed.
func restyle(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!str" {
		plain, err := stringNode(n.Value)
		if err != nil {
			return err
		}
		*n = *plain
		return nil
	}
	n.Style = 0
	for _, child := range n.Content {
		if err := restyle(child); err != nil {
			return err
		}
	}
	return nil
}

// encodeNode prints a document with an indent of two spaces.
func encodeNode(document *yaml.Node) (string, error) {
	var b bytes.Buffer
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	encoder.CompactSeqIndent()
	if err := encoder.Encode(document); err != nil {
		return "", err
	}
	if err := encoder.Close(); err != nil {
		return "", err
	}
	return b.String(), nil
}

// ensureMapping returns the mapping at key of a mapping. It makes one where there is none
// or null, and returns nil where the value is something else.
func ensureMapping(parent *yaml.Node, key string) *yaml.Node {
	if parent == nil {
		return nil
	}
	value := lookup(parent, key)
	switch {
	case value == nil:
		value = &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
		parent.Content = append(parent.Content, keyNode(key), value)
	case value.Kind == yaml.ScalarNode && value.ShortTag() == "!!null":
		*value = yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", HeadComment: value.HeadComment, LineComment: value.LineComment, FootComment: value.FootComment}
	case value.Kind != yaml.MappingNode:
		return nil
	}
	return value
}

// keyNode returns the node of one of envladder's own keys, which need no quotes.
func keyNode(key string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key}
}

// stringNode returns the node of a string that every parser reads as a string. It has
// quotes where needed: an environment may be called `on` or `no`.
func stringNode(value string) (*yaml.Node, error) {
	var n yaml.Node
	return &n, n.Encode(value)
}

// lookup returns the value at key of a mapping, or nil. The last of duplicate keys wins, as
// in Helm and Argo CD.
func lookup(mapping *yaml.Node, key string) *yaml.Node {
	mapping = resolve(mapping)
	if mapping == nil || mapping.Kind != yaml.MappingNode {
		return nil
	}
	var value *yaml.Node
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			value = resolve(mapping.Content[i+1])
		}
	}
	return value
}

// remove deletes all entries of a key.
func remove(mapping *yaml.Node, key string) {
	for i := 0; i+1 < len(mapping.Content); {
		if mapping.Content[i].Value == key {
			mapping.Content = slices.Delete(mapping.Content, i, i+2)
			continue
		}
		i += 2
	}
}

// resolve returns the node that an alias stands for, or the node itself.
func resolve(n *yaml.Node) *yaml.Node {
	if n != nil && n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}
