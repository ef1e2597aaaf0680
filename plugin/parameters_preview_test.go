package plugin

import (
	"strings"
	"testing"
	"testing/fstest"
)

var previewRepository = fstest.MapFS{
	"ladder.yaml": {Data: []byte(`apiVersion: envladder.dev/v1alpha1
kind: Ladder
metadata: {name: shop}
spec:
  chart: chart
  images: [{name: web, repository: registry.example.com/shop/web, valuesPath: image}]
  environments: [{name: dev, pins: pins.yaml}, {name: prod, pins: prod.yaml, preflight: On}]
  preview: {layers: [preview.yaml]}
`)},
	"pins.yaml":         {Data: []byte("images: {web: sha256:" + strings.Repeat("1", 64) + "}\n")},
	"prod.yaml":         {Data: []byte("images: {web: sha256:" + strings.Repeat("2", 64) + "}\n")},
	"preview.yaml":      {Data: []byte("host: preview.example.com\n")},
	"chart/Chart.yaml":  {Data: []byte("apiVersion: v2\nname: c\nversion: 1.0.0\n")},
	"chart/values.yaml": {Data: []byte("host: none\n")},
	"chart/templates/x.yaml": {Data: []byte(`kind: Pod
metadata: {name: "{{ .Release.Name }}"}
spec:
  hostname: {{ .Values.host }}
  containers: [{image: "{{ .Values.image.repository }}@{{ .Values.image.digest }}"}]
`)},
}

var previewDigest = "sha256:" + strings.Repeat("a", 64)

// argo returns a getenv for Argo CD's variables with parameters, a JSON list.
func argo(parameters string) func(string) string {
	variables := map[string]string{envParameters: parameters, envAppName: "shop-pr-7"}
	return func(name string) string { return variables[name] }
}

func generateWith(t *testing.T, parameters string) (string, error) {
	t.Helper()
	request, err := requestFrom(argo(parameters))
	if err != nil {
		return "", err
	}
	request.Repository, request.Dir = previewRepository, "."
	manifests, err := Generate(t.Context(), request)
	var text strings.Builder
	if err == nil {
		err = manifests.Print(&text)
	}
	return text.String(), err
}

func TestPreviewRunsDigestOfParameters(t *testing.T) {
	text, err := generateWith(t, `[{"name":"environment","string":"preview"},{"name":"pullRequest","string":"7"},{"name":"images","map":{"web":"`+previewDigest+`"}}]`)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"registry.example.com/shop/web@" + previewDigest, "hostname: preview.example.com",
		"envladder.dev/environment: pr-7", "envladder.dev/ladder: shop",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

func TestPreviewParametersAreRejectedElsewhere(t *testing.T) {
	image := `{"name":"images","map":{"web":"` + previewDigest + `"}}`
	for name, test := range map[string]struct{ parameters, want string }{
		"digest for prod":       {`[{"name":"environment","string":"prod"},` + image + `]`, `are for environment preview: what "prod" runs is in its pins`},
		"pull request for prod": {`[{"name":"environment","string":"prod"},{"name":"pullRequest","string":"7"}]`, `are for environment preview`},
		"no pull request":       {`[{"name":"environment","string":"preview"},` + image + `]`, `parameter pullRequest is "": environment preview wants the number`},
		"unusual number":        {`[{"name":"environment","string":"preview"},{"name":"pullRequest","string":"+7"},` + image + `]`, `parameter pullRequest is "+7"`},
		"no images":             {`[{"name":"environment","string":"preview"},{"name":"pullRequest","string":"7"}]`, `image "web" has no digest`},
		"tag":                   {`[{"name":"environment","string":"preview"},{"name":"pullRequest","string":"7"},{"name":"images","map":{"web":"pr-7"}}]`, `want a digest`},
		"target":                {`[{"name":"environment","string":"preview"},{"name":"target","string":"eu"}]`, `preview has no targets`},
		"string as images":      {`[{"name":"images","string":"web"}]`, `parameter "images" must be a map`},
		"name of a preview":     {`[{"name":"environment","string":"pr-7"}]`, `choosing environment "pr-7": ladder "shop" has dev, prod, preview`},
	} {
		t.Run(name, func(t *testing.T) {
			if text, err := generateWith(t, test.parameters); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q; rendered:\n%s", err, test.want, text)
			}
		})
	}
}

func TestPreflightObjectComesFirst(t *testing.T) {
	text, err := generateWith(t, `[{"name":"environment","string":"prod"}]`)
	if err != nil {
		t.Fatal(err)
	}
	_, hooks, ok := strings.Cut(text, "# Source: envladder/preflight\n")
	if !ok || !strings.Contains(hooks, "kind: PodTemplate") || !strings.Contains(hooks, "shop/web@sha256:2222") || !strings.Contains(hooks, "envladder.dev/environment: prod") {
		t.Errorf("no stamped preflight object with the image in\n%s", text)
	}
	text, err = generateWith(t, `[{"name":"environment","string":"dev"}]`)
	if err != nil || strings.Contains(text, "PodTemplate") {
		t.Errorf("dev has a preflight object without preflight: On (%v):\n%s", err, text)
	}
}
