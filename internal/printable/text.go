package printable

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const ellipsis = "…"

// Line returns text as one line of at most limit characters. White space becomes single
// spaces. Control characters, escape sequences, characters that are invisible or change
// the direction of writing, and invalid UTF-8 become U+FFFD.
func Line(text string, limit int) string {
	var line strings.Builder
	length, space := 0, false
	for _, r := range text {
		if unicode.IsSpace(r) {
			space = length > 0
			continue
		}
		if length > limit {
			break // Cut needs one character more than the limit to know that there is more
		}
		if space {
			line.WriteByte(' ')
			length, space = length+1, false
		}
		line.WriteRune(visible(r))
		length++
	}
	return Cut(line.String(), limit)
}

// Lines returns text like Line, but with its line breaks and tabs. It isn't bounded.
func Lines(text string) string {
	var lines strings.Builder
	text = strings.ReplaceAll(text, "\r\n", "\n")
	for _, r := range text {
		switch {
		case r == '\n' || r == '\t':
			lines.WriteRune(r)
		case unicode.IsSpace(r):
			lines.WriteByte(' ')
		default:
			lines.WriteRune(visible(r))
		}
	}
	return lines.String()
}

// visible returns r, or U+FFFD in place of what a terminal doesn't show as a character.
func visible(r rune) rune {
	if unicode.IsPrint(r) {
		return r
	}
	return utf8.RuneError
}

// Quote returns text in the quotes of a Go string, with at most limit of its characters.
func Quote(text string, limit int) string { return strconv.Quote(Cut(text, limit)) }

// Cut returns text, or where it has more than limit characters its beginning: limit
// characters, at least one, of which the last is an ellipsis.
func Cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	length, end := 0, 0
	for i := range text {
		if length == limit-1 {
			end = i
		}
		if length == limit {
			return text[:end] + ellipsis
		}
		length++
	}
	return text
}
