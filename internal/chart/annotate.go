package chart

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	k8syaml "sigs.k8s.io/yaml"
)

// annotation is one to set; one without a value is removed, as what a chart wrote must
// not pass for ours.
type annotation struct{ key, value string }

// place is a part of an object, at keys below it, that has metadata of its own, and the
// annotations that these get.
type place struct {
	at  []string
	set []annotation
}

// annotate is content, which decodes to objects, with annotations where places wants
// them, for each item of a list. It keeps comments and the notation of values. But what
// counts is the meaning for the YAML library that Helm and Argo CD use: where the one
// that keeps comments has another opinion, or an alias stands for what is annotated in
// one of its places only, the document is written out without either.
//
// The objects are annotated too.
func annotate(content string, objects []map[string]any, places func(object map[string]any) []place) (string, error) {
	if len(objects) != 1 {
		return "", errSecondDocument
	}
	want := objects[0]
	targets := targetsIn(want, nil, places)
	for _, t := range targets {
		if err := annotateObject(t.object, t.places); err != nil {
			return "", fmt.Errorf("%v: %w", t.object["kind"], err)
		}
	}
	content += "\n" // As it is printed: a last block of text ends with the line's end.
	for _, read := range []func(string) (*yaml.Node, error){parse, writeOut} {
		node, err := read(content)
		if errors.Is(err, errSecondDocument) {
			return "", err
		}
		if err != nil || !annotateNode(node.Content[0], targets) {
			continue
		}
		annotated, err := encode(node)
		if err != nil {
			continue
		}
		if got, err := objectsOf(annotated); err == nil && len(got) == 1 && reflect.DeepEqual(got[0], want) {
			return strings.TrimSuffix(annotated, "\n"), nil
		}
	}
	return "", errors.New("it can't be written again with annotations so that it means the same")
}

var errSecondDocument = errors.New("it has a second document that isn't set apart by a line of ---")

// target is an object in a document: the document's own, or an item of a list, whose
// place in each of the lists around it items tells.
type target struct {
	object map[string]any
	items  []int
	places []place
}

func targetsIn(object map[string]any, items []int, places func(map[string]any) []place) []target {
	list, ok := object["items"].([]any)
	if !ok {
		if wanted := places(object); len(wanted) > 0 {
			return []target{{object, items, wanted}}
		}
		return nil
	}
	var targets []target
	for i, item := range list {
		if item, ok := item.(map[string]any); ok {
			targets = append(targets, targetsIn(item, append(slices.Clone(items), i), places)...)
		}
	}
	return targets
}

// annotateObject annotates what is at places of an object, where there is such a thing: a
// Rollout may refer to a Deployment's template instead of having one.
func annotateObject(object map[string]any, places []place) error {
	for _, p := range places {
		at, ok := object, true
		for _, key := range p.at {
			if at, ok = at[key].(map[string]any); !ok {
				break
			}
		}
		if !ok {
			continue
		}
		metadata, err := mapIn(at, "metadata")
		if err != nil {
			return err
		}
		annotations, err := mapIn(metadata, "annotations")
		if err != nil {
			return fmt.Errorf("metadata: %w", err)
		}
		for _, a := range p.set {
			delete(annotations, a.key)
			if a.value != "" {
				annotations[a.key] = a.value
			}
		}
		if len(annotations) == 0 {
			delete(metadata, "annotations")
		}
	}
	return nil
}

// mapIn is the map at key, made where there is none or null.
func mapIn(parent map[string]any, key string) (map[string]any, error) {
	value, ok := parent[key].(map[string]any)
	if !ok && parent[key] != nil {
		return nil, fmt.Errorf("%s isn't a mapping", key)
	}
	if !ok {
		value = map[string]any{}
		parent[key] = value
	}
	return value, nil
}

// annotateNode does with a document's root what annotateObject has done with its objects.
// It is false where the root has them elsewhere; what else may be wrong, comparing tells.
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
		for _, p := range t.places {
			at := object
			for _, key := range p.at {
				at = lookup(at, key)
			}
			if at != nil && at.Kind == yaml.MappingNode && !annotateMapping(at, p.set) {
				return false
			}
		}
	}
	return true
}

func annotateMapping(object *yaml.Node, set []annotation) bool {
	metadata := mappingIn(object, "metadata")
	annotations := mappingIn(metadata, "annotations")
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

// parse reads a document's node.
func parse(content string) (*yaml.Node, error) {
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

// writeOut reads a document's node by way of JSON, as Helm and Argo CD read it.
func writeOut(content string) (*yaml.Node, error) {
	json, err := k8syaml.YAMLToJSON([]byte(content))
	if err != nil {
		return nil, err
	}
	document, err := parse(string(json))
	if err != nil {
		return nil, err
	}
	return document, restyle(document)
}

// restyle takes JSON's brackets off, and its quotes where they aren't needed.
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

func encode(document *yaml.Node) (string, error) {
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

// mappingIn is the mapping at key of a mapping, made where there is none or null; nil
// where there is something else.
func mappingIn(parent *yaml.Node, key string) *yaml.Node {
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

// keyNode is one of our own keys, which need no quotes.
func keyNode(key string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key}
}

// stringNode is a string that stays one for every parser, by quotes where it needs
// them: an environment may be called `on` or `no`.
func stringNode(value string) (*yaml.Node, error) {
	var n yaml.Node
	return &n, n.Encode(value)
}

// lookup is the value at key of a mapping, or nil. Of duplicate keys the last wins, as
// where the document is read.
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

func remove(mapping *yaml.Node, key string) {
	for i := 0; i+1 < len(mapping.Content); {
		if mapping.Content[i].Value == key {
			mapping.Content = slices.Delete(mapping.Content, i, i+2)
			continue
		}
		i += 2
	}
}

func resolve(n *yaml.Node) *yaml.Node {
	if n != nil && n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}
