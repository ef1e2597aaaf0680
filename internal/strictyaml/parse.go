// Package strictyaml parses the YAML that a team stores in Git: one document, bounded in
// size, depth and alias expansion, without duplicate keys. Every problem has its position,
// and all problems are reported at once. The package doesn't interpret the values.
package strictyaml

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/envladder/envladder/internal/bounded"
	"github.com/envladder/envladder/internal/files"
)

// The bounds of a document.
const (
	// MaxSize of a file in bytes. The values of the largest public charts are below
	// 300 KiB, and a file that doesn't fit into an etcd request (1.5 MiB) couldn't be
	// deployed as a ConfigMap either.
	MaxSize = 1 << 20
	// MaxDepth of nested mappings and lists. A pod's deepest field has 12 levels. Functions
	// that walk a document recurse to this depth.
	MaxDepth = 64
	// MaxAliased is how many nodes all aliases of a document may add to it. Anchors
	// repeat blocks of a dozen nodes; a bomb of nine aliases of nine has 10^9.
	MaxAliased = 10_000
	// MaxAliasedSize is how many bytes of scalars all aliases of a document may add to
	// it: a few nodes may be long.
	MaxAliasedSize = MaxSize
)

// The tags that nodes are checked for.
const (
	tagString = "!!str"
	tagInt    = "!!int"
	tagFloat  = "!!float"
	tagNull   = "!!null"
	tagBool   = "!!bool"
	tagMerge  = "!!merge"
)

// ReadFile reads the regular file name of fsys, which may have MaxSize bytes, and rejects
// other files. The error is a Problems where the file is invalid, and another error where it
// can't be read (one that matches fs.ErrNotExist where there is none).
func ReadFile(fsys fs.FS, name string) ([]byte, error) {
	data, err := files.ReadFS(fsys, name, MaxSize)
	tooLarge, isTooLarge := errors.AsType[*bounded.TooLargeError](err)
	switch {
	case errors.Is(err, files.ErrNotRegular):
		return nil, Problems{{File: name, Message: files.ErrNotRegular.Error()}}
	case isTooLarge:
		return nil, Problems{{File: name, Message: "is " + tooLarge.Error()}}
	case err != nil:
		return nil, fmt.Errorf("reading %q: %w", name, err)
	}
	return data, nil
}

// Parse parses data as the content of file, which is only named in problems. It returns
// the root node: never the document around it, and a null scalar for an empty document.
// Aliases remain alias nodes and are safe to follow: none contains itself, and together they
// add at most MaxAliased nodes and MaxAliasedSize bytes.
//
// The error is a Problems. Where data is YAML with other problems, Parse also returns the
// root, so that Decode can find further problems; its aliases aren't safe to follow then.
func Parse(file string, data []byte) (*yaml.Node, error) {
	if problem, bad := unreadable(file, data); bad {
		return nil, Problems{problem}
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var doc yaml.Node
	switch err := decoder.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: tagNull, Line: 1, Column: 1}, nil
	case err != nil:
		return nil, Problems{syntaxProblem(file, err)}
	}
	c := checker{file: file}
	c.check(doc.Content[0], nil, 1)
	c.checkSingle(decoder)
	c.checkAliased(doc.Content[0])
	return doc.Content[0], c.problems.Err()
}

// ParseMapping parses a document that must be a mapping, like Parse. It returns an empty
// mapping for an empty document, and no root for another kind of document.
func ParseMapping(file string, data []byte) (*yaml.Node, error) {
	root, err := Parse(file, data)
	switch {
	case root == nil || root.Kind == yaml.MappingNode:
		return root, err
	case IsNull(root):
		return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: root.Line, Column: root.Column}, err
	}
	c := checker{file: file}
	c.problemf(root, "", "want a mapping, have %s", KindOf(root))
	return nil, append(c.problems, ProblemsOf(err)...).Err()
}

// ProblemsOf returns the problems that err is, or nil for another error.
func ProblemsOf(err error) Problems {
	problems, _ := errors.AsType[Problems](err)
	return problems
}

// IsNull reports whether n is the scalar null.
func IsNull(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.ShortTag() == tagNull
}

// KindOf returns the kind of n for messages, without its value: "a mapping", "a string".
func KindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	}
	switch n.ShortTag() {
	case tagString:
		return "a string"
	case tagInt, tagFloat:
		return "a number"
	case tagBool:
		return "a boolean"
	case tagNull:
		return "nothing"
	case "!!timestamp":
		return "a date (quote it to make it a string)"
	default:
		return "a scalar"
	}
}

// unreadable returns the problem of bytes that can't be a document.
func unreadable(file string, data []byte) (Problem, bool) {
	if len(data) > MaxSize {
		return Problem{File: file, Message: "is larger than " + bounded.Size(MaxSize)}, true
	}
	rest := data
	for len(rest) > 0 {
		r, size := utf8.DecodeRune(rest)
		at := len(data) - len(rest)
		switch {
		case r == utf8.RuneError && size == 1:
			return problemAt(file, data, at, "isn't UTF-8"), true
		case r == 0:
			return problemAt(file, data, at, "has a NUL character"), true
		}
		rest = rest[size:]
	}
	return Problem{}, false
}

func problemAt(file string, data []byte, offset int, message string) Problem {
	before := data[:offset]
	lineStart := bytes.LastIndexByte(before, '\n') + 1
	return Problem{
		File: file, Line: 1 + bytes.Count(before, []byte("\n")),
		Column: 1 + utf8.RuneCount(before[lineStart:]), Message: message,
	}
}

// syntaxLine matches the start of the YAML library's syntax errors. They have no column, and
// no line if it is the first.
var syntaxLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// oneLineEarly matches the library's errors that count lines from 0: those of its parser,
// not those of its scanner.
var oneLineEarly = regexp.MustCompile(`^did not find expected (node content|key|'-' indicator|',' or '[]}]'|<document start>)$`)

func syntaxProblem(file string, err error) Problem {
	prefix := syntaxLine.FindStringSubmatch(err.Error())
	line, message := 1, err.Error()
	if prefix != nil {
		message = strings.TrimPrefix(message, prefix[0])
	}
	if prefix != nil && prefix[1] != "" {
		line, _ = strconv.Atoi(prefix[1]) // digits, and fewer than MaxSize
		if oneLineEarly.MatchString(message) {
			line++
		}
	}
	if strings.HasPrefix(message, "unknown anchor") {
		message = "an alias of an anchor that isn't defined above it"
	}
	return Problem{File: file, Line: line, Column: 1, Message: "isn't valid YAML: " + message}
}
