package workload

import (
	"fmt"
	"strings"
)

// unknownImage returns the path of a field that may name an image and that Kubernetes' types
// in this version don't have, or nothing. raw is what the API server sent, known what is left
// of it after decoding. Other new fields of a newer Kubernetes don't matter.
func unknownImage(raw, known any, at string) string {
	switch raw := raw.(type) {
	case map[string]any:
		known, _ := known.(map[string]any)
		for key, value := range raw {
			kept, ok := known[key]
			if !ok && mayNameImage(key, value) {
				return at + "." + key
			}
			if !ok {
				continue
			}
			if field := unknownImage(value, kept, at+"."+key); field != "" {
				return field
			}
		}
	case []any:
		known, _ := known.([]any)
		for i := range raw {
			if i >= len(known) {
				break
			}
			if field := unknownImage(raw[i], known[i], fmt.Sprintf("%s[%d]", at, i)); field != "" {
				return field
			}
		}
	}
	return ""
}

// mayNameImage reports whether a field, or one below it, may name an image.
func mayNameImage(key string, value any) bool {
	if isEmpty(value) {
		return false
	}
	key = strings.ToLower(key)
	if strings.Contains(key, "image") || key == "reference" {
		return true
	}
	switch value := value.(type) {
	case map[string]any:
		for k, v := range value {
			if mayNameImage(k, v) {
				return true
			}
		}
	case []any:
		for _, v := range value {
			if mayNameImage("", v) {
				return true
			}
		}
	}
	return false
}

// isEmpty reports whether a value means the same as an absent one.
func isEmpty(value any) bool {
	switch value := value.(type) {
	case nil:
		return true
	case string:
		return value == ""
	case bool:
		return !value
	case map[string]any:
		return len(value) == 0
	case []any:
		return len(value) == 0
	default:
		return false
	}
}
