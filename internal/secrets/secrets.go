// Package secrets knows what secret material looks like, so that it can be found in
// layers, which are in Git, and kept off terminals. It finds what gives itself away: a
// password that looks like a word it doesn't find, but for the name of its key.
package secrets

import (
	"regexp"
	"slices"
	"strings"
)

// Mask stands for a secret-looking value wherever values are printed.
const Mask = "(masked: looks like a secret)"

// shapes are what is recognisable by itself: a prefix of its issuer's, or a format. Each
// is anchored by what random text doesn't have. Go's regular expressions take time that
// is linear in the text.
var shapes = []struct {
	what    string
	pattern *regexp.Regexp
}{
	{"a private key", regexp.MustCompile(`-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----`)},
	{"an age key", regexp.MustCompile(`AGE-SECRET-KEY-1[0-9A-Z]{58}`)},
	{"an AWS access key", regexp.MustCompile(`\b(?:AKIA|ASIA)[0-9A-Z]{16}\b`)},
	{"a GitHub token", regexp.MustCompile(`\b(?:gh[pousr]_[0-9A-Za-z]{36}|github_pat_[0-9A-Za-z_]{50,})`)},
	{"a GitLab token", regexp.MustCompile(`\bgl(?:pat|dt|rt|cbt|ptt|ft|imt|agent|soat)-[0-9A-Za-z_-]{20,}`)},
	{"a Google API key", regexp.MustCompile(`\bAIza[0-9A-Za-z_-]{35}`)},
	{"a Slack token", regexp.MustCompile(`\bxox[abeoprs]-[0-9A-Za-z-]{10,}`)},
	{"a Stripe key", regexp.MustCompile(`\b[rs]k_live_[0-9A-Za-z]{20,}`)},
	{"an npm token", regexp.MustCompile(`\bnpm_[0-9A-Za-z]{36}\b`)},
	{"a PyPI token", regexp.MustCompile(`\bpypi-AgE[0-9A-Za-z_-]{50,}`)},
	{"a Vault token", regexp.MustCompile(`\bhv[sbr]\.[0-9A-Za-z_-]{24,}`)},
	{"an OpenAI or Anthropic key", regexp.MustCompile(`\bsk-(?:proj-|ant-)[0-9A-Za-z_-]{20,}`)},
	{"a JSON web token", regexp.MustCompile(`\beyJ[0-9A-Za-z_-]{10,}\.eyJ[0-9A-Za-z_-]{10,}\.[0-9A-Za-z_-]{20,}`)},
	{"a URL with a password", regexp.MustCompile(`\b[a-z][a-z0-9+.-]*://[^/\s:@{}$]*:[^/\s@{}$]+@[^\s/]`)},
}

// Find says what secret material a text has, such as "a private key".
func Find(text string) (what string, ok bool) {
	for _, shape := range shapes {
		if shape.pattern.MatchString(text) {
			return shape.what, true
		}
	}
	return "", false
}

// Redact is text without the secret material in it.
func Redact(text string) string {
	for _, shape := range shapes {
		text = shape.pattern.ReplaceAllString(text, "(masked)")
	}
	return text
}

// secretKey is how keys of secrets end; notKey are those that only name one.
var (
	secretKey = regexp.MustCompile(`(?i)(?:passw(?:or)?d|passphrase|secret|token|api[-_]?key|private[-_]?key|access[-_]?key|encryption[-_]?key|credentials?)$`)
	notKey    = regexp.MustCompile(`(?i)^(?:existing|automount)`)
	// secretMap holds secrets whatever their keys are.
	secretMap = regexp.MustCompile(`(?i)^(?:secrets|passwords|tokens|credentials|stringData)$`)
)

// Looks reports whether the value at a path of keys looks like a secret: by its text, or by
// its key. Text and numbers may be one, which a boolean is too short for.
func Looks(path []string, value any) bool {
	switch value := value.(type) {
	case string:
		if _, found := Find(value); found {
			return true
		}
		if value == "" || strings.Contains(value, "{{") {
			return false // nothing, or a template that leads to one
		}
	case nil, bool, map[string]any, []any:
		return false
	}
	for i, key := range path {
		last := i == len(path)-1
		if secretMap.MatchString(key) || last && secretKey.MatchString(key) && !notKey.MatchString(key) {
			return true
		}
	}
	return false
}

// Masked is a copy of value, which stands at path, with a mask in place of each value
// that looks like a secret, and how many there were.
func Masked(path []string, value any) (any, int) {
	switch value := value.(type) {
	case map[string]any:
		masked, count := make(map[string]any, len(value)), 0
		for key, item := range value {
			m, n := Masked(append(slices.Clip(path), named(value, key)), item)
			masked[key] = m
			count += n
		}
		return masked, count
	case []any:
		masked, count := make([]any, len(value)), 0
		for i, item := range value {
			m, n := Masked(path, item)
			masked[i] = m
			count += n
		}
		return masked, count
	}
	if Looks(path, value) {
		return Mask, 1
	}
	return value, 0
}

// named is a key of m, or what stands for it: of {name: DB_PASSWORD, value: hunter2}, as
// in a container's env, it is the name that says what the value is.
func named(m map[string]any, key string) string {
	if key != "value" {
		return key
	}
	for _, beside := range []string{"name", "key"} {
		if name, ok := m[beside].(string); ok {
			return name
		}
	}
	return key
}
