package chart

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	k8syaml "sigs.k8s.io/yaml"

	"github.com/envladder/envladder/api/v1alpha1"
)

// Stamps say what a workload was rendered for, as annotations.
type Stamps struct {
	Ladder      string
	Environment string
	// Target may be empty.
	Target string
	// ChartDigest is Chart.Digest.
	ChartDigest string
}

// podTemplates are the kinds that are stamped, and where they have their pod template.
// They go by kind alone: a group's versions come and go, and what another group calls
// a Deployment is one too.
var podTemplates = map[string][]string{
	"Deployment":            {"spec", "template"},
	"StatefulSet":           {"spec", "template"},
	"DaemonSet":             {"spec", "template"},
	"ReplicaSet":            {"spec", "template"},
	"ReplicationController": {"spec", "template"},
	"Rollout":               {"spec", "template"},
	"Job":                   {"spec", "template"},
	"CronJob":               {"spec", "jobTemplate", "spec", "template"},
	"PodTemplate":           {"template"},
	"Pod":                   nil,
}

var workloads = slices.Sorted(maps.Keys(podTemplates))

// Stamp annotates the workloads among ms, hooks and the items of a list included, and
// files of CRDs excluded. A workload's own metadata gets all stamps, and so do the Jobs
// of a CronJob; pod templates don't get the chart's digest, so that a chart's edit
// restarts nothing by itself. Stamps that the chart itself wrote are overwritten. Other
// documents keep their bytes; a stamped document keeps its comments and the notation of
// its values, but for one with aliases, which is written out.
func (ms Manifests) Stamp(stamps Stamps) (Manifests, error) {
	return ms.edit("stamping", workloads, func(object *yaml.Node) error { return stampObject(object, stamps) })
}

// edit edits the objects of these kinds; doing says what that is, for errors.
func (ms Manifests) edit(doing string, kinds []string, edit func(*yaml.Node) error) (Manifests, error) {
	wanted := func(kind string) bool { return slices.Contains(kinds, kind) }
	edited := slices.Clone(ms)
	for i, m := range ms {
		if m.onlyCRDs() || !mayHave(m.Content, kinds...) {
			continue
		}
		content, err := editDocument(m.Content, wanted, edit)
		if err != nil {
			return nil, fmt.Errorf("%s an object of %q: %w", doing, m.Source, err)
		}
		edited[i].Content = content
	}
	return edited, nil
}

// editDocument edits the objects of a document whose kind is wanted, the items of a
// list each. A document without one keeps its bytes.
func editDocument(content string, wanted func(kind string) bool, edit func(*yaml.Node) error) (string, error) {
	// As it is printed: a last block of text ends with the line's end.
	content += "\n"
	document, err := parse(content)
	written := err == nil && hasAlias(document)
	if written {
		document, err = writeOut(content) // its kind may come by an alias too
	}
	if err != nil || len(document.Content) == 0 || !has(document.Content[0], wanted) {
		return strings.TrimSuffix(content, "\n"), err
	}
	if !written && !roundTrips(content, document) {
		if document, err = writeOut(content); err != nil {
			return "", err
		}
	}
	if err := editObjects(document.Content[0], wanted, edit); err != nil {
		return "", err
	}
	edited, err := encode(document)
	return strings.TrimSuffix(edited, "\n"), err
}

func editObjects(object *yaml.Node, wanted func(kind string) bool, edit func(*yaml.Node) error) error {
	if items, ok := listItems(object); ok {
		for _, item := range items {
			if err := editObjects(item, wanted, edit); err != nil {
				return err
			}
		}
		return nil
	}
	kind := scalar(lookup(object, "kind"))
	if !wanted(kind) {
		return nil
	}
	if err := edit(object); err != nil {
		return fmt.Errorf("%s: %w", kind, err)
	}
	return nil
}

