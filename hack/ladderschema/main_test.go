package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/envladder/envladder/internal/ladder"
)

const (
	committed = "../../schemas"
	example   = "../../examples/shop/gitops/shop"
)

func TestSchemasAreCurrent(t *testing.T) {
	schemas, err := generate()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range schemas {
		got, err := os.ReadFile(filepath.Join(committed, name))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s isn't current: run go generate ./hack/ladderschema (-generated +committed):\n%s", name, diff)
		}
	}
}

func TestSchemasAcceptExamples(t *testing.T) {
	validate(t, compile(t, "ladder.schema.json"), filepath.Join(example, ladder.FileName))
	pins, err := filepath.Glob(filepath.Join(example, "pins", "*.yaml"))
	if err != nil || len(pins) == 0 {
		t.Fatalf("found %d pins: %v", len(pins), err)
	}
	schema := compile(t, "pins.schema.json")
	for _, file := range pins {
		validate(t, schema, file)
	}
}

// validate checks a file against a schema.
func validate(t *testing.T, schema *jsonschema.Schema, file string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(decode(t, data)); err != nil {
		t.Errorf("%s: %v", file, err)
	}
}

// TestSchemaMatchesParser checks that the schema and the parser accept and reject the same
// documents, as far as a schema can express the rules.
func TestSchemaMatchesParser(t *testing.T) {
	const head = "apiVersion: envladder.dev/v1alpha1\nkind: Ladder\nmetadata: {name: shop}\n"
	schema := compile(t, "ladder.schema.json")
	for name, test := range map[string]struct {
		in    string
		valid bool
	}{
		"minimum":                     {head + "spec: {chart: c, environments: [{name: dev}]}", true},
		"stamps are off":              {head + "spec: {chart: c, stamps: Off, environments: [{name: dev}]}", true},
		"another kind":                {"apiVersion: envladder.dev/v1alpha1\nkind: Gate\nmetadata: {name: shop}\nspec: {chart: c, environments: [{name: dev}]}", false},
		"an unknown field":            {head + "spec: {chart: c, environments: [{name: dev, promote: a}]}", false},
		"no chart":                    {head + "spec: {environments: [{name: dev}]}", false},
		"no environments":             {head + "spec: {chart: c, environments: []}", false},
		"unknown enum value":          {head + "spec: {chart: c, environments: [{name: dev, data: real}]}", false},
		"invalid name":                {head + "spec: {chart: c, environments: [{name: DEV}]}", false},
		"a wrong type":                {head + "spec: {chart: c, layers: a, environments: [{name: dev}]}", false},
		"an empty string":             {head + "spec: {chart: c, layers: [''], environments: [{name: dev}]}", false},
		"a null":                      {head + "spec: {chart: c, layers: , environments: [{name: dev}]}", false},
		"maximum layers":              {head + "spec: {chart: c, environments: [{name: dev}], layers: " + layers(100) + "}", true},
		"too many layers":             {head + "spec: {chart: c, environments: [{name: dev}], layers: " + layers(101) + "}", false},
		"a layer as a mapping":        {head + "spec: {chart: c, environments: [{name: dev, layers: [{path: a.yaml, optional: true}, b.yaml]}]}", true},
		"an unknown field of a layer": {head + "spec: {chart: c, environments: [{name: dev}], layers: [{path: a.yaml, optinal: true}]}", false},
		"a layer without a path":      {head + "spec: {chart: c, environments: [{name: dev}], layers: [{optional: true}]}", false},
		"an image's templates":        {head + "spec: {chart: c, environments: [{name: dev}], images: [{name: web, repository: a.io/b, set: {image: '{{.Digest}}'}}]}", true},
		"an empty template":           {head + "spec: {chart: c, environments: [{name: dev}], images: [{name: web, repository: a.io/b, valuesPath: a, set: {image: ''}}]}", false},
		"overrides":                   {head + "spec: {chart: c, overrides: [a], environments: [{name: dev, overrides: []}], preview: {overrides: [b.**]}}", true},
		"zero previews":               {head + "spec: {chart: c, environments: [{name: dev}], preview: {max: 0}}", false},
	} {
		t.Run(name, func(t *testing.T) {
			inEditor := schema.Validate(decode(t, []byte(test.in)))
			_, inParser := ladder.Open(fstest.MapFS{"ladder.yaml": {Data: []byte(test.in)}}, ".")
			if (inEditor == nil) != test.valid {
				t.Errorf("schema: %v", inEditor)
			}
			if (inParser == nil) != test.valid {
				t.Errorf("parser: %v", inParser)
			}
		})
	}
}

// layers returns a list of n layers.
func layers(n int) string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("values/%d.yaml", i)
	}
	return "[" + strings.Join(names, ", ") + "]"
}

// compile compiles a committed schema.
func compile(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(committed, name))
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource(name, document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile(name)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// decode parses YAML.
func decode(t *testing.T, data []byte) any {
	t.Helper()
	var document any
	if err := yaml.Unmarshal(data, &document); err != nil {
		t.Fatal(err)
	}
	return document
}
