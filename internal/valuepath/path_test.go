package valuepath_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/envladder/envladder/internal/valuepath"
)

func TestParse(t *testing.T) {
	keys := regexp.MustCompile(valuepath.KeysRegexp)
	for text, want := range map[string][]string{
		"a":                {"a"},
		"a.b-c":            {"a", "b-c"},
		"a.0.b":            {"a", "0", "b"},
		`a["x.y/z"].b`:     {"a", "x.y/z", "b"},
		`a["x"]["y"]`:      {"a", "x", "y"},
		`["a\"b"]`:         {`a"b`},
		`a["]["]`:          {"a", "]["},
		"a/b.c":            {"a/b", "c"},
		`a["*"]`:           {"a", "*"},
		"größe.maß":        {"größe", "maß"},
		`a["with\nbreak"]`: {"a", "with\nbreak"},
	} {
		got, err := valuepath.Parse(text)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%q: %v %s", text, err, diff)
		}
		if got, err := valuepath.ParseKeys(text); err != nil || !cmp.Equal(got, want) {
			t.Errorf("keys of %q: %q, %v", text, got, err)
		}
		if !keys.MatchString(text) {
			t.Errorf("%q doesn't match the schema's pattern", text)
		}
		if again, err := valuepath.Parse(valuepath.Format(want)); err != nil || !cmp.Equal(again, want) {
			t.Errorf("%q is formatted as %q, which is read as %q, %v", text, valuepath.Format(want), again, err)
		}
	}
	for _, text := range []string{"", ".", "..", ".a", "a..b", "a.", "a[", "a[x]", `a["`, `a["x"`, "a]", "a.[0]", "a b", "a=b", "a*", "*", `a"b`, "a['b']", "a[-1]", "a[99999999999]", `a["x"]b`, strings.Repeat("a", 601)} {
		if got, err := valuepath.Parse(text); err == nil {
			t.Errorf("%q is the path %q", text, got)
		}
		if len(text) <= valuepath.MaxSize && keys.MatchString(text) {
			t.Errorf("%q matches the schema's pattern", text)
		}
	}
	t.Run("an index is no key", func(t *testing.T) {
		got, err := valuepath.Parse("hosts[0].name")
		if diff := cmp.Diff([]string{"hosts", "0", "name"}, got); err != nil || diff != "" {
			t.Errorf("%v %s", err, diff)
		}
		if _, err := valuepath.ParseKeys("hosts[0].name"); !errors.Is(err, valuepath.ErrIndex) {
			t.Errorf("error %v", err)
		}
	})
}

func TestCut(t *testing.T) {
	for text, want := range map[string][2]string{
		"a=b=c":          {"a", "b=c"},
		"a=":             {"a", ""},
		`a["x=y"].b=z`:   {`a["x=y"].b`, "z"},
		`a["x\"=y"]=z"=`: {`a["x\"=y"]`, `z"=`},
	} {
		path, value, ok := valuepath.Cut(text)
		if got := [2]string{path, value}; !ok || got != want {
			t.Errorf("%s is %q", text, got)
		}
	}
	for _, text := range []string{"", "a", `a["="]`, `a["=`} {
		if path, value, ok := valuepath.Cut(text); ok {
			t.Errorf("%s is %q and %q", text, path, value)
		}
	}
}