func parse(content string) (*yaml.Node, error) {
	decoder := yaml.NewDecoder(strings.NewReader(content))
	var document, next yaml.Node
	if err := decoder.Decode(&document); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if err := decoder.Decode(&next); !errors.Is(err, io.EOF) {
		return nil, errors.New("it has a second document that isn't set apart by a line of ---")
	}
	return &document, nil
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

// roundTrips says whether document, parsed from content, can be edited and written
// again. It can't where the two YAML libraries disagree: what counts is the meaning for
// the one that Helm and Argo CD use.
func roundTrips(content string, document *yaml.Node) bool {
	again, err := encode(document)
	if err != nil {
		return false
	}
	want, err := k8syaml.YAMLToJSON([]byte(content))
	if err != nil {
		return false
	}
	got, err := k8syaml.YAMLToJSON([]byte(again))
	return err == nil && bytes.Equal(want, got)
}

// writeOut parses content by way of JSON, as Helm and Argo CD do. It has no aliases then:
// one may stand for a map that is stamped in one of its places only.
func writeOut(content string) (*yaml.Node, error) {
	json, err := k8syaml.YAMLToJSON([]byte(content))
	if err != nil {
		return nil, err
	}
	var document yaml.Node
	if err := yaml.Unmarshal(json, &document); err != nil {
		return nil, err
	}
	return &document, restyle(&document)
}

func has(object *yaml.Node, wanted func(kind string) bool) bool {
	if items, ok := listItems(object); ok {
		return slices.ContainsFunc(items, func(item *yaml.Node) bool { return has(item, wanted) })
	}
	return wanted(scalar(lookup(object, "kind")))
}

// listItems are the items of what isList takes for a list.
func listItems(object *yaml.Node) (items []*yaml.Node, ok bool) {
	list := lookup(object, "items")
	if list == nil || list.Kind != yaml.SequenceNode {
		return nil, false
	}
	items = make([]*yaml.Node, len(list.Content))
	for i, item := range list.Content {
		items[i] = resolve(item)
	}
	return items, true
}

// stampObject stamps a workload.
func stampObject(object *yaml.Node, stamps Stamps) error {
	kind := scalar(lookup(object, "kind"))
	template := podTemplates[kind]
	own := stamps.annotations()
	if err := annotate(object, own); err != nil {
		return err
	}
	if kind == "CronJob" {
		if err := annotateAt(object, template[:2], own); err != nil {
			return err
		}
	}
	if template == nil {
		return nil
	}
	ofPods := stamps
	ofPods.ChartDigest = ""
	return annotateAt(object, template, ofPods.annotations())
}

type annotation struct{ key, value string }

// annotations are the stamps that aren't empty; an empty one removes what the chart
// itself wrote.
func (s Stamps) annotations() []annotation {
	return []annotation{
		{v1alpha1.AnnotationLadder, s.Ladder},
		{v1alpha1.AnnotationEnvironment, s.Environment},
		{v1alpha1.AnnotationTarget, s.Target},
		{v1alpha1.AnnotationChartDigest, s.ChartDigest},
	}
}

// annotateAt annotates what is at keys below object, where there is such a thing: a
// Rollout may refer to a Deployment's template instead of having one.
func annotateAt(object *yaml.Node, keys []string, annotations []annotation) error {
	at := object
	for _, key := range keys {
		if at = lookup(at, key); at == nil {
			return nil
		}
	}
	if at.Kind != yaml.MappingNode {
		return nil
	}
	return annotate(at, annotations)
}

func annotate(object *yaml.Node, annotations []annotation) error {
	metadata, err := mappingIn(object, "metadata")
	if err != nil {
		return err
	}
	existing, err := mappingIn(metadata, "annotations")
	if err != nil {
		return fmt.Errorf("metadata: %w", err)
	}
	for _, a := range annotations {
		remove(existing, a.key)
		if a.value != "" {
			value, err := stringNode(a.value)
			if err != nil {
				return err
			}
			existing.Content = append(existing.Content, keyNode(a.key), value)
		}
	}
	if len(existing.Content) == 0 {
		remove(metadata, "annotations")
	}
	existing.Style &^= yaml.FlowStyle
	return nil
}

// mappingIn is the mapping at key of a mapping, made where there is none or null.
func mappingIn(parent *yaml.Node, key string) (*yaml.Node, error) {
	value := lookup(parent, key)
	switch {
	case value == nil:
		value = &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
		parent.Content = append(parent.Content, keyNode(key), value)
	case value.Kind == yaml.ScalarNode && value.ShortTag() == "!!null":
		*value = yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", HeadComment: value.HeadComment, LineComment: value.LineComment, FootComment: value.FootComment}
	case value.Kind != yaml.MappingNode:
		return nil, fmt.Errorf("%s isn't a mapping", key)
	}
	return value, nil
}

// keyNode is one of our own keys, which need no quotes.
func keyNode(key string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key}
}

// stringNode is a string that stays one for every parser, by quotes where it needs
// them: an environment may be called `on` or `no`.
func stringNode(value string) (*yaml.Node, error) {
	var n yaml.Node
	if err := n.Encode(value); err != nil {
		return nil, fmt.Errorf("encoding %q: %w", value, err)
	}
	return &n, nil
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

func scalar(n *yaml.Node) string {
	if n == nil || n.Kind != yaml.ScalarNode {
		return ""
	}
	return n.Value
}

func hasAlias(n *yaml.Node) bool {
	return n.Kind == yaml.AliasNode || slices.ContainsFunc(n.Content, hasAlias)
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
