package v1alpha1

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	strictjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"github.com/envladder/envladder/internal/digests"
)

// MaxDocument bounds what is decoded, in bytes: etcd takes no larger request, so no
// cluster has a larger object.
const MaxDocument = 3 << 19 // 1.5 MiB

// DecodeGate reads one Gate from a file (YAML or JSON) and sets its defaults. unknown
// are the paths of fields that this version's types don't have (.spec.requires.quorum):
// who judges by the Gate must not overlook them. A duplicate key, a wrong type and a
// second document are errors.
func DecodeGate(data []byte) (gate *Gate, unknown []string, err error) {
	documents, err := split(data)
	if err != nil {
		return nil, nil, fmt.Errorf("decoding Gate: %w", err)
	}
	if len(documents) != 1 {
		return nil, nil, fmt.Errorf("decoding Gate: want one document, have %d", len(documents))
	}
	return decodeGate(documents[0])
}

// GateFrom is DecodeGate for an object that an API server gave.
func GateFrom(object map[string]any) (gate *Gate, unknown []string, err error) {
	data, err := json.Marshal(object)
	if err != nil {
		return nil, nil, fmt.Errorf("decoding Gate: %w", err)
	}
	return decodeGate(data)
}

func decodeGate(data []byte) (*Gate, []string, error) {
	gate := &Gate{}
	unknown, err := strict(data, gate)
	if err == nil {
		err = expect(gate.APIVersion, gate.Kind, "Gate", gate.Name)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("decoding Gate: %w", err)
	}
	gate.SetDefaults()
	return gate, unknown, nil
}

// DecodeRecalls reads the Recalls of a file: YAML with any number of documents, or JSON;
// lists too, as `kubectl get recalls -o yaml` writes them. Unknown fields are errors.
func DecodeRecalls(data []byte) ([]Recall, error) {
	return decodeAll(data, "Recall", decodeRecall)
}

// DecodeExceptions is DecodeRecalls for Exceptions.
func DecodeExceptions(data []byte) ([]Exception, error) {
	return decodeAll(data, "Exception", decodeException)
}

func decodeAll[T any](data []byte, kind string, decode func([]byte) (*T, []string, error)) ([]T, error) {
	documents, err := split(data)
	if err == nil {
		documents, err = unlist(documents, kind)
	}
	if err != nil {
		return nil, fmt.Errorf("decoding %ss: %w", kind, err)
	}
	all := make([]T, 0, len(documents))
	for _, document := range documents {
		one, unknown, err := decode(document)
		if err == nil && len(unknown) > 0 {
			err = fmt.Errorf("unknown field %s", unknown[0])
		}
		if err != nil {
			return nil, fmt.Errorf("decoding %s %d of the file: %w", kind, len(all)+1, err)
		}
		all = append(all, *one)
	}
	return all, nil
}

// unlist puts the items of lists of this kind in their place.
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

// SplitByName gives a file's documents (YAML or JSON, lists too) of a kind of any API group
// by their names, each as JSON.
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
			return nil, fmt.Errorf("document %d: %q is there twice", i+1, name)
		}
		byName[name] = document
	}
	return byName, nil
}

// ExceptionFrom is DecodeExceptions for an object that an API server gave. An Exception
// with a field that this version doesn't know is refused: it could narrow the leave.
func ExceptionFrom(object map[string]any) (*Exception, error) {
	data, err := json.Marshal(object)
	if err != nil {
		return nil, fmt.Errorf("decoding Exception: %w", err)
	}
	exception, unknown, err := decodeException(data)
	if err == nil && len(unknown) > 0 {
		err = fmt.Errorf("unknown field %s", unknown[0])
	}
	if err != nil {
		return nil, fmt.Errorf("decoding Exception: %w", err)
	}
	return exception, nil
}

