package ladder_test

import (
	"strings"
	"testing"

	"github.com/envladder/envladder/internal/ladder"
)

var pullRequest = map[string]string{
	"number": "17", "headSHA": strings.Repeat("ab", 20), "headShortSHA": "abababab", "branchSlug": "fix-login",
}

func TestTagExecute(t *testing.T) {
	for template, want := range map[string]string{
		"pr-{{.number}}-{{.headShortSHA}}":        "pr-17-abababab",
		"{{ .headSHA }}":                          strings.Repeat("ab", 20),
		"{{- .branchSlug -}}-{{.headSHA}}":        "fix-login-" + strings.Repeat("ab", 20),
		"v1-{{.headShortSHA}}{{/* a comment */}}": "v1-abababab",
	} {
		tag, err := ladder.ParseTag(template)
		if err != nil {
			t.Errorf("%q: %v", template, err)
			continue
		}
		if got, err := tag.Execute(pullRequest); err != nil || got != want {
			t.Errorf("%q gives %q, %v; want %q", template, got, err, want)
		}
	}
}

func TestParseTagRejects(t *testing.T) {
	for template, want := range map[string]string{
		"":                                       "names no commit",
		"latest":                                 "names no commit",
		"{{.branchSlug}}":                        "names no commit",
		"pr-{{.number}}":                         "names no commit, so that pull requests, and pushes to one of them, would share an image: add {{.headSHA}} or {{.headShortSHA}}",
		"pr {{.headSHA}}":                        "which registries reject",
		"-{{.headShortSHA}}":                     "which registries reject",
		"{{.headSHA}}" + strings.Repeat("a", 89): "which registries reject",
		strings.Repeat("a", 513):                 "more than 512 characters",
		"{{.headSHA}}{{.headSHA}}{{.headSHA}}{{.headSHA}}": "which registries reject",
		"{{.branch}}":                  "no field .branch",
		"{{.title":                     "unclosed action",
		"{{.number.x}}":                "text and {{.branchSlug}}, {{.headSHA}}, {{.headShortSHA}}, {{.number}} alone",
		"{{.}}":                        "alone",
		"{{$x := .number}}":            "alone",
		"{{range 1000000000}}a{{end}}": "alone",
		"{{if .number}}a{{end}}":       "alone",
		`{{printf "%1000000000d" 1}}`:  "alone",
		`{{.number | len}}`:            "alone",
		`{{define "x"}}{{end}}v1`:      "alone",
		`{{template "tag"}}`:           "alone",
	} {
		if _, err := ladder.ParseTag(template); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want %q", template, err, want)
		}
	}
}

func FuzzParseTag(f *testing.F) {
	for _, seed := range []string{"pr-{{.number}}-{{.headShortSHA}}", "{{.branchSlug}}", "{{", "{{/*", `{{define "a"}}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, template string) {
		tag, err := ladder.ParseTag(template)
		if err != nil {
			return
		}
		got, err := tag.Execute(pullRequest)
		if err == nil && (got == "" || len(got) > 128) {
			t.Errorf("%q gives %q", template, got)
		}
	})
}

func TestParse(t *testing.T) {
	const document = `apiVersion: envladder.dev/v1alpha1
kind: Ladder
metadata: {name: shop}
spec:
  chart: ../../../charts/service
  layers: [../org/values.yaml, values/common.yaml]
  environments: [{name: dev, layers: [values/dev.yaml]}]
`
	t.Run("names files that aren't there, and folders above", func(t *testing.T) {
		l, err := ladder.Parse("shop.yaml", []byte(document))
		if err != nil {
			t.Fatal(err)
		}
		if l.Metadata.Name != "shop" {
			t.Errorf("it is %q", l.Metadata.Name)
		}
	})
	t.Run("is validated as strictly", func(t *testing.T) {
		for from, to := range map[string]string{
			"kind: Ladder":       "kind: Leader",
			"../org/values.yaml": "/org/values.yaml",
			"{name: dev,":        "{nom: dev,",
			"  chart:":           "  preview: {tag: '{{.branch}}'}\n  chart:",
		} {
			_, err := ladder.Parse("shop.yaml", []byte(strings.Replace(document, from, to, 1)))
			if err == nil || !strings.Contains(err.Error(), "shop.yaml:") {
				t.Errorf("%q: %v", to, err)
			}
		}
		if _, err := ladder.Parse("shop.yaml", nil); err == nil {
			t.Error("an empty document is a ladder")
		}
	})
}
