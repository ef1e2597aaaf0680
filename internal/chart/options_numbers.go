package chart

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// Templates print a float64 and an int64 differently, and JSON doesn't distinguish them. A
// float64 is encoded with an exponent, which an int64 never has.

// encodeNumbers returns v with its floats encoded.
func encodeNumbers(v any) any {
	switch v := v.(type) {
	case float64:
		return json.Number(strconv.FormatFloat(v, 'e', -1, 64))
	case map[string]any:
		return mapValues(v, encodeNumbers)
	case []any:
		return mapItems(v, encodeNumbers)
	}
	return v
}

// decodeNumbers returns v with each json.Number decoded to its former type.
func decodeNumbers(v any) (any, error) {
	var failed error
	var decode func(v any) any
	decode = func(v any) any {
		switch v := v.(type) {
		case json.Number:
			number, err := decodeNumber(string(v))
			if err != nil {
				failed = err
			}
			return number
		case map[string]any:
			return mapValues(v, decode)
		case []any:
			return mapItems(v, decode)
		}
		return v
	}
	return decode(v), failed
}

// decodeNumber parses a number that encodeNumbers has written.
func decodeNumber(text string) (any, error) {
	if strings.Contains(text, "e") {
		return strconv.ParseFloat(text, 64)
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("decoding the number %q: %w", text, err)
	}
	return n, nil
}

// mapValues returns a map with all values changed.
func mapValues(m map[string]any, change func(any) any) map[string]any {
	if m == nil {
		return nil
	}
	out := make(map[string]any, len(m))
	for key, value := range m {
		out[key] = change(value)
	}
	return out
}

// mapItems returns a list with all items changed.
func mapItems(list []any, change func(any) any) []any {
	if list == nil {
		return nil
	}
	out := make([]any, len(list))
	for i, item := range list {
		out[i] = change(item)
	}
	return out
}
