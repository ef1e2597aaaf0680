package chart

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	helm "helm.sh/helm/v3/pkg/chart"

	"github.com/envladder/envladder/internal/layers"
	"github.com/envladder/envladder/internal/valuepath"
)

// schemaURL is the name under which a chart's schema is compiled, as in Helm.
const schemaURL = "file:///values.schema.json"

// SchemaError reports values that don't match the values.schema.json of charts. It is plain
// data, so that it can be sent to another process.
type SchemaError struct {
	Charts []SchemaViolations `json:"charts"`
}

// SchemaViolations are the violations of one chart's schema.
type SchemaViolations struct {
	// Chart is its name.
	Chart string `json:"chart"`
	// Prefix is the path of a subchart's values.
	Prefix []string `json:"prefix,omitempty"`
	// Cause is set where the schema can't be used; there are no Violations then.
	Cause      string      `json:"cause,omitempty"`
	Violations []Violation `json:"violations,omitempty"`
}

// Path returns the path of a violation in the values of the chart that is rendered.
func (c SchemaViolations) Path(v Violation) []string {
	if v.Part != nil {
		return slices.Concat(c.Prefix, v.Part)
	}
	return slices.Concat(c.Prefix, v.At)
}

// Violation is a value that violates a rule.
type Violation struct {
	// At is the path in the chart's own values; indexes of lists are decimal.
	At []string `json:"at"`
	// Part is the path of the part of the value that is wrong, if it is only a part.
	Part []string `json:"part,omitempty"`
	// Message describes what is wrong, without values.
	Message string `json:"message"`
	// Origin describes where the value comes from; set by Explain.
	Origin string `json:"origin,omitempty"`
}

// Error returns a line for each violation.
func (e *SchemaError) Error() string {
	var b strings.Builder
	for i, violated := range e.Charts {
		if i > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "values don't match values.schema.json of chart %q:\n%s", violated.Chart, violated.Cause)
		for j, violation := range violated.Violations {
			if j > 0 {
				b.WriteString("\n")
			}
			fmt.Fprintf(&b, "- at %q: %s", jsonPointer(violation.At), violation.Message)
			if violation.Origin != "" {
				b.WriteString("; it comes from " + violation.Origin)
			}
		}
	}
	return b.String()
}

// Explain returns a SchemaError or a layers.TypeConflictError with where the values come from, and
// other errors as they are.
func Explain(err error, merged *layers.Merged) error {
	if kinds, ok := errors.AsType[*layers.TypeConflictError](err); ok {
		return merged.Explain(kinds)
	}
	invalid, ok := errors.AsType[*SchemaError](err)
	if !ok {
		return err
	}
	explained := &SchemaError{Charts: slices.Clone(invalid.Charts)}
	for i, violated := range explained.Charts {
		violations := slices.Clone(violated.Violations)
		for j, violation := range violations {
			violations[j].Origin, _ = merged.Location(violated.Path(violation))
		}
		explained.Charts[i].Violations = violations
	}
	return explained
}

// schemas caches the compiled schemas of a chart and of its dependencies: compiling one
// takes as long as rendering a small chart.
type schemas struct {
	mu       sync.Mutex
	compiled map[string]compiled // by the schema's text
}

type compiled struct {
	schema *jsonschema.Schema
	err    error
}

// check validates values against the values.schema.json of a chart and of its
// dependencies. It follows no `$ref` out of the document, where Helm's own check would read
// any file and query any server. The error is a *SchemaError.
func (s *schemas) check(c *helm.Chart, values map[string]any) error {
	if violated := s.validateTree(c, values, nil); len(violated) > 0 {
		return &SchemaError{Charts: violated}
	}
	return nil
}

