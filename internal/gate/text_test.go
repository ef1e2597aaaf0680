package gate

import (
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		24 * time.Hour:                        "24h",
		6*time.Hour + 12*time.Minute:          "6h12m",
		time.Hour + 5*time.Second:             "1h5s",
		90 * time.Second:                      "1m30s",
		time.Second + 999*time.Millisecond:    "1s",
		0:                                     "0s",
		1500 * time.Microsecond:               "1.5ms",
		-90 * time.Second:                     "-1m30s",
		720 * time.Hour:                       "720h",
		time.Duration(math.MinInt64):          "-2562047h47m16s",
		time.Duration(math.MaxInt64):          "2562047h47m16s",
		24*time.Hour + 500*time.Millisecond/2: "24h",
	} {
		if got := span(d); got != want {
			t.Errorf("span(%d) is %q, want %q", d, got, want)
		}
	}
}

func TestClean(t *testing.T) {
	for text, want := range map[string]string{
		"":                         "",
		"plain – text":             "plain – text",
		"two\nlines\tand\rmore":    "two lines and more",
		"\x1b[31mred":              "\uFFFD[31mred",
		"right\u202eto left":       "right\uFFFDto left",
		"zero\u200bwidth":          "zero\uFFFDwidth",
		"not \xff UTF-8":           "not \uFFFD UTF-8",
		strings.Repeat("ä", 30):    strings.Repeat("ä", 20) + "…",
		"C1 \u0085 and \u009b31m.": "C1   and \uFFFD31m.",
	} {
		got := Clean(text, 20)
		if got != want {
			t.Errorf("Clean(%q) is %q, want %q", text, got, want)
		}
		if !utf8.ValidString(got) {
			t.Errorf("Clean(%q) isn't UTF-8", text)
		}
	}
}

func TestQuoteIsBounded(t *testing.T) {
	if got := quote(strings.Repeat("x", 10*maxName)); len(got) > maxName+len(`"…"`) {
		t.Errorf("%d bytes", len(got))
	}
	if got, want := quote("a\x1b\"\n"), `"a\x1b\"\n"`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
