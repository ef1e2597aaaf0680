package gitrepo

import (
	"bytes"
	"errors"
	"strings"

	"go.yaml.in/yaml/v3"
)

// step is the default indentation of an inner mapping.
const step = "  "

// add adds a missing key to a mapping, with the missing mappings around the value.
func add(src source, mapping *yaml.Node, path []string, value string) (splice, error) {
	switch {
	case mapping.Style&yaml.TaggedStyle != 0:
		return splice{}, errors.New("it is in a mapping with a tag (!!)")
	case mapping.Style&yaml.FlowStyle != 0 && len(mapping.Content) == 0:
		return openFlow(src, mapping, path, value)
	case len(mapping.Content) == 0:
		return begin(src, path, value)
	}
	key, last := mapping.Content[len(mapping.Content)-2], mapping.Content[len(mapping.Content)-1]
	if mapping.Style&yaml.FlowStyle != 0 {
		return addFlow(src, key, last, path, value)
	}
	return addBlock(src, key, last, path, value)
}

// begin writes the first value of a document with only comments.
func begin(src source, path []string, value string) (splice, error) {
	end := len(src.data)
	text := block("", "", newline(src.data), path, value)
	if from, _ := src.lineOf(end); from != end { // the last line has no end
		text = newline(src.data) + strings.TrimSuffix(text, newline(src.data))
	}
	return splice{end, end, text}, nil
}

// block returns a value in mappings of block style, one per line. The first key gets the
// quotes of its siblings.
func block(indent, quote, end string, path []string, value string) string {
	var text strings.Builder
	for i, key := range path {
		text.WriteString(indent + strings.Repeat(step, i))
		if i == 0 {
			key = keyText(key, quote)
		}
		text.WriteString(key + ":")
		if i == len(path)-1 {
			text.WriteString(" " + value)
		}
		text.WriteString(end)
	}
	return text.String()
}

// flow returns a value in mappings of flow style, without the outermost braces.
func flow(quote string, path []string, value string) string {
	text := keyText(path[0], quote) + ": "
	if len(path) == 1 {
		return text + value
	}
	return text + "{" + flow(quote, path[1:], value) + "}"
}

func openFlow(src source, mapping *yaml.Node, path []string, value string) (splice, error) {
	at, err := src.offset(mapping)
	if err != nil || at >= len(src.data) || src.data[at] != '{' {
		return splice{}, errElsewhere
	}
	return splice{at + 1, at + 1, flow("", path, value)}, nil
}

// addFlow adds after the last value.
func addFlow(src source, key, last *yaml.Node, path []string, value string) (splice, error) {
	end, err := src.end(last)
	if err != nil {
		return splice{}, errors.New("the value before it is not a plain scalar")
	}
	text := flow(quoteOf(key), path, quoted(last, value))
	return splice{end, end, ", " + text}, nil
}

// addBlock adds a line after that of the last value.
func addBlock(src source, key, last *yaml.Node, path []string, value string) (splice, error) {
	keyAt, err := src.offset(key)
	if err != nil {
		return splice{}, err
	}
	end, err := src.end(last)
	if err != nil {
		return splice{}, errors.New("the value before it is not a plain scalar")
	}
	line, _ := src.lineOf(keyAt)
	indent := src.data[line:keyAt]
	if len(bytes.TrimLeft(indent, " ")) > 0 {
		return splice{}, errors.New("its siblings share a line")
	}
	text := block(string(indent), quoteOf(key), newline(src.data), path, quoted(last, value))
	return src.newLine(end, text), nil
}

// newLine inserts lines after the line of a position. A missing final newline stays missing.
func (s source) newLine(at int, text string) splice {
	_, next := s.lineOf(at)
	if from, _ := s.lineOf(next); next == len(s.data) && from != next {
		text = newline(s.data) + strings.TrimSuffix(text, newline(s.data))
	}
	return splice{next, next, text}
}

// fill replaces an empty value (`images:`, or `images: null`) by a mapping.
func fill(src source, mapping, key, empty *yaml.Node, path []string, value string) (splice, error) {
	from, to, err := src.scalar(empty)
	if err != nil {
		return splice{}, err
	}
	if from < to {
		return splice{from, to, "{" + flow("", path, value) + "}"}, nil
	}
	colon, err := src.colon(key)
	if err != nil {
		return splice{}, err
	}
	if mapping.Style&yaml.FlowStyle != 0 {
		return splice{colon, colon, " {" + flow("", path, value) + "}"}, nil
	}
	keyAt, err := src.offset(key)
	if err != nil {
		return splice{}, err
	}
	line, _ := src.lineOf(keyAt)
	indent := src.data[line:keyAt]
	if len(bytes.TrimLeft(indent, " ")) > 0 {
		return splice{}, errors.New("it shares its line")
	}
	return src.newLine(colon, block(string(indent)+step, "", newline(src.data), path, value)), nil
}

// keyText returns a key with its siblings' quotes, or with the quotes that it needs to be a
// string: an image may be called `on` or `1`.
func keyText(key, quote string) string {
	plain := yaml.Node{Kind: yaml.ScalarNode, Value: key}
	if quote == "" && plain.ShortTag() != "!!str" {
		quote = `"`
	}
	return quote + key + quote
}

func quoteOf(key *yaml.Node) string {
	switch {
	case key.Style&yaml.DoubleQuotedStyle != 0:
		return `"`
	case key.Style&yaml.SingleQuotedStyle != 0:
		return "'"
	default:
		return ""
	}
}
