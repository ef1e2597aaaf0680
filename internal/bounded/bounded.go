// Package bounded reads from untrusted sources: up to a limit, beyond which reading fails,
// so that content that was cut never looks whole. Content of exactly the limit is whole.
package bounded

import (
	"fmt"
	"io"
)

// TooLargeError reports content that is larger than Limit bytes.
type TooLargeError struct{ Limit int64 }

func (e *TooLargeError) Error() string { return "larger than " + Size(e.Limit) }

// ReadAll reads r to its end. The error is a *TooLargeError where r has more than limit
// bytes.
func ReadAll(r io.Reader, limit int64) ([]byte, error) {
	return io.ReadAll(NewReader(r, limit, nil))
}

// Reader reads at most a limit of bytes from another reader, and fails beyond it.
type Reader struct {
	inner   io.Reader
	read    int64
	limit   int64
	tooMuch error
}

// NewReader returns a Reader that fails with tooMuch beyond limit bytes, or with a
// *TooLargeError where tooMuch is nil.
func NewReader(inner io.Reader, limit int64, tooMuch error) *Reader {
	if tooMuch == nil {
		tooMuch = &TooLargeError{limit}
	}
	return &Reader{inner: inner, limit: limit, tooMuch: tooMuch}
}

// NewBody returns the body of an HTTP message as a Reader of it, with the body's Close.
func NewBody(body io.ReadCloser, limit int64, tooMuch error) io.ReadCloser {
	return struct {
		io.Reader
		io.Closer
	}{NewReader(body, limit, tooMuch), body}
}

// Read implements io.Reader.
func (r *Reader) Read(p []byte) (int, error) {
	left := r.limit - r.read
	if left < 0 {
		return 0, r.tooMuch
	}
	if int64(len(p)) > left+1 {
		p = p[:left+1] // one byte more tells the end from more content
	}
	n, err := r.inner.Read(p)
	r.read += int64(n)
	if int64(n) > left {
		return int(left), r.tooMuch
	}
	return n, err
}

// Count returns how many bytes were read from the inner reader.
func (r *Reader) Count() int64 { return r.read }

// Size returns a number of bytes as messages have it: 64 KiB, 1536 KiB, 16 MiB, 7 bytes.
func Size(bytes int64) string {
	switch {
	case bytes >= 1<<20 && bytes%(1<<20) == 0:
		return fmt.Sprintf("%d MiB", bytes>>20)
	case bytes >= 1<<10 && bytes%(1<<10) == 0:
		return fmt.Sprintf("%d KiB", bytes>>10)
	default:
		return fmt.Sprintf("%d bytes", bytes)
	}
}
