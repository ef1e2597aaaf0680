package printable_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/envladder/envladder/internal/printable"
)

func TestLine(t *testing.T) {
	for text, want := range map[string]string{
		"":                            "",
		"plain – text":                "plain – text",
		"two\nlines\t and\r\n more":   "two lines and more",
		" \n around \u0085 ":          "around",
		"\x1b[31mred":                 "\uFFFD[31mred",
		"right\u202eto left":          "right\uFFFDto left",
		"zero\u200bwidth":             "zero\uFFFDwidth",
		"not \xff UTF-8":              "not \uFFFD UTF-8",
		"C1 \u0085 and \u009b31m.":    "C1 and \uFFFD31m.",
		strings.Repeat("ä", 20):       strings.Repeat("ä", 20),
		strings.Repeat("ä", 20) + " ": strings.Repeat("ä", 20),
		strings.Repeat("ä", 21):       strings.Repeat("ä", 19) + "…",
		strings.Repeat("ä ", 30):      strings.Repeat("ä ", 9) + "ä…",
	} {
		if got := printable.Line(text, 20); got != want {
			t.Errorf("Line(%q) is %q, want %q", text, got, want)
		}
	}
}

func TestLines(t *testing.T) {
	text := "first\r\n\tsecond\u00a0\x1b[31m\u202e\xff\r"
	if got, want := printable.Lines(text), "first\n\tsecond \uFFFD[31m\uFFFD\uFFFD "; got != want {
		t.Errorf("Lines(%q) is %q, want %q", text, got, want)
	}
}

func TestQuote(t *testing.T) {
	if got, want := printable.Quote(strings.Repeat("x", 10), 4), `"xxx…"`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got, want := printable.Quote("a\x1b\"\n\u202e", 100), `"a\x1b\"\n\u202e"`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestCut(t *testing.T) {
	for _, test := range []struct {
		text  string
		limit int
		want  string
	}{
		{"", 0, ""},
		{"abc", 3, "abc"},
		{"abcd", 3, "ab…"},
		{"äöü", 3, "äöü"},
		{"äöüß", 3, "äö…"},
		{"abc", 1, "…"},
	} {
		if got := printable.Cut(test.text, test.limit); got != test.want {
			t.Errorf("Cut(%q, %d) is %q, want %q", test.text, test.limit, got, test.want)
		}
	}
}

func FuzzLine(f *testing.F) {
	f.Add("two\nlines \x1b[31m \u202e \xff", 10)
	f.Fuzz(func(t *testing.T, text string, limit int) {
		limit = max(1, limit%1000)
		line := printable.Line(text, limit)
		if got := utf8.RuneCountInString(line); got > limit {
			t.Errorf("%d characters, at most %d are allowed", got, limit)
		}
		if !utf8.ValidString(line) || strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%q can't be printed", line)
		}
		if again := printable.Line(line, limit); again != line && !strings.HasSuffix(line, "…") {
			t.Errorf("%q becomes %q", line, again)
		}
		for _, r := range printable.Lines(text) {
			if r != '\n' && r != '\t' && !unicode.IsPrint(r) {
				t.Errorf("%q can't be printed", r)
			}
		}
	})
}
