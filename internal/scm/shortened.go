package scm

import (
	"bytes"
	"io"
)

// maxString is where strings of an answer are cut. It is more than any name or title of a
// forge has (a ref is a path, of at most 4 KiB); texts of pull requests are longer, and
// nothing here reads them.
const maxString = 4 << 10

// shortened reads JSON with its long strings cut. Anyone who may open a pull request
// chooses its text, and Gitea bounds none: a text is passed over as it is read, so that it
// takes no memory and no room of the other pull requests.
type shortened struct {
	inner io.ReadCloser

	inString bool
	// length is what was kept of the current string.
	length int
	// escape counts the bytes of an escape sequence that are still to come, which is kept or
	// cut as a whole; digits is set in the last four of \uXXXX.
	escape int
	digits bool
	cut    bool
}

// Read implements io.Reader.
func (s *shortened) Read(p []byte) (int, error) {
	for {
		n, err := s.inner.Read(p)
		kept := s.filter(p[:n])
		if kept > 0 || err != nil || len(p) == 0 {
			return kept, err
		}
	}
}

// filter moves the bytes that are kept to the front, and returns how many there are.
func (s *shortened) filter(p []byte) (kept int) {
	for i := 0; i < len(p); i++ {
		if s.inString && s.cut && s.escape == 0 { // most of a long text
			next := bytes.IndexAny(p[i:], `"\`)
			if next < 0 {
				break
			}
			i += next
		}
		if s.keep(p[i]) {
			p[kept] = p[i]
			kept++
		}
	}
	return kept
}

// keep reports whether a byte is kept. A string is cut between characters.
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
		continues := b&0xc0 == 0x80 // a byte of a character that began before
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

// escaped counts the bytes behind a backslash: one, or u and four digits.
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
