package chart

import (
	"bufio"
	"errors"
	"io"
	"slices"
	"strings"

	kubeyaml "k8s.io/apimachinery/pkg/util/yaml"
)

// crdManifests are those of a file of a folder crds/, which Helm takes as it is. So does
// this, where all its documents are what the folder is for; where one isn't, each is a
// manifest of its own, and what is stray is treated as a template's object is.
func crdManifests(source, content string) Manifests {
	whole := Manifest{Source: source, Content: content, CRDs: true}
	objects, err := objectsOf(content)
	if err != nil {
		whole.Stray = true // what nobody can read nobody lets by
		return Manifests{whole}
	}
	if !slices.ContainsFunc(objects, isStray) {
		return Manifests{whole}
	}
	var apart Manifests
	reader := kubeyaml.NewYAMLReader(bufio.NewReader(strings.NewReader(content)))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return apart
		}
		objects, readErr := objectsOf(string(document))
		if err != nil || readErr != nil {
			whole.Stray = true
			return Manifests{whole}
		}
		if len(objects) > 0 {
			apart = append(apart, Manifest{
				Source: source, Content: strings.TrimSuffix(string(document), "\n"), CRDs: true, Stray: isStray(objects[0]),
			})
		}
	}
}

func isStray(object map[string]any) bool {
	return object["kind"] != "CustomResourceDefinition" || isList(object)
}
