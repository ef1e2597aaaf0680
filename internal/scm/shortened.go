package scm

import (
	"bytes"
	"io"
)

// maxString is the length at which strings of a response are cut. Names and titles are
// shorter (a ref is a path of at most 4 KiB). Bodies of pull requests may be longer, and
// aren't used.
const maxString = 4 << 10

// shortened reads JSON with its long strings cut. Anyone who may open a pull request
// chooses its body, which Gitea doesn't bound: it is skipped while it is read, so that it
// takes neither memory nor the room of other pull requests.
type shortened struct {
	inner io.ReadCloser

	inString bool
	// length is the length of the current string so far.
	length int
	// escape counts the remaining bytes of an escape sequence, which is retained or cut as
	// a whole; digits is set in the last four of \uXXXX.
	escape int
	digits bool
	cut    bool
}

// Read implements io.Reader.
func (s *shortened) Read(p []byte) (int, error) {
	for {
		n, err := s.inner.Read(p)
		retained := s.filter(p[:n])
		if retained > 0 || err != nil || len(p) == 0 {
			return retained, err
		}
	}
}

// filter moves the retained bytes to the front, and returns their number.
func (s *shortened) filter(p []byte) (retained int) {
	for i := 0; i < len(p); i++ {
		if s.inString && s.cut && s.escape == 0 { // most of a long text
			next := bytes.IndexAny(p[i:], `"\`)
			if next < 0 {
				break
			}
			i += next
		}
		if s.keep(p[i]) {
			p[retained] = p[i]
			retained++
		}
	}
	return retained
}

// keep reports whether a byte is retained. A string is cut between characters.
func (s *shortened) keep(b byte) bool {
	switch {
	case !s.inString:
		s.inString, s.length, s.cut = b == '"', 0, false
		return true
	case s.escape > 0:
		s.escaped(b)
	case b == '"':
		s.inString = false
		return true
	default:
		continues := b&0xc0 == 0x80 // a continuation byte of a character
		s.cut = s.cut || s.length >= maxString && !continues
		if b == '\\' {
			s.escape = 1
		}
	}
	if !s.cut {
		s.length++
	}
	return !s.cut
}

// escaped counts the bytes after a backslash: one, or u and four digits.
func (s *shortened) escaped(b byte) {
	if s.escape == 1 && b == 'u' && !s.digits {
		s.escape, s.digits = 4, true
		return
	}
	if s.escape--; s.escape == 0 {
		s.digits = false
	}
}

// Close implements io.Closer.
func (s *shortened) Close() error { return s.inner.Close() }
