package plugin_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/envladder/envladder/plugin/archive"
)

// The worker reports the error, and its parent adds the layer that the value comes from.
func TestWorkerErrorsNameLayer(t *testing.T) {
	root := t.TempDir()
	for name, content := range map[string]string{
		app + "/ladder.yaml":              "apiVersion: envladder.dev/v1alpha1\nkind: Ladder\nmetadata: {name: shop}\nspec:\n  chart: chart\n  layers: [values.yaml]\n  environments: [{name: kinds, layers: [kinds.yaml]}, {name: schema, layers: [schema.yaml]}, {name: meant, layers: [meant.yaml]}]\n",
		app + "/values.yaml":              "other: 12345678\n",
		app + "/kinds.yaml":               "\nsub: {port: {http: 80}}\n",
		app + "/schema.yaml":              "\n\nreplicas: many\n",
		app + "/meant.yaml":               "sub: null\n",
		app + "/chart/Chart.yaml":         "apiVersion: v2\nname: c\nversion: 1.0.0\n",
		app + "/chart/values.yaml":        "replicas: 1\nsub: {port: 80}\n",
		app + "/chart/values.schema.json": `{"properties": {"replicas": {"type": "integer"}}}`,
		app + "/chart/templates/x.yaml":   "kind: ConfigMap\nmetadata: {name: x}\ndata: {sub: {{ toJson .Values.sub | quote }}, other: {{ .Values.other | quote }}}\n",
	} {
		writeFile(t, filepath.Join(root, name), content)
	}
	s := serve(t, archive.DefaultLimits)
	for environment, want := range map[string]string{
		"kinds":  `gitops/shop/kinds.yaml:2:7: sub.port: is a mapping, and gitops/shop/chart/values.yaml:2:7 (chart) has a number there: use the same type, or set it to null in an earlier layer`,
		"schema": `- at "/replicas": is of type string, want integer (the schema's /properties/replicas/type); it comes from gitops/shop/schema.yaml:3:1 (environment schema)`,
	} {
		_, err := s.generate(t, root, app, argoEnv(`[{"name":"environment","string":"`+environment+`"}]`)...)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("environment %s: error %v\nwant %s", environment, err, want)
		}
	}
	got, err := s.generate(t, root, app, argoEnv(`[{"name":"environment","string":"meant"}]`)...)
	if err != nil || len(got) != 1 || !strings.Contains(got[0], `{sub: "null", other: "1.2345678e+07"}`) {
		t.Errorf("error %v, got %v", err, got)
	}
}
