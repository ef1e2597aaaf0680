package strictyaml

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/envladder/envladder/internal/printable"
	"github.com/envladder/envladder/internal/secrets"
)

// maxProblems bounds how many problems are reported: more aren't useful at once, and a
// hostile document of 1 MiB could have a hundred thousand.
const maxProblems = 100

// Problem is an error at a position in a document.
type Problem struct {
	// File is the document's path as the reader knows it.
	File string `json:"file"`
	// Line and Column count from 1; 0 for a problem of the whole file.
	Line   int `json:"line"`
	Column int `json:"column"`
	// Path in the document, such as spec.environments[2].layers[0]; empty for its root.
	Path string `json:"path"`
	// Message describes what is wrong and, where that helps, what to do.
	Message string `json:"message"`
	// Warning is set for a problem that doesn't cause a rejection.
	Warning bool `json:"warning,omitempty"`
	// Code is the kind of a finding that can be accepted. Accepted is the reason where it is.
	Code     string `json:"code,omitempty"`
	Accepted string `json:"accepted,omitempty"`
}

// String returns `file:line:column: path: message`, without empty parts.
func (f Problem) String() string {
	var b strings.Builder
	b.WriteString(f.File)
	if f.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", f.Line, f.Column)
	}
	b.WriteString(": ")
	if f.Path != "" {
		b.WriteString(f.Path + ": ")
	}
	if f.Warning {
		b.WriteString("warning: ")
	}
	b.WriteString(f.Message)
	return b.String()
}

// Problems are the problems of one or several documents. As an error it prints one problem a
// line.
type Problems []Problem //nolint:errname // they are data first: findings of lint

// Error returns one problem a line.
func (fs Problems) Error() string {
	lines := make([]string, len(fs))
	for i, f := range fs {
		lines[i] = f.String()
	}
	return strings.Join(lines, "\n")
}

// Full reports whether there are more problems than Err reports, so that the caller can stop
// checking.
func (fs Problems) Full() bool { return len(fs) > maxProblems }

// Err returns nil where there are no problems, and otherwise the problems sorted by position,
// each once. After the first hundred it only reports that there are more. It masks secret
// material in the keys and names that problems quote.
func (fs Problems) Err() error {
	if len(fs) == 0 {
		return nil
	}
	sorted := slices.Clone(fs)
	slices.SortStableFunc(sorted, Problem.compare)
	sorted = slices.Compact(sorted)
	if sorted.Full() {
		last := sorted[maxProblems-1]
		sorted = append(sorted[:maxProblems:maxProblems], Problem{
			File: last.File, Line: last.Line, Column: last.Column,
			Message: fmt.Sprintf("there are more problems than these %d", maxProblems),
		})
	}
	for i, f := range sorted {
		sorted[i].Path, sorted[i].Message = secrets.Redact(f.Path), secrets.Redact(f.Message)
	}
	return sorted
}

func (f Problem) compare(g Problem) int {
	return cmp.Or(
		cmp.Compare(f.File, g.File),
		cmp.Compare(f.Line, g.Line),
		cmp.Compare(f.Column, g.Column),
		cmp.Compare(f.Path, g.Path),
		cmp.Compare(f.Message, g.Message),
	)
}

// Key returns path with one more key: `a` and `b` make `a.b`. A key that isn't a plain word
// is quoted, `a["b.c"]`, so that a hostile key can't add a line.
func Key(path, key string) string {
	if !plain(key) {
		return path + "[" + printable.Quote(key, maxShownKey) + "]"
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

// Index returns path with one more index: `a` and 2 make `a[2]`.
func Index(path string, i int) string {
	return path + "[" + strconv.Itoa(i) + "]"
}

func plain(key string) bool {
	for _, r := range key {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '-', r == '_', r == '/':
		default:
			return false
		}
	}
	return key != "" && len(key) <= maxShownKey
}

// maxShownKey is where messages cut keys: the longest names in Kubernetes are 253 bytes and
// a prefix.
const maxShownKey = 320
