package v1alpha1

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	strictjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// unlist replaces lists of this kind by their items.
func unlist(documents [][]byte, kind string) ([][]byte, error) {
	var all [][]byte
	for _, document := range documents {
		var list struct {
			APIVersion string            `json:"apiVersion"`
			Kind       string            `json:"kind"`
			Items      []json.RawMessage `json:"items"`
		}
		if err := strictjson.UnmarshalCaseSensitivePreserveInts(document, &list); err != nil {
			return nil, err
		}
		ofAny := list.APIVersion == "v1" && list.Kind == "List"
		ofKind := list.APIVersion == GroupVersion.String() && list.Kind == kind+"List"
		if !ofAny && !ofKind {
			all = append(all, document)
			continue
		}
		for _, item := range list.Items {
			all = append(all, item)
		}
	}
	return all, nil
}

// SplitByName returns a file's documents (YAML or JSON, with or without lists) of a kind of
// any API group by their names, each as JSON.
func SplitByName(data []byte, kind string) (map[string][]byte, error) {
	documents, err := split(data)
	if err == nil {
		documents, err = unlist(documents, kind)
	}
	if err != nil {
		return nil, err
	}
	byName := map[string][]byte{}
	for i, document := range documents {
		var head struct {
			Kind     string `json:"kind"`
			Metadata struct {
				Name string `json:"name"`
			} `json:"metadata"`
		}
		if err := strictjson.UnmarshalCaseSensitivePreserveInts(document, &head); err != nil {
			return nil, err
		}
		name := head.Metadata.Name
		switch _, twice := byName[name]; {
		case head.Kind != kind || name == "":
			return nil, fmt.Errorf("document %d: want kind %s with a name, have %q", i+1, kind, head.Kind)
		case twice:
			return nil, fmt.Errorf("document %d: %q is defined twice", i+1, name)
		}
		byName[name] = document
	}
	return byName, nil
}

// maxDocuments bounds a file. No one maintains a list of more Recalls than that.
const maxDocuments = 1000

// split returns a file's documents as JSON, without empty ones.
func split(data []byte) ([][]byte, error) {
	if len(data) > MaxDocument {
		return nil, fmt.Errorf("the file has %d bytes, more than %d", len(data), MaxDocument)
	}
	var documents [][]byte
	var current []byte
	first, number := 1, 0 // lines: of the document, of the file
	flush := func() error {
		text, from := current, first
		current, first = nil, number+1
		if len(bytes.TrimSpace(text)) == 0 {
			return nil
		}
		document, err := yaml.YAMLToJSONStrict(text)
		switch {
		case err != nil && from > 1:
			return fmt.Errorf("parsing the document at line %d: %w", from, err)
		case err != nil:
			return err
		case string(document) != "null":
			documents = append(documents, document)
		}
		if len(documents) > maxDocuments {
			return fmt.Errorf("the file has more than %d documents", maxDocuments)
		}
		return nil
	}
	for line := range bytes.Lines(data) {
		number++
		rest, marker := documentMarker(line)
		switch {
		case !marker:
			current = append(current, line...)
			continue
		case rest != "":
			return nil, fmt.Errorf("line %d: start the document on the line after its marker", number)
		}
		if err := flush(); err != nil {
			return nil, err
		}
	}
	if err := flush(); err != nil {
		return nil, err
	}
	return documents, nil
}

// documentMarker reports whether a line begins with --- or ..., with which YAML separates
// documents, and returns what follows it other than a comment.
func documentMarker(line []byte) (rest string, ok bool) {
	text := string(line)
	rest, ok = strings.CutPrefix(text, "---")
	if !ok {
		rest, ok = strings.CutPrefix(text, "...")
	}
	if !ok || (rest != "" && !strings.ContainsAny(rest[:1], " \t\r\n")) {
		return "", false
	}
	rest, _, _ = strings.Cut(rest, "#")
	return strings.TrimSpace(rest), true
}
