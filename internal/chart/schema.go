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

// schemaURL is the name under which a chart's schema is compiled, as Helm does it.
const schemaURL = "file:///values.schema.json"

// SchemaError is that values don't fit the values.schema.json of charts. It is plain
// data, so that it can cross to another process.
type SchemaError struct {
	Charts []Unfit `json:"charts"`
}

// Unfit is a chart whose schema the values don't fit.
type Unfit struct {
	// Chart is its name.
	Chart string `json:"chart"`
	// Prefix is where a subchart's values stand.
	Prefix []string `json:"prefix,omitempty"`
	// Cause is set where there are no Breaches: the schema can't be used.
	Cause    string   `json:"cause,omitempty"`
	Breaches []Breach `json:"breaches,omitempty"`
}

// Path is that of what is wrong, in the values of the chart that is rendered.
func (u Unfit) Path(b Breach) []string {
	if b.Of != nil {
		return slices.Concat(u.Prefix, b.Of)
	}
	return slices.Concat(u.Prefix, b.At)
}

// Breach is a place that breaks a rule.
type Breach struct {
	// At is the path in the chart's own values; indexes of lists are decimal.
	At []string `json:"at"`
	// Of is the path of what is wrong there, if that is a part of it.
	Of []string `json:"of,omitempty"`
	// Message says what is wrong, without values.
	Message string `json:"message"`
	// Origin says where the value comes from, once Explain has found that.
	Origin string `json:"origin,omitempty"`
}

// Error has a line for each place.
func (e *SchemaError) Error() string {
	var b strings.Builder
	for i, unfit := range e.Charts {
		if i > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "values don't fit values.schema.json of chart %q:\n%s", unfit.Chart, unfit.Cause)
		for j, breach := range unfit.Breaches {
			if j > 0 {
				b.WriteString("\n")
			}
			fmt.Fprintf(&b, "- at %q: %s", pointer(breach.At), breach.Message)
			if breach.Origin != "" {
				b.WriteString("; it comes from " + breach.Origin)
			}
		}
	}
	return b.String()
}

// Explain is err with where the values come from, if it is a SchemaError or a
// layers.KindsError, and err itself if it is another.
func Explain(err error, merged *layers.Merged) error {
	if kinds, ok := errors.AsType[*layers.KindsError](err); ok {
		return merged.Explain(kinds)
	}
	invalid, ok := errors.AsType[*SchemaError](err)
	if !ok {
		return err
	}
	explained := &SchemaError{Charts: slices.Clone(invalid.Charts)}
	for i, unfit := range explained.Charts {
		breaches := slices.Clone(unfit.Breaches)
		for j, breach := range breaches {
			breaches[j].Origin, _ = merged.Where(unfit.Path(breach))
		}
		explained.Charts[i].Breaches = breaches
	}
	return explained
}

// schemas are those of a chart and of its dependencies, each compiled once: to compile
// one takes as long as to render a small chart.
type schemas struct {
	mu       sync.Mutex
	compiled map[string]compiled // by the schema's text
}

type compiled struct {
	schema *jsonschema.Schema
	err    error
}

// check validates values against the values.schema.json of a chart and of its
// dependencies. Helm's own check would follow a `$ref` to any file and any server; this
// one follows none that leaves the document. The error is a *SchemaError.
func (s *schemas) check(c *helm.Chart, values map[string]any) error {
	if unfit := s.unfits(c, values, nil); len(unfit) > 0 {
		return &SchemaError{Charts: unfit}
	}
	return nil
}

func (s *schemas) unfits(c *helm.Chart, values map[string]any, prefix []string) []Unfit {
	var all []Unfit
	if c.Schema != nil {
		unfit := Unfit{Chart: c.Name(), Prefix: prefix}
		breaches, err := s.breaches(c.Schema, values)
		if err != nil {
			unfit.Cause = err.Error()
		}
		unfit.Breaches = breaches
		if err != nil || len(breaches) > 0 {
			all = append(all, unfit)
		}
	}
	for _, child := range c.Dependencies() {
		childValues, _ := values[child.Name()].(map[string]any)
		all = append(all, s.unfits(child, childValues, append(slices.Clone(prefix), child.Name()))...)
	}
	return all
}

func (s *schemas) breaches(schema []byte, values map[string]any) ([]Breach, error) {
	compiled, err := s.of(schema)
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

func (s *schemas) of(schema []byte) (*jsonschema.Schema, error) {
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

// describe says what is wrong where, each with the rule of the schema that
// is broken. The validator's own messages quote values, which may be secrets, as "'x'
// does not match pattern"; here are places, names and types only.
func describe(invalid *jsonschema.ValidationError) []Breach {
	if len(invalid.Causes) > 0 {
		var all []Breach
		for _, cause := range invalid.Causes {
			all = append(all, describe(cause)...)
		}
		return all
	}
	_, rule, _ := strings.Cut(invalid.SchemaURL, "#")
	rule += pointer(invalid.ErrorKind.KeywordPath())
	where := fmt.Sprintf(" (the schema's %s)", rule)
	extra, ok := invalid.ErrorKind.(*kind.AdditionalProperties)
	if !ok {
		return []Breach{{At: invalid.InstanceLocation, Message: fault(invalid.ErrorKind) + where}}
	}
	var all []Breach
	for _, property := range slices.Sorted(slices.Values(extra.Properties)) {
		all = append(all, Breach{
			At: invalid.InstanceLocation, Of: append(slices.Clone(invalid.InstanceLocation), property),
			Message: "has what isn't allowed here: " + valuepath.Format([]string{property}) + where,
		})
	}
	return all
}

func fault(broken jsonschema.ErrorKind) string {
	switch broken := broken.(type) {
	case *kind.Required:
		return "lacks " + strings.Join(broken.Missing, ", ")
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
