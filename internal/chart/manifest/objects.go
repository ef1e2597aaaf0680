package manifest

import (
	"errors"
	"io"
	"slices"
	"strings"

	kubeyaml "k8s.io/apimachinery/pkg/util/yaml"
)

// MayContain reports whether one of the words may be in the document once it is parsed.
// Most documents need no parsing then. Only the parser knows where the text has escapes
// (\x69mage) or tags (!!binary), or isn't UTF-8 (which has no NUL).
func MayContain(content string, words ...string) bool {
	return strings.ContainsAny(content, "\\!\x00") ||
		slices.ContainsFunc(words, func(word string) bool { return strings.Contains(content, word) })
}

// Objects parses the objects of a text as Argo CD does, without empty documents.
func Objects(content string) ([]map[string]any, error) {
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

// VisitItems visits the items of a list, or an object that isn't a list.
func VisitItems(object map[string]any, visit func(object map[string]any)) {
	items, ok := listItems(object)
	if !ok {
		visit(object)
		return
	}
	for _, item := range items {
		if item, ok := item.(map[string]any); ok {
			VisitItems(item, visit)
		}
	}
}

// listItems returns the items of a list, and whether Argo CD treats the object as one: it
// does where there is a field items, whatever the kind is.
func listItems(object map[string]any) ([]any, bool) {
	items, ok := object["items"].([]any)
	return items, ok
}
