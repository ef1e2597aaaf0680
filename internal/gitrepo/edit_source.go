package gitrepo

import (
	"bytes"
	"errors"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// source is a document as bytes, with the positions of its lines.
type source struct {
	data  []byte
	lines []int
}

// bom is neither a character of the document nor a column.
var bom = []byte("\xef\xbb\xbf")

// newSource splits lines like YAML's parser.
func newSource(data []byte) source {
	start := 0
	if bytes.HasPrefix(data, bom) {
		start = len(bom)
	}
	s := source{data: data, lines: []int{start}}
	for i := start; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		i += size
		switch r {
		case '\r':
			if i < len(data) && data[i] == '\n' {
				i++
			}
		case '\n', '\u0085', '\u2028', '\u2029':
		default:
			continue
		}
		s.lines = append(s.lines, i)
	}
	return s
}

var errElsewhere = errors.New("the parser reports another position")

// offset returns where a node begins. The parser counts columns in characters.
func (s source) offset(n *yaml.Node) (int, error) {
	if n.Line < 1 || n.Line > len(s.lines) || n.Column < 1 {
		return 0, errElsewhere
	}
	at := s.lines[n.Line-1]
	for range n.Column - 1 {
		_, size := utf8.DecodeRune(s.data[at:])
		if size == 0 {
			return 0, errElsewhere
		}
		at += size
	}
	return at, nil
}

// scalar returns the range of a scalar, with its quotes and without its anchor; from == to
// where it is empty.
func (s source) scalar(n *yaml.Node) (from, to int, err error) {
	switch {
	case n.Kind == yaml.AliasNode:
		return 0, 0, errors.New("it is an alias (*) of another value")
	case n.Kind != yaml.ScalarNode:
		return 0, 0, errors.New("it is not a string")
	case n.Style&yaml.TaggedStyle != 0:
		return 0, 0, errors.New("it has a tag (!!)")
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		return 0, 0, errors.New("it is a block of text (| or >)")
	}
	if from, err = s.offset(n); err != nil {
		return 0, 0, err
	}
	from += anchor(s.data[from:])
	rest := s.data[from:]
	switch {
	case n.Style&yaml.DoubleQuotedStyle != 0:
		to, err = closing(rest, '"')
	case n.Style&yaml.SingleQuotedStyle != 0:
		to, err = closing(rest, '\'')
	case bytes.HasPrefix(rest, []byte(n.Value)):
		to = len(n.Value)
	default:
		err = errors.New("it spans several lines")
	}
	return from, from + to, err
}

// anchor returns the length of an anchor (&name) at the beginning of text, with the space
// that follows it.
func anchor(text []byte) int {
	if len(text) == 0 || text[0] != '&' {
		return 0
	}
	end := bytes.IndexAny(text, " \t\r\n,]}")
	if end < 0 {
		return len(text)
	}
	return len(text) - len(bytes.TrimLeft(text[end:], " \t\r\n"))
}

// closing returns the length of a quoted scalar at the beginning of text.
func closing(text []byte, quote byte) (int, error) {
	if len(text) == 0 || text[0] != quote {
		return 0, errElsewhere
	}
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] == '\\' && quote == '"':
			i++
		case text[i] == quote && quote == '\'' && i+1 < len(text) && text[i+1] == quote:
			i++
		case text[i] == quote:
			return i + 1, nil
		}
	}
	return 0, errElsewhere
}

// colon returns the position after the colon that follows a key.
func (s source) colon(key *yaml.Node) (int, error) {
	_, end, err := s.scalar(key)
	if err != nil {
		return 0, err
	}
	for ; end < len(s.data); end++ {
		switch s.data[end] {
		case ' ', '\t':
		case ':':
			return end + 1, nil
		default:
			return 0, errElsewhere
		}
	}
	return 0, errElsewhere
}

// lineOf returns where the line of a position begins, and where the next one does.
func (s source) lineOf(at int) (from, next int) {
	for i, line := range s.lines {
		if line > at {
			return s.lines[i-1], line
		}
	}
	return s.lines[len(s.lines)-1], len(s.data)
}

// end returns the position after a node.
func (s source) end(n *yaml.Node) (int, error) {
	if n.Kind == yaml.ScalarNode || n.Kind == yaml.AliasNode {
		_, end, err := s.scalar(n)
		return end, err
	}
	end, err := s.offset(n)
	if err == nil && len(n.Content) > 0 {
		end, err = s.end(n.Content[len(n.Content)-1])
	}
	if err != nil || n.Style&yaml.FlowStyle == 0 {
		return end, err
	}
	if len(n.Content) == 0 {
		end++ // its opening bracket
	}
	return s.bracket(end)
}

// bracket returns the position after the next closing bracket, which only space, commas and
// comments may precede.
func (s source) bracket(at int) (int, error) {
	for ; at < len(s.data); at++ {
		switch s.data[at] {
		case '}', ']':
			return at + 1, nil
		case ' ', '\t', '\r', '\n', ',':
		case '#':
			for at+1 < len(s.data) && s.data[at+1] != '\n' {
				at++
			}
		default:
			return 0, errElsewhere
		}
	}
	return 0, errElsewhere
}
