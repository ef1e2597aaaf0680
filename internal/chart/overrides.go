package chart

import (
	"errors"
	"fmt"
	"strings"

	"helm.sh/helm/v3/pkg/strvals"
)

// maxOverride bounds a value that a parameter sets, in bytes: a hostname, a number, a flag.
// What is longer belongs in a layer.
const maxOverride = 4 << 10

// ParseOverrides parses the values that an Application's parameters set, by their paths:
// values as `helm --set` reads them, texts as `helm --set-string` does. A path may be in
// one of them. Errors leave the values out.
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
			return nil, fmt.Errorf("overriding the value %.120q: %w", path, errLong)
		}
		parsed[path] = text
	}
	return parsed, nil
}

var errLong = fmt.Errorf("it has more than %d bytes: set it in a layer", maxOverride)

// parseOverride reads a value as Argo CD's helm.parameters do: by Helm's own parser, with
// commas that are part of the value unless it is a list in braces.
func parseOverride(text string) (any, error) {
	if len(text) > maxOverride {
		return nil, errLong
	}
	if !strings.HasPrefix(text, "{") || !strings.HasSuffix(text, "}") {
		text = escapeCommas(text)
	}
	const key = "value"
	parsed := map[string]any{}
	if err := strvals.ParseInto(key+"="+text, parsed); err != nil || len(parsed) != 1 {
		// The cause would quote the value.
		return nil, errors.New("helm --set can't read it: want a string, a number, true, false or a list such as {a,b}")
	}
	value, set := parsed[key]
	switch {
	case !set:
		return nil, errors.New("helm --set can't read it")
	case value == nil:
		return nil, errors.New("it is null, which would remove a value: only a layer may")
	}
	return value, nil
}

// escapeCommas escapes the commas that aren't escaped.
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
