package manifest

import (
	"bufio"
	"errors"
	"io"
	"slices"
	"strings"

	kubeyaml "k8s.io/apimachinery/pkg/util/yaml"
)

// FromCRDFile returns the manifests of a file in a folder crds/. Helm takes the file as it
// is. FromCRDFile does too where all documents are CustomResourceDefinitions; else each
// document becomes a manifest, and a stray one is treated like a template's object.
func FromCRDFile(source, content string) Manifests {
	whole := Manifest{Source: source, Content: content, CRDs: true}
	objects, err := Objects(content)
	if err != nil {
		whole.Stray = true // post-rendering then rejects it, since it can't parse it
		return Manifests{whole}
	}
	if !slices.ContainsFunc(objects, isStray) {
		return Manifests{whole}
	}
	var split Manifests
	reader := kubeyaml.NewYAMLReader(bufio.NewReader(strings.NewReader(content)))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return split
		}
		objects, parseErr := Objects(string(document))
		if err != nil || parseErr != nil {
			whole.Stray = true
			return Manifests{whole}
		}
		if len(objects) > 0 {
			split = append(split, Manifest{
				Source:  source,
				Content: strings.TrimSuffix(string(document), "\n"),
				CRDs:    true,
				Stray:   isStray(objects[0]),
			})
		}
	}
}

// isStray reports whether an object of a folder crds/ isn't a CustomResourceDefinition.
func isStray(object map[string]any) bool {
	_, isList := listItems(object)
	return isList || object["kind"] != "CustomResourceDefinition"
}