// validateTree validates the values of a chart and of its dependencies, which are at prefix.
func (s *schemas) validateTree(c *helm.Chart, values map[string]any, prefix []string) []SchemaViolations {
	var all []SchemaViolations
	if c.Schema != nil {
		violated := SchemaViolations{Chart: c.Name(), Prefix: prefix}
		violations, err := s.validate(c.Schema, values)
		if err != nil {
			violated.Cause = err.Error()
		}
		violated.Violations = violations
		if err != nil || len(violations) > 0 {
			all = append(all, violated)
		}
	}
	for _, child := range c.Dependencies() {
		childValues, _ := values[child.Name()].(map[string]any)
		all = append(all, s.validateTree(child, childValues, append(slices.Clone(prefix), child.Name()))...)
	}
	return all
}

// validate validates values against one schema.
func (s *schemas) validate(schema []byte, values map[string]any) ([]Violation, error) {
	compiled, err := s.compiledSchema(schema)
	if err != nil {
		return nil, err
	}
	err = compiled.Validate(values)
	var invalid *jsonschema.ValidationError
	switch {
	case err == nil:
		return nil, nil
	case errors.As(err, &invalid):
		return describe(invalid), nil
	default:
		return nil, errors.New("they can't be validated") // the cause would quote them
	}
}

// compiledSchema returns the compiled schema of a text.
func (s *schemas) compiledSchema(schema []byte) (*jsonschema.Schema, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known, ok := s.compiled[string(schema)]
	if !ok {
		known.schema, known.err = compileSchema(schema)
		if s.compiled == nil {
			s.compiled = map[string]compiled{}
		}
		s.compiled[string(schema)] = known
	}
	return known.schema, known.err
}

// compileSchema parses and compiles a schema.
func compileSchema(schema []byte) (*jsonschema.Schema, error) {
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		return nil, fmt.Errorf("parsing it: %w", err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.UseLoader(noLoader{})
	if err := compiler.AddResource(schemaURL, document); err != nil {
		return nil, fmt.Errorf("parsing it: %w", err)
	}
	compiled, err := compiler.Compile(schemaURL)
	if err != nil {
		return nil, fmt.Errorf("compiling it: %w", err)
	}
	return compiled, nil
}

// describe returns the violations, each with the rule of the schema. The validator's own
// messages quote values, which may be secrets ("'x' does not match pattern"); these have
// paths, names and types only.
func describe(invalid *jsonschema.ValidationError) []Violation {
	if len(invalid.Causes) > 0 {
		var all []Violation
		for _, cause := range invalid.Causes {
			all = append(all, describe(cause)...)
		}
		return all
	}
	_, rule, _ := strings.Cut(invalid.SchemaURL, "#")
	rule += jsonPointer(invalid.ErrorKind.KeywordPath())
	where := fmt.Sprintf(" (the schema's %s)", rule)
	extra, ok := invalid.ErrorKind.(*kind.AdditionalProperties)
	if !ok {
		return []Violation{{At: invalid.InstanceLocation, Message: violationText(invalid.ErrorKind) + where}}
	}
	var all []Violation
	for _, property := range slices.Sorted(slices.Values(extra.Properties)) {
		all = append(all, Violation{
			At:      invalid.InstanceLocation,
			Part:    append(slices.Clone(invalid.InstanceLocation), property),
			Message: "has a property that isn't allowed: " + valuepath.Format([]string{property}) + where,
		})
	}
	return all
}

// violationText describes a violation without the value.
func violationText(broken jsonschema.ErrorKind) string {
	switch broken := broken.(type) {
	case *kind.Required:
		return "lacks " + strings.Join(broken.Missing, ", ")
	case *kind.Type:
		return fmt.Sprintf("is of type %s, want %s", broken.Got, strings.Join(broken.Want, " or "))
	default:
		return "doesn't match"
	}
}

// jsonPointer returns the JSON pointer of a path.
func jsonPointer(elements []string) string {
	var b strings.Builder
	for _, element := range elements {
		b.WriteString("/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(element))
	}
	return b.String()
}

// noLoader rejects all references of a schema to other documents.
type noLoader struct{}

func (noLoader) Load(url string) (any, error) {
	return nil, fmt.Errorf("it refers to %q: a render reads no files and no network, so put the definition into the schema", url)
}
