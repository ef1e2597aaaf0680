package chart

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	helm "helm.sh/helm/v3/pkg/chart"
)

// schemaURL is the name under which a chart's schema is compiled, as Helm does it.
const schemaURL = "file:///values.schema.json"

// checkSchemas validates values against the values.schema.json of a chart and of its
// dependencies. Helm's own check would follow a `$ref` to any file and any server; this
// one follows none that leaves the document.
func checkSchemas(c *helm.Chart, values map[string]any) error {
	var errs []error
	if c.Schema != nil {
		if err := checkSchema(c.Schema, values); err != nil {
			errs = append(errs, fmt.Errorf("values don't fit values.schema.json of chart %q: %w", c.Name(), err))
		}
	}
	for _, child := range c.Dependencies() {
		childValues, _ := values[child.Name()].(map[string]any)
		errs = append(errs, checkSchemas(child, childValues))
	}
	return errors.Join(errs...)
}

func checkSchema(schema []byte, values map[string]any) error {
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		return fmt.Errorf("parsing it: %w", err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.UseLoader(noLoader{})
	if err := compiler.AddResource(schemaURL, document); err != nil {
		return fmt.Errorf("parsing it: %w", err)
	}
	compiled, err := compiler.Compile(schemaURL)
	if err != nil {
		return fmt.Errorf("compiling it: %w", err)
	}
	if err := compiled.Validate(values); err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), "jsonschema validation failed with '"+schemaURL+"#'\n"))
	}
	return nil
}

// noLoader refuses whatever a schema refers to outside itself.
type noLoader struct{}

func (noLoader) Load(url string) (any, error) {
	return nil, fmt.Errorf("it refers to %q: a render reads no files and no network, put the definition into the schema", url)
}
