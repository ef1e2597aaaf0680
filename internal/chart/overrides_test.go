package chart_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v3/pkg/strvals"

	"github.com/envladder/envladder/internal/chart"
)

// Each text is read as Argo CD's helm.parameters read it, which is as Helm does.
func TestParseOverridesMatchesHelmSet(t *testing.T) {
	for text, want := range map[string]any{
		"20261130":             int64(20261130),
		"4651090":              int64(4651090),
		"9007199254740993":     int64(9007199254740993),
		"0":                    int64(0),
		"-3":                   int64(-3),
		"1.10":                 "1.10",
		"007":                  "007",
		"1e3":                  "1e3",
		"0x1F":                 "0x1F",
		"1_000":                "1_000",
		"yes":                  "yes",
		"on":                   "on",
		"true":                 true,
		"False":                false,
		"":                     "",
		`"3"`:                  `"3"`,
		"a: b":                 "a: b",
		"a=b":                  "a=b",
		"!!binary x":           "!!binary x",
		`a\,b`:                 "a,b",
		"eu.example.com":       "eu.example.com",
		"{a,b}":                []any{"a", "b"},
		"{1,true}":             []any{int64(1), true},
		"99999999999999999999": "99999999999999999999",
	} {
		got, err := chart.ParseOverrides(map[string]string{"a.b": text}, nil)
		if diff := cmp.Diff(map[string]any{"a.b": want}, got); err != nil || diff != "" {
			t.Errorf("%q: error %v (-want +got):\n%s", text, err, diff)
		}
		helms, err := strvals.Parse("v=" + text)
		if diff := cmp.Diff(map[string]any{"v": want}, helms); err != nil || diff != "" {
			t.Errorf("Helm reads %q otherwise: %v\n%s", text, err, diff)
		}
	}
	got, err := chart.ParseOverrides(map[string]string{"list": "a,b,c"}, map[string]string{"tag": "20261130", "flag": "true", "x": `a,\b`})
	want := map[string]any{"list": "a,b,c", "tag": "20261130", "flag": "true", "x": `a,\b`}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("error %v (-want +got):\n%s", err, diff)
	}
}

func TestParseOverridesRejects(t *testing.T) {
	const hidden = "hunter2"
	for name, test := range map[string]struct {
		values, texts map[string]string
		want          string
	}{
		"null":                  {map[string]string{"a": "null"}, nil, `overriding the value "a": it is null`},
		"a list with more":      {map[string]string{"a": "{" + hidden + "},b}"}, nil, "helm --set can't read it"},
		"much text":             {map[string]string{"a": strings.Repeat(hidden, 1000)}, nil, "more than 4096 bytes"},
		"much text as a string": {nil, map[string]string{"a": strings.Repeat(hidden, 1000)}, "more than 4096 bytes"},
		"one path twice":        {map[string]string{"a": hidden}, map[string]string{"a": hidden}, "as a value and as a string"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := chart.ParseOverrides(test.values, test.texts)
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), hidden) {
				t.Errorf("error %v, want one with %q and without the value", err, test.want)
			}
		})
	}
}

// A worker process gets the recipe as JSON, which has one kind of number.
func TestRenderOptionsEncodeDistinguishesNumbers(t *testing.T) {
	values := map[string]any{
		"whole": int64(20261130), "large": int64(9007199254740993), "float": 20261130.0, "part": 0.1, "one": 1.0, "tiny": 5e-324,
		"in": map[string]any{"list": []any{int64(1), 1.0, "1", nil, true}}, "none": map[string]any{}, "empty": []any{},
	}
	before := maps.Clone(values)
	encoded, err := chart.RenderOptions{Values: values}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	decoded, err := chart.DecodeRenderOptions(encoded)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, decoded.Values); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(before, values); diff != "" {
		t.Errorf("encoding changed the values:\n%s", diff)
	}
	again, err := decoded.Encode()
	if err != nil || string(again) != string(encoded) {
		t.Errorf("encoded again it is %s, %v\nbefore %s", again, err, encoded)
	}
}
