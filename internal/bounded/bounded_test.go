package bounded_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/envladder/envladder/internal/bounded"
)

func TestReadAll(t *testing.T) {
	for name, test := range map[string]struct {
		content string
		limit   int64
		tooMuch bool
	}{
		"below the limit":      {"1234", 5, false},
		"exactly the limit":    {"12345", 5, false},
		"one beyond the limit": {"123456", 5, true},
		"far beyond the limit": {strings.Repeat("x", 1<<16), 5, true},
		"empty":                {"", 5, false},
		"empty, of nothing":    {"", 0, false},
		"one byte of nothing":  {"1", 0, true},
	} {
		for kind, reader := range map[string]func(io.Reader) io.Reader{
			"at once":        func(r io.Reader) io.Reader { return r },
			"byte by byte":   iotest.OneByteReader,
			"with its error": iotest.DataErrReader,
		} {
			t.Run(name+", "+kind, func(t *testing.T) {
				content, err := bounded.ReadAll(reader(strings.NewReader(test.content)), test.limit)
				var tooLarge *bounded.TooLargeError
				if errors.As(err, &tooLarge) != test.tooMuch || !test.tooMuch && (err != nil || string(content) != test.content) {
					t.Errorf("%d bytes, %v", len(content), err)
				}
				if int64(len(content)) > test.limit {
					t.Errorf("%d bytes, the limit is %d", len(content), test.limit)
				}
			})
		}
	}
}

func TestReader(t *testing.T) {
	tooMuch := errors.New("too much")
	r := bounded.NewReader(strings.NewReader("123456"), 5, tooMuch)
	content, err := io.ReadAll(r)
	if string(content) != "12345" || !errors.Is(err, tooMuch) || r.Count() != 6 {
		t.Errorf("%q, %v, %d bytes counted", content, err, r.Count())
	}
	if n, err := r.Read(make([]byte, 1)); n != 0 || !errors.Is(err, tooMuch) {
		t.Errorf("after the failure: %d bytes, %v", n, err)
	}
	broken := errors.New("connection reset")
	if _, err := bounded.ReadAll(iotest.ErrReader(broken), 5); !errors.Is(err, broken) {
		t.Errorf("the inner reader's error became %v", err)
	}
}

func TestSize(t *testing.T) {
	for bytes, want := range map[int64]string{
		7: "7 bytes", 1 << 10: "1 KiB", 1025: "1025 bytes", 3 << 19: "1536 KiB", 1 << 20: "1 MiB", 16 << 20: "16 MiB", 0: "0 bytes",
	} {
		if got := bounded.Size(bytes); got != want {
			t.Errorf("Size(%d) is %q, want %q", bytes, got, want)
		}
	}
}

func FuzzReadAll(f *testing.F) {
	f.Add([]byte("12345"), int64(5))
	f.Add([]byte("123456"), int64(5))
	f.Fuzz(func(t *testing.T, content []byte, limit int64) {
		limit = max(0, limit%1024)
		got, err := bounded.ReadAll(iotest.HalfReader(bytes.NewReader(content)), limit)
		if fits := int64(len(content)) <= limit; fits != (err == nil) || fits && !bytes.Equal(got, content) {
			t.Errorf("%d of %d bytes, limit %d: %v", len(got), len(content), limit, err)
		}
	})
}
