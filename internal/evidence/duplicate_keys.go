package evidence

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"

	kjson "sigs.k8s.io/json"
)

// Depths to which decodeWithoutDuplicates checks for repeated names.
const (
	topLevel   = 1
	everyLevel = -1
)

// decodeWithoutDuplicates decodes a single JSON document. It rejects names that are repeated
// in an object, down to the given level of objects. Fields are matched by their exact case,
// but names that differ only in case count as repeated, because other readers match either.
func decodeWithoutDuplicates(data []byte, into any, levels int) error {
	// Unmarshal rejects trailing data and nesting beyond 10,000 levels, so that the
	// following walk can recurse.
	if err := kjson.UnmarshalCaseSensitivePreserveInts(data, into); err != nil {
		return err
	}
	return checkValue(json.NewDecoder(bytes.NewReader(data)), levels)
}

func checkValue(decoder *json.Decoder, levels int) error {
	if levels == 0 {
		var skipped json.RawMessage
		return decoder.Decode(&skipped)
	}
	opening, err := decoder.Token()
	if err != nil {
		return err
	}
	switch opening {
	case json.Delim('{'):
		return checkObject(decoder, levels-1)
	case json.Delim('['):
		return checkArray(decoder, levels)
	default:
		return nil
	}
}

func checkObject(decoder *json.Decoder, levels int) error {
	seen := map[string]bool{}
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			return err
		}
		name, _ := token.(string)
		if seen[fold(name)] {
			return fmt.Errorf("the name %q appears twice in one object", name)
		}
		seen[fold(name)] = true
		if err := checkValue(decoder, levels); err != nil {
			return err
		}
	}
	return skipClosing(decoder)
}

func checkArray(decoder *json.Decoder, levels int) error {
	for decoder.More() {
		if err := checkValue(decoder, levels); err != nil {
			return err
		}
	}
	return skipClosing(decoder)
}

func skipClosing(decoder *json.Decoder) error {
	_, err := decoder.Token()
	return err
}

// fold returns the same text for names that are equal to a case-insensitive reader.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
			least = min(least, next)
		}
		return least
	}, name)
}
