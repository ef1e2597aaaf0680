package workload

import (
	"fmt"
	"strings"
)

// unknownImage looks for a field that Kubernetes' types, as this version knows them,
// don't have and that speaks of an image: raw is what the API server sent, known what
// the types kept of it. It returns the field's place, or empty. Other new fields of a
// newer Kubernetes are none of the webhook's business.
func unknownImage(raw, known any, at string) string {
	switch raw := raw.(type) {
	case map[string]any:
		known, _ := known.(map[string]any)
		for key, value := range raw {
			kept, ok := known[key]
			if !ok && speaksOfImage(key, value) {
				return at + "." + key
			}
			if !ok {
				continue
			}
			if place := unknownImage(value, kept, at+"."+key); place != "" {
				return place
			}
		}
	case []any:
		known, _ := known.([]any)
		for i := range raw {
			if i >= len(known) {
				break
			}
			if place := unknownImage(raw[i], known[i], fmt.Sprintf("%s[%d]", at, i)); place != "" {
				return place
			}
		}
	}
	return ""
}

func speaksOfImage(key string, value any) bool {
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
			if speaksOfImage(k, v) {
				return true
			}
		}
	case []any:
		for _, v := range value {
			if speaksOfImage("", v) {
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
