package valuepath_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/envladder/envladder/internal/valuepath"
)

func TestPatternMatches(t *testing.T) {
	schema := regexp.MustCompile(valuepath.PatternRegexp)
	for _, test := range []struct {
		pattern, path string
		match, inside bool
	}{
		{"a", "a", true, false},
		{"a", "a.b", false, false},
		{"a.b", "a", false, true},
		{"a.*", "a.b", true, false},
		{"a.*", "a", false, true},
		{"a.*", "a.b.c", false, false},
		{"a.**", "a.b.c", true, false},
		{"a.**", "a", false, true},
		{"*.b", "a.b", true, false},
		{"a.*.c", "a.b.c", true, false},
		{"a[0].c", "a.0.c", true, false},
		{`a["x.y/z"]`, `a["x.y/z"]`, true, false},
		{`a["x.y/z"]`, "a.x.y/z", false, false},
		{`a["*"]`, "a.b", false, false},
		{`a["*"]`, `a["*"]`, true, false},
		{`a["**"]`, "a.b.c", false, false},
		{`a["x.y"].**`, `a["x.y"].z`, true, false},
	} {
		pattern, err := valuepath.ParsePattern(test.pattern)
		if err != nil {
			t.Fatal(test.pattern, err)
		}
		path, err := valuepath.Parse(test.path)
		if err != nil {
			t.Fatal(test.path, err)
		}
		if match, inside := pattern.Match(path), pattern.MatchInside(path); match != test.match || inside != test.inside {
			t.Errorf("%s with %s: match %v, inside %v", test.pattern, test.path, match, inside)
		}
		if !schema.MatchString(test.pattern) {
			t.Errorf("%s doesn't match the schema's pattern", test.pattern)
		}
	}
}

func TestParsePattern(t *testing.T) {
	for pattern, want := range map[string]string{
		"":         "isn't a path",
		"a..b":     "isn't a path",
		".a":       "isn't a path",
		"**":       "matches everything",
		"a.**.b":   "** before its end",
		"**.a":     "** before its end",
		"a.b*":     "* within a key",
		"a.*b":     "* within a key",
		"a.***":    "* within a key",
		"a.x y":    "isn't a path",
		`a["x.y"`:  "isn't a path",
		"a['x.y']": "isn't a path",
	} {
		if _, err := valuepath.ParsePattern(pattern); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %s", pattern, err, want)
		}
	}
}

func TestPatternsMatchPath(t *testing.T) {
	patterns := valuepath.ParsePatterns([]string{"a.*", `b["x.y"]`, "c.**", "not a pattern"})
	if len(patterns) != 3 {
		t.Errorf("there are %d patterns", len(patterns))
	}
	if !patterns.Contains([]string{"b", "x.y"}) || patterns.Contains([]string{"a", "x"}) || patterns.Contains([]string{"c", "x"}) || patterns.Contains([]string{"b"}) {
		t.Error("a pattern with stars names a path, or one without doesn't")
	}
}
