package install

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// readDocuments parses a file of YAML documents.
func readDocuments(path string) ([]*unstructured.Unstructured, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var documents []*unstructured.Unstructured
	reader := kyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(data)))
	for {
		text, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return documents, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", path, err)
		}
		var d unstructured.Unstructured
		if err := yaml.Unmarshal(text, &d.Object); err != nil {
			return nil, fmt.Errorf("reading %s: %w", path, err)
		}
		if len(d.Object) > 0 {
			documents = append(documents, &d)
		}
	}
}

// render returns a document as YAML.
func render(d *unstructured.Unstructured) string {
	data, err := yaml.Marshal(d.Object)
	if err != nil {
		panic(err) // it was parsed from YAML
	}
	return string(data)
}
