package chart

import (
	"errors"
	"io"
	"slices"
	"strings"

	kubeyaml "k8s.io/apimachinery/pkg/util/yaml"
)

// onlyCRDs says whether the manifest is a file of CRDs alone, which run nothing.
func (m Manifest) onlyCRDs() bool { return m.CRDs && !m.Stray }

// mayHave says whether one of the words may be in the document when it is read, and
// spares most the parsing. Where the text has escapes (\x69mage), tags (!!binary) or is no
// UTF-8 text (which has no NUL), only the parser knows.
func mayHave(content string, words ...string) bool {
	return strings.ContainsAny(content, "\\!\x00") ||
		slices.ContainsFunc(words, func(word string) bool { return strings.Contains(content, word) })
}

// objectsOf are the objects of a text as Argo CD reads it, without empty documents.
func objectsOf(content string) ([]map[string]any, error) {
	decoder := kubeyaml.NewYAMLToJSONDecoder(strings.NewReader(content))
	var objects []map[string]any
	for {
		var object map[string]any
		err := decoder.Decode(&object)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, err
		}
		if object != nil {
			objects = append(objects, object)
		}
	}
}

// visitItems goes through the items of a list, or an object alone.
func visitItems(object map[string]any, each func(object map[string]any)) {
	if !isList(object) {
		each(object)
		return
	}
	for _, item := range mapsIn(object["items"]) {
		visitItems(item, each)
	}
}

// isList says whether Argo CD takes an object for a list, and applies its items: by those
// alone, whatever its kind is.
func isList(object map[string]any) bool {
	_, ok := object["items"].([]any)
	return ok
}

// imagesOf are the images that the pods of a workload would run or mount; other objects
// have none.
func imagesOf(object map[string]any) []string {
	kind, _ := object["kind"].(string)
	path, ok := podTemplates[kind]
	if !ok {
		return nil
	}
	for _, key := range path {
		object, _ = object[key].(map[string]any)
	}
	spec, _ := object["spec"].(map[string]any)
	return imagesIn(spec)
}

// imagesIn are the images of a pod's spec.
func imagesIn(spec map[string]any) []string {
	var images []string
	add := func(v any) {
		if image, ok := v.(string); ok && image != "" {
			images = append(images, image)
		}
	}
	for _, key := range []string{"initContainers", "containers", "ephemeralContainers"} {
		for _, container := range mapsIn(spec[key]) {
			add(container["image"])
		}
	}
	for _, volume := range mapsIn(spec["volumes"]) {
		if image, ok := volume["image"].(map[string]any); ok {
			add(image["reference"])
		}
	}
	return images
}

func mapsIn(list any) []map[string]any {
	items, _ := list.([]any)
	var all []map[string]any
	for _, item := range items {
		if m, ok := item.(map[string]any); ok {
			all = append(all, m)
		}
	}
	return all
}
