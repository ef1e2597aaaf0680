package postrender

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/envladder/envladder/internal/chart/manifest"
)

// annotation is one to set. One without a value is removed, so that a chart can't write it.
type annotation struct{ key, value string }

// partAnnotations are the annotations of a part of an object that has metadata of its own,
// such as a pod template. The path is empty for the object itself.
type partAnnotations struct {
	path []string
	set  []annotation
}

// annotate returns content, which decodes to objects, with the annotations that wanted
// returns for each object or item of a list. It keeps comments and the notation of values.
// The result must mean the same to the YAML library that Helm and Argo CD use. Where the
// library that keeps comments reads the document otherwise, or where only some uses of an
// alias are annotated, the document is written without comments and aliases.
//
// It annotates the objects too.
func annotate(content string, objects []map[string]any, wanted func(object map[string]any) []partAnnotations) (string, error) {
	if len(objects) != 1 {
		return "", errSecondDocument
	}
	want := objects[0]
	targets := targetsIn(want, nil, wanted)
	for _, t := range targets {
		if err := annotateObject(t.object, t.parts); err != nil {
			return "", fmt.Errorf("%v: %w", t.object["kind"], err)
		}
	}
	content += "\n" // as it is printed: a block of text at the end includes the line break
	for _, read := range []func(string) (*yaml.Node, error){parseNode, parseViaJSON} {
		node, err := read(content)
		if errors.Is(err, errSecondDocument) {
			return "", err
		}
		if err != nil || !annotateNode(node.Content[0], targets) {
			continue
		}
		annotated, err := encodeNode(node)
		if err != nil {
			continue
		}
		if got, err := manifest.Objects(annotated); err == nil && len(got) == 1 && reflect.DeepEqual(got[0], want) {
			return strings.TrimSuffix(annotated, "\n"), nil
		}
	}
	return "", errors.New("writing it with annotations would change its meaning")
}

var errSecondDocument = errors.New("it has a second document without a separator line ---")

// target is an object to annotate in a document: the document's own, or an item of a list.
type target struct {
	object map[string]any
	// items has the item's index in each of the lists around it, outermost first.
	items []int
	parts []partAnnotations
}

// targetsIn returns the targets in an object, which is at the given items.
func targetsIn(object map[string]any, items []int, wanted func(map[string]any) []partAnnotations) []target {
	list, ok := object["items"].([]any)
	if !ok {
		if parts := wanted(object); len(parts) > 0 {
			return []target{{object, items, parts}}
		}
		return nil
	}
	var targets []target
	for i, item := range list {
		if item, ok := item.(map[string]any); ok {
			targets = append(targets, targetsIn(item, append(slices.Clone(items), i), wanted)...)
		}
	}
	return targets
}

// annotateObject annotates the parts of an object. A part may be missing: a Rollout may
// refer to a Deployment's template instead of having one.
func annotateObject(object map[string]any, parts []partAnnotations) error {
	for _, part := range parts {
		at, ok := object, true
		for _, key := range part.path {
			if at, ok = at[key].(map[string]any); !ok {
				break
			}
		}
		if !ok {
			continue
		}
		metadata, err := ensureMap(at, "metadata")
		if err != nil {
			return err
		}
		annotations, err := ensureMap(metadata, "annotations")
		if err != nil {
			return fmt.Errorf("metadata: %w", err)
		}
		for _, a := range part.set {
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

// ensureMap returns the map at key. It makes one where there is none or null.
func ensureMap(parent map[string]any, key string) (map[string]any, error) {
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
