package scm

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func shorten(t *testing.T, document string, wrap func(io.Reader) io.Reader) string {
	t.Helper()
	short, err := io.ReadAll(&shortened{inner: io.NopCloser(wrap(strings.NewReader(document)))})
	if err != nil {
		t.Fatal(err)
	}
	return string(short)
}

func whole(r io.Reader) io.Reader { return r }

func TestShortened(t *testing.T) {
	long := maxString + 1000
	for name, c := range map[string]struct{ document, want string }{
		"a short document is left alone": {`{"a": ["b", "\"", "\\", "\u00e4"]}`, `{"a": ["b", "\"", "\\", "\u00e4"]}`},
		"a long text is cut, and what follows stays": {
			`{"body": "` + strings.Repeat("x", long) + `", "number": 1}`, `{"body": "` + strings.Repeat("x", maxString) + `", "number": 1}`,
		},
		"a quote in what is cut doesn't end it": {
			`["` + strings.Repeat("x", maxString) + strings.Repeat(`\"`, 500) + `", 1]`, `["` + strings.Repeat("x", maxString) + `", 1]`,
		},
		"a backslash at its end is no escape of the quote": {
			`["` + strings.Repeat("x", maxString) + `\\", 1]`, `["` + strings.Repeat("x", maxString) + `", 1]`,
		},
		"escape sequence is retained whole": {
			`["` + strings.Repeat("x", maxString-1) + `\u00e4yy"]`, `["` + strings.Repeat("x", maxString-1) + `\u00e4"]`,
		},
		"one of a u is no other": {`["\\u"]`, `["\\u"]`},
		"character is retained whole": {
			`["` + strings.Repeat("x", maxString-1) + `😀y"]`, `["` + strings.Repeat("x", maxString-1) + `😀"]`,
		},
		"a text that doesn't end stays broken": {`["` + strings.Repeat("x", long), `["` + strings.Repeat("x", maxString)},
	} {
		t.Run(name, func(t *testing.T) {
			for _, wrap := range []func(io.Reader) io.Reader{whole, iotest.OneByteReader, iotest.HalfReader} {
				if got := shorten(t, c.document, wrap); got != c.want {
					t.Errorf("%d bytes, want %d", len(got), len(c.want))
				}
			}
		})
	}
}

// FuzzShortened holds that valid JSON stays valid JSON, and that a string is what it was
// or the beginning of it.
func FuzzShortened(f *testing.F) {
	for _, seed := range []string{`{"a": "b\\"}`, `["\ud83d\ude00", "😀"]`, `"\u00e4\n\""`, `[1, null, {"x": []}]`} {
		f.Add(seed, 0)
		f.Add(seed, maxString)
	}
	f.Fuzz(func(t *testing.T, document string, padding int) {
		if padding < 0 || padding > 2*maxString || !json.Valid([]byte(document)) || !utf8.ValidString(document) {
			return
		}
		document = `[` + document + `, "` + strings.Repeat("x", padding) + strings.Trim(document, `"[]{}`) + `"]`
		if !json.Valid([]byte(document)) {
			return
		}
		short := shorten(t, document, iotest.HalfReader)
		var before, after any
		if err := json.Unmarshal([]byte(document), &before); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(short), &after); err != nil {
			t.Fatalf("%v of %q", err, short)
		}
		if !cmp.Equal(before, after, cmp.Comparer(isBeginning)) {
			t.Errorf("%q became %q", document, short)
		}
	})
}

// isBeginning compares strings of documents; half of a surrogate pair becomes U+FFFD.
func isBeginning(a, b string) bool {
	if len(a) < len(b) {
		a, b = b, a
	}
	return strings.HasPrefix(a, strings.TrimSuffix(b, "�"))
}

func TestShortenedUsesNoMemoryForEndlessText(t *testing.T) {
	text := io.MultiReader(strings.NewReader(`["`), io.LimitReader(xs{}, 64<<20), strings.NewReader(`"]`))
	var out bytes.Buffer
	if _, err := io.Copy(&out, &shortened{inner: io.NopCloser(text)}); err != nil {
		t.Fatal(err)
	}
	if out.Len() != maxString+4 {
		t.Errorf("%d bytes are retained", out.Len())
	}
}

type xs struct{}

func (xs) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}
