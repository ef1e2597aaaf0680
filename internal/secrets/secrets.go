// Package secrets recognizes secret material, to find it in layers, which are in Git, and to
// mask it on terminals. It recognizes material by its form, or by the name of its key: it
// finds a password that looks like a word only by its key.
package secrets

import (
	"regexp"
	"slices"
	"strings"
)

// Mask replaces a value that looks like a secret wherever values are printed.
const Mask = "(masked: looks like a secret)"

// shapes has the forms of recognizable secrets: by the issuer's prefix, or by a format. Each
// is anchored by characters that random text doesn't have. Go's regular expressions take
// time that is linear in the text.
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

// Find returns the kind of secret material in a text, such as "a private key".
func Find(text string) (what string, ok bool) {
	for _, shape := range shapes {
		if shape.pattern.MatchString(text) {
			return shape.what, true
		}
	}
	return "", false
}

// Redact returns text without the secret material in it.
func Redact(text string) string {
	for _, shape := range shapes {
		text = shape.pattern.ReplaceAllString(text, "(masked)")
	}
	return text
}

// secretKey matches the ends of secrets' keys; notKey matches keys that only name a secret.
var (
	secretKey = regexp.MustCompile(`(?i)(?:passw(?:or)?d|passphrase|secret|token|api[-_]?key|private[-_]?key|access[-_]?key|encryption[-_]?key|credentials?)$`)
	notKey    = regexp.MustCompile(`(?i)^(?:existing|automount)`)
	// secretMap holds secrets whatever their keys are.
	secretMap = regexp.MustCompile(`(?i)^(?:secrets|passwords|tokens|credentials|stringData)$`)
)

// LooksSecret reports whether the value at a path of keys looks like a secret: by its text, or by
// its key. Strings and numbers may be secrets; a boolean is too short.
func LooksSecret(path []string, value any) bool {
	switch value := value.(type) {
	case string:
		if _, found := Find(value); found {
			return true
		}
		if value == "" || strings.Contains(value, "{{") {
			return false // empty, or a template that refers to a secret
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

// Masked returns a copy of value, which is at path, with a mask in place of each value that
// looks like a secret, and the number of these.
func Masked(path []string, value any) (any, int) {
	switch value := value.(type) {
	case map[string]any:
		masked, count := make(map[string]any, len(value)), 0
		for key, item := range value {
			m, n := Masked(append(slices.Clip(path), keyName(value, key)), item)
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
	if LooksSecret(path, value) {
		return Mask, 1
	}
	return value, 0
}

// keyName returns the key, or the name that takes its place: DB_PASSWORD for the key value of
// {name: DB_PASSWORD, value: hunter2}, as in a container's env.
func keyName(m map[string]any, key string) string {
	if key != "value" {
		return key
	}
	for _, field := range []string{"name", "key"} {
		if name, ok := m[field].(string); ok {
			return name
		}
	}
	return key
}
