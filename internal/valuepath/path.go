// Package valuepath parses paths of Helm values and patterns of such paths. Their syntax is
// the same everywhere: in ladder.yaml, in an Application's parameters, in flags and in
// messages.
//
//	image.digest                          keys, separated by dots
//	ingress.annotations["example.com/a"]  any other key, quoted as in Go or JSON
//	hosts[0].name                         an item of a list
//
// A pattern may also have * for any one element, and a last ** for everything below.
package valuepath

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"github.com/envladder/envladder/internal/strictyaml"
)

// MaxSize bounds a path in bytes, and with it the cost of comparing paths. An annotation's
// key has at most 317 characters, and charts nest a few keys above it.
const MaxSize = 600

// KeysRegexp matches the texts that ParseKeys accepts, for JSON schemas.
const KeysRegexp = `^(` + plainRegexp + `|` + quotedRegexp + `)(\.` + plainRegexp + `|` + quotedRegexp + `)*$`

// PatternRegexp matches the texts that ParsePattern accepts, for JSON schemas.
const PatternRegexp = `^(\*|` + plainRegexp + `|` + quotedRegexp + `)(\.\*|\.` + plainRegexp + `|` + quotedRegexp + `|\[[0-9]+\])*(\.\*\*)?$`

const (
	plainRegexp  = `[^.\[\]"'*=\s]+`
	quotedRegexp = `\["([^"\\]|\\.)*"\]`
)

// notPlain has the characters that a key must be quoted for.
const notPlain = `.[]"'*=`

// errSyntax describes the syntax of a path.
var errSyntax = errors.New(`it isn't a path of values, such as image.digest, hosts[0] or annotations["example.com/a"]`)

// ErrIndex is returned by ParseKeys for a path that goes into a list.
var ErrIndex = errors.New("it has an index")

// Parse parses a path. Its elements are keys, and the decimal indexes of lists.
func Parse(text string) ([]string, error) {
	elements, err := parse(text, nextKey)
	if err != nil {
		return nil, err
	}
	return texts(elements), nil
}

// ParseKeys parses a path that goes through mappings only.
func ParseKeys(text string) ([]string, error) {
	elements, err := parse(text, nextKey)
	if err != nil {
		return nil, err
	}
	for _, e := range elements {
		if e.index {
			return nil, ErrIndex
		}
	}
	return texts(elements), nil
}

// Format returns the text of a path, which Parse can parse. It cuts keys after 320 bytes, so
// that messages stay readable.
func Format(path []string) string {
	text := ""
	for _, key := range path {
		text = strictyaml.Key(text, key)
	}
	return text
}

// Cut splits PATH=VALUE at the first equals sign outside of quotes. It reports false where
// there is none.
func Cut(text string) (path, value string, ok bool) {
	quoted := false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted:
			i++
		case c == '=' && !quoted:
			return text[:i], text[i+1:], true
		}
	}
	return text, "", false
}

// element is one element of a path or pattern.
type element struct {
	text string
	// index is set for an item of a list, any for *, rest for **.
	index, any, rest bool
}

func texts(elements []element) []string {
	path := make([]string, len(elements))
	for i, e := range elements {
		path[i] = e.text
	}
	return path
}

// parse splits text into its elements. plain parses an unquoted one.
func parse(text string, plain func(text string) (element, string, error)) ([]element, error) {
	if len(text) > MaxSize {
		return nil, fmt.Errorf("it has more than %d bytes", MaxSize)
	}
	if text == "" {
		return nil, errSyntax
	}
	var elements []element
	for rest := text; rest != ""; {
		next := nextBracket
		if rest[0] != '[' {
			var ok bool
			if rest, ok = afterDot(rest, len(elements) == 0); !ok {
				return nil, errSyntax
			}
			next = plain
		}
		e, after, err := next(rest)
		if err != nil {
			return nil, err
		}
		elements, rest = append(elements, e), after
	}
	return elements, nil
}

// afterDot removes the dot before a key. The first key has none.
func afterDot(text string, first bool) (string, bool) {
	if first {
		return text, true
	}
	return strings.CutPrefix(text, ".")
}

// nextBracket parses ["a key"] or [0].
func nextBracket(text string) (element, string, error) {
	inside := text[1:]
	if strings.HasPrefix(inside, `"`) {
		quoted, err := strconv.QuotedPrefix(inside)
		if err != nil {
			return element{}, "", errSyntax
		}
		key, err := strconv.Unquote(quoted)
		rest, closed := strings.CutPrefix(inside[len(quoted):], "]")
		if err != nil || !closed {
			return element{}, "", errSyntax
		}
		return element{text: key}, rest, nil
	}
	index, rest, closed := strings.Cut(inside, "]")
	if _, err := strconv.ParseUint(index, 10, 31); err != nil || !closed {
		return element{}, "", errSyntax
	}
	return element{text: index, index: true}, rest, nil
}

// nextKey parses a plain key.
func nextKey(text string) (element, string, error) {
	end := strings.IndexFunc(text, func(r rune) bool {
		return strings.ContainsRune(notPlain, r) || unicode.IsSpace(r) || unicode.IsControl(r)
	})
	if end < 0 {
		end = len(text)
	}
	if end == 0 || end < len(text) && text[end] != '.' && text[end] != '[' {
		return element{}, "", errSyntax
	}
	return element{text: text[:end]}, text[end:], nil
}
