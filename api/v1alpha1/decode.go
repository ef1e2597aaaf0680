package v1alpha1

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	strictjson "sigs.k8s.io/json"

	"github.com/envladder/envladder/internal/digests"
)

// MaxDocument bounds what is decoded, in bytes: etcd accepts no larger request, so no cluster
// has a larger object.
const MaxDocument = 3 << 19 // 1.5 MiB

// DecodeGate decodes one Gate from a file (YAML or JSON) and sets its defaults. unknown are
// the paths of fields that this version's types don't have (.spec.requires.quorum); callers
// must not ignore them. A duplicate key, a wrong type and a second document are errors.
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

// GateFrom decodes a Gate like DecodeGate, from an API server's object.
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

// DecodeRecalls decodes the Recalls of a file: YAML with any number of documents, or JSON,
// with or without lists as `kubectl get recalls -o yaml` prints them. Unknown fields are
// errors.
func DecodeRecalls(data []byte) ([]Recall, error) {
	return decodeAll(data, "Recall", decodeRecall)
}

// DecodeExceptions decodes the Exceptions of a file as DecodeRecalls decodes Recalls.
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

// ExceptionFrom decodes an Exception from an API server's object. It refuses an Exception
// with a field that this version doesn't know: the field could narrow the exemption.
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
		return nil, nil, errors.New(".spec.namespaces: must name at least one")
	case spec.ExpiresAt.IsZero():
		return nil, nil, errors.New(".spec.expiresAt: must be set")
	case len(spec.Bundles) == 0:
		return nil, nil, errors.New(".spec.bundles: must have at least one signature")
	}
	return exception, unknown, nil
}

// RecallFrom decodes a Recall from an API server's object. It ignores fields that this
// version doesn't know: they could only narrow what is forbidden.
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
		return nil, nil, errors.New(".spec.digests: must name at least one")
	}
	for i, digest := range recall.Spec.Digests {
		if !digests.Valid(digest) {
			return nil, nil, fmt.Errorf(".spec.digests[%d]: want sha256:<64 hex digits>, have %q", i, digest)
		}
	}
	return recall, unknown, nil
}

// expect refuses documents of other kinds.
func expect(apiVersion, kind, wantKind, name string) error {
	switch {
	case apiVersion != GroupVersion.String() || kind != wantKind:
		return fmt.Errorf("want apiVersion %s and kind %s, have %q and %q", GroupVersion, wantKind, apiVersion, kind)
	case name == "":
		return errors.New(".metadata.name: must be set")
	}
	return nil
}

// strict decodes JSON with case-sensitive keys. It refuses duplicate keys, and returns the
// paths of unknown ones.
func strict(data []byte, into any) (unknown []string, err error) {
	problems, err := strictjson.UnmarshalStrict(data, into)
	if err != nil {
		return nil, err
	}
	var duplicate []error
	for _, problem := range problems {
		var field strictjson.FieldError
		if !errors.As(problem, &field) || !strings.HasPrefix(problem.Error(), "unknown field") {
			duplicate = append(duplicate, problem)
			continue
		}
		if path := "." + field.FieldPath(); mayMatter(path) {
			unknown = append(unknown, path)
		}
	}
	return unknown, errors.Join(duplicate...)
}

// mayMatter reports whether an unknown field could change the meaning of a document. A newer
// Kubernetes may have more metadata, a newer webhook more status.
func mayMatter(path string) bool {
	return !strings.HasPrefix(path, ".metadata.") && !strings.HasPrefix(path, ".status")
}
