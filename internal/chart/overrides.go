package chart

import (
	"errors"
	"fmt"
	"strings"

	"helm.sh/helm/v3/pkg/strvals"
)

// maxOverride bounds a value that a parameter sets, in bytes. Parameters are for hostnames,
// numbers and flags; longer values belong in a layer.
const maxOverride = 4 << 10

// ParseOverrides parses the values that an Application's parameters set, by their paths:
// values as `helm --set` does, texts as `helm --set-string` does. A path may be in only one
// of the two. Errors don't quote values.
func ParseOverrides(values, texts map[string]string) (map[string]any, error) {
	parsed := make(map[string]any, len(values)+len(texts))
	for path, text := range values {
		value, err := parseOverride(text)
		if err != nil {
			return nil, fmt.Errorf("overriding the value %.120q: %w", path, err)
		}
		parsed[path] = value
	}
	for path, text := range texts {
		if _, twice := parsed[path]; twice {
			return nil, fmt.Errorf("overriding the value %.120q: it is set as a value and as a string", path)
		}
		if len(text) > maxOverride {
			return nil, fmt.Errorf("overriding the value %.120q: %w", path, errTooLong)
		}
		parsed[path] = text
	}
	return parsed, nil
}

var errTooLong = fmt.Errorf("it has more than %d bytes: set it in a layer", maxOverride)

// parseOverride parses a value like Argo CD's helm.parameters: with Helm's own parser, where
// commas are part of the value unless it is a list in braces.
func parseOverride(text string) (any, error) {
	if len(text) > maxOverride {
		return nil, errTooLong
	}
	if !strings.HasPrefix(text, "{") || !strings.HasSuffix(text, "}") {
		text = escapeCommas(text)
	}
	const key = "value"
	parsed := map[string]any{}
	if err := strvals.ParseInto(key+"="+text, parsed); err != nil || len(parsed) != 1 {
		// the cause would quote the value
		return nil, errors.New("helm --set can't read it: want a string, a number, true, false or a list such as {a,b}")
	}
	value, set := parsed[key]
	switch {
	case !set:
		return nil, errors.New("helm --set can't read it")
	case value == nil:
		return nil, errors.New("it is null, which would remove a value: remove it in a layer")
	}
	return value, nil
}

// escapeCommas escapes the commas that aren't escaped yet.
func escapeCommas(text string) string {
	var b strings.Builder
	for i := range len(text) {
		if text[i] == ',' && (i == 0 || text[i-1] != '\\') {
			b.WriteByte('\\')
		}
		b.WriteByte(text[i])
	}
	return b.String()
}
