package plugin

import (
	"maps"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/envladder/envladder/internal/chart"
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

// valued is a repository whose ladder lets parameters set replicaCount in dev only.
var valued = fstest.MapFS{
	"ladder.yaml": {Data: []byte(`apiVersion: envladder.dev/v1alpha1
kind: Ladder
metadata: {name: shop}
spec:
  chart: chart
  layers: [values.yaml]
  overrides: [replicaCount]
  environments: [{name: dev}, {name: prod, overrides: []}, {name: odd, layers: [odd.yaml]}, {name: other, layers: [other.yaml]}]
`)},
	"values.yaml":                         {Data: []byte("replicaCount: 1\nsub: {port: 80}\n")},
	"odd.yaml":                            {Data: []byte("replicaCount: many\nsub:\n  port: 0\nextra: hunter2\n")},
	"other.yaml":                          {Data: []byte("replicaCount: {min: 1}\n")},
	"chart/Chart.yaml":                    {Data: []byte("apiVersion: v2\nname: c\nversion: 1.0.0\n")},
	"chart/values.yaml":                   {Data: []byte("# defaults\nreplicaCount: 1\n")},
	"chart/values.schema.json":            {Data: []byte(`{"properties": {"replicaCount": {"type": "integer"}, "sub": {}, "global": {}}, "additionalProperties": false}`)},
	"chart/charts/sub/Chart.yaml":         {Data: []byte("apiVersion: v2\nname: sub\nversion: 1.0.0\n")},
	"chart/charts/sub/values.schema.json": {Data: []byte(`{"properties": {"port": {"minimum": 1}}}`)},
	"chart/templates/x.yaml":              {Data: []byte("kind: Pod\nmetadata: {name: x}\nreplicas: {{ .Values.replicaCount }}\n")},
}

func generateValued(t *testing.T, parameters string) (string, error) {
	t.Helper()
	request, err := requestFrom(argo(parameters))
	if err != nil {
		return "", err
	}
	request.Repository, request.Dir = valued, "."
	manifests, err := Generate(t.Context(), request)
	var text strings.Builder
	if err == nil {
		err = manifests.Print(&text)
	}
	return text.String(), err
}

func TestParametersSetAllowedValues(t *testing.T) {
	text, err := generateValued(t, `[{"name":"environment","string":"dev"},{"name":"values","map":{"replicaCount":"3"}}]`)
	if err != nil || !strings.Contains(text, "replicas: 3\n") {
		t.Errorf("error %v, got:\n%s", err, text)
	}
	for parameters, want := range map[string]string{
		`[{"name":"environment","string":"dev"},{"name":"values","map":{"sub.port":"3"}}]`:      `parameter values: overriding the value "sub.port": ladder "shop" lets parameters set replicaCount in environment "dev"`,
		`[{"name":"environment","string":"prod"},{"name":"values","map":{"replicaCount":"3"}}]`: `lets parameters set nothing in environment "prod"`,
		`[{"name":"environment","string":"dev"},{"name":"values","string":"replicaCount"}]`:     `parameter "values" must be a map`,
		`[{"name":"environment","string":"dev"},{"name":"values","map":{"replicaCount":"x"}}]`:  `- at "/replicaCount": is of type string, want integer (the schema's /properties/replicaCount/type); it comes from the Application's parameter values (parameter)`,
	} {
		if _, err := generateValued(t, parameters); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s:\nerror %v\nwant %s", parameters, err, want)
		}
	}
}

// Templates get the same numbers as with Argo CD's helm.parameters, also through a worker's
// JSON.
func TestParametersAreParsedLikeHelm(t *testing.T) {
	repository := maps.Clone(valued)
	repository["chart/values.schema.json"] = &fstest.MapFile{Data: []byte("{}")}
	repository["ladder.yaml"] = &fstest.MapFile{Data: []byte(strings.Replace(string(valued["ladder.yaml"].Data), "overrides: [replicaCount]", "overrides: ['notes.**']", 1))}
	repository["chart/templates/x.yaml"] = &fstest.MapFile{Data: []byte("kind: Pod\nmetadata: {name: x}\nnotes:\n{{ range $k, $v := .Values.notes }}  {{ $k }}: {{ $v | quote }} # {{ kindOf $v }}\n{{ end }}")}
	request, err := requestFrom(argo(`[{"name":"environment","string":"dev"},
		{"name":"values","map":{"notes.sha":"4651090","notes.version":"1.10","notes[\"example.com/on\"]":"on"}},
		{"name":"stringValues","map":{"notes.zip":"20261130"}}]`))
	if err != nil {
		t.Fatal(err)
	}
	request.Repository, request.Dir = repository, "."
	found, err := request.resolve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := found.options.Encode()
	if err != nil {
		t.Fatal(err)
	}
	options, err := chart.DecodeRenderOptions(encoded)
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := found.source.Load()
	if err != nil {
		t.Fatal(err)
	}
	manifests, err := loaded.Render(chart.RenderOptions{Values: options.Values, Release: options.Release})
	if err != nil {
		t.Fatal(err)
	}
	const want = `  example.com/on: "on" # string
  sha: "4651090" # int64
  version: "1.10" # string
  zip: "20261130" # string
`
	if got := manifests[0].String(); !strings.Contains(got, want) {
		t.Errorf("got:\n%s\nwant it to have:\n%s", got, want)
	}
}

func TestSchemaErrorNamesLayer(t *testing.T) {
	_, err := generateValued(t, `[{"name":"environment","string":"odd"}]`)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		`- at "/replicaCount": is of type string, want integer (the schema's /properties/replicaCount/type); it comes from odd.yaml:1:1 (environment odd)`,
		`- at "": has a property that isn't allowed: extra (the schema's /additionalProperties); it comes from odd.yaml:4:1 (environment odd)`,
		`- at "/port": doesn't match (the schema's /properties/port/minimum); it comes from odd.yaml:3:3 (environment odd)`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %s:\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("error shows a value:\n%v", err)
	}
}

func TestTypeConflictIsRejected(t *testing.T) {
	_, err := generateValued(t, `[{"name":"environment","string":"other"}]`)
	const want = "other.yaml:1:1: replicaCount: is a mapping, and values.yaml:1:1 (layers) has a number there: use the same type, or set it to null in a layer in between"
	if err == nil || err.Error() != want {
		t.Errorf("error %v\nwant  %s", err, want)
	}
}
