package chart

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
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
			errs = append(errs, fmt.Errorf("values don't fit values.schema.json of chart %q:\n%w", c.Name(), err))
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
	err = compiled.Validate(values)
	var invalid *jsonschema.ValidationError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &invalid):
		return errors.New(strings.Join(describe(invalid), "\n"))
	default:
		return errors.New("they can't be validated") // the cause would quote them
	}
}

// describe says what is wrong where, in lines, each with the rule of the schema that
// is broken. The validator's own messages quote values, which may be secrets, as "'x'
// does not match pattern"; here are places, names and types only.
func describe(invalid *jsonschema.ValidationError) []string {
	if len(invalid.Causes) > 0 {
		var lines []string
		for _, cause := range invalid.Causes {
			lines = append(lines, describe(cause)...)
		}
		return lines
	}
	_, rule, _ := strings.Cut(invalid.SchemaURL, "#")
	rule += pointer(invalid.ErrorKind.KeywordPath())
	return []string{fmt.Sprintf("- at %q: %s (the schema's %s)", pointer(invalid.InstanceLocation), fault(invalid.ErrorKind), rule)}
}

func fault(broken jsonschema.ErrorKind) string {
	switch broken := broken.(type) {
	case *kind.Required:
		return "lacks " + strings.Join(broken.Missing, ", ")
	case *kind.AdditionalProperties:
		return "has what isn't allowed here: " + strings.Join(broken.Properties, ", ")
	case *kind.Type:
		return fmt.Sprintf("is of type %s, want %s", broken.Got, strings.Join(broken.Want, " or "))
	default:
		return "doesn't fit"
	}
}

// pointer is a JSON pointer.
func pointer(elements []string) string {
	var b strings.Builder
	for _, element := range elements {
		b.WriteString("/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(element))
	}
	return b.String()
}

// noLoader refuses whatever a schema refers to outside itself.
type noLoader struct{}

func (noLoader) Load(url string) (any, error) {
	return nil, fmt.Errorf("it refers to %q: a render reads no files and no network, put the definition into the schema", url)
}