func decodeException(data []byte) (*Exception, []string, error) {
	exception := &Exception{}
	unknown, err := strict(data, exception)
	if err != nil {
		return nil, nil, err
	}
	if err := expect(exception.APIVersion, exception.Kind, "Exception", exception.Name); err != nil {
		return nil, nil, err
	}
	switch spec := exception.Spec; {
	case !digests.Valid(spec.Digest):
		return nil, nil, fmt.Errorf(".spec.digest: want sha256:<64 hex digits>, have %q", spec.Digest)
	case len(spec.Namespaces) == 0:
		return nil, nil, errors.New(".spec.namespaces: name at least one")
	case spec.ExpiresAt.IsZero():
		return nil, nil, errors.New(".spec.expiresAt: say when it ends")
	case len(spec.Bundles) == 0:
		return nil, nil, errors.New(".spec.bundles: it is signed by nobody")
	}
	return exception, unknown, nil
}

// RecallFrom is DecodeRecalls for an object that an API server gave. Fields that this
// version doesn't know are overlooked: they could only narrow what is forbidden.
func RecallFrom(object map[string]any) (*Recall, error) {
	data, err := json.Marshal(object)
	if err == nil {
		var recall *Recall
		if recall, _, err = decodeRecall(data); err == nil {
			return recall, nil
		}
	}
	return nil, fmt.Errorf("decoding Recall: %w", err)
}

func decodeRecall(data []byte) (*Recall, []string, error) {
	recall := &Recall{}
	unknown, err := strict(data, recall)
	if err != nil {
		return nil, nil, err
	}
	if err := expect(recall.APIVersion, recall.Kind, "Recall", recall.Name); err != nil {
		return nil, nil, err
	}
	if len(recall.Spec.Digests) == 0 {
		return nil, nil, errors.New(".spec.digests: name at least one")
	}
	for i, digest := range recall.Spec.Digests {
		if !digests.Valid(digest) {
			return nil, nil, fmt.Errorf(".spec.digests[%d]: want sha256:<64 hex digits>, have %q", i, digest)
		}
	}
	return recall, unknown, nil
}

// expect refuses another kind of document.
func expect(apiVersion, kind, wantKind, name string) error {
	switch {
	case apiVersion != GroupVersion.String() || kind != wantKind:
		return fmt.Errorf("want apiVersion %s and kind %s, have %q and %q", GroupVersion, wantKind, apiVersion, kind)
	case name == "":
		return errors.New(".metadata.name: name it")
	}
	return nil
}

// strict decodes JSON without folding the case of keys. It refuses duplicate keys, and
// gives the paths of unknown ones.
func strict(data []byte, into any) (unknown []string, err error) {
	faults, err := strictjson.UnmarshalStrict(data, into)
	if err != nil {
		return nil, err
	}
	var duplicate []error
	for _, fault := range faults {
		var field strictjson.FieldError
		if !errors.As(fault, &field) || !strings.HasPrefix(fault.Error(), "unknown field") {
			duplicate = append(duplicate, fault)
			continue
		}
		if path := "." + field.FieldPath(); counts(path) {
			unknown = append(unknown, path)
		}
	}
	return unknown, errors.Join(duplicate...)
}

// counts says whether an unknown field could ask for something. A newer Kubernetes
// may have more metadata, a newer webhook more status.
func counts(path string) bool {
	return !strings.HasPrefix(path, ".metadata.") && !strings.HasPrefix(path, ".status")
}

// maxDocuments of a file: a thousand Recalls would be a list that nobody looks after.
const maxDocuments = 1000

// split gives a file's documents as JSON; empty ones are left out.
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
			return fmt.Errorf("in the document that begins at line %d: %w", from, err)
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
		behind, marker := documentMarker(line)
		switch {
		case !marker:
			current = append(current, line...)
			continue
		case behind != "":
			return nil, fmt.Errorf("line %d: write the document below its marker, not behind it", number)
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

// documentMarker finds --- and ... at the beginning of a line, which YAML allows for
// nothing but the end of a document, and what is behind it other than a comment.
func documentMarker(line []byte) (behind string, ok bool) {
	text := string(line)
	rest, ok := strings.CutPrefix(text, "---")
	if !ok {
		rest, ok = strings.CutPrefix(text, "...")
	}
	if !ok || rest != "" && !strings.ContainsAny(rest[:1], " \t\r\n") {
		return "", false
	}
	behind, _, _ = strings.Cut(rest, "#")
	return strings.TrimSpace(behind), true
}
