// Command ladderschema generates the JSON schemas with which editors check ladder.yaml and
// pins. It reads the Go types and their comments:
//
//	ladderschema FOLDER
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"

	"github.com/invopop/jsonschema"

	"github.com/envladder/envladder/internal/digests"
	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/strictyaml"
	"github.com/envladder/envladder/internal/valuepath"
)

//go:generate go run . ../../schemas

// thisPackage is this package, and ladderFolder the relative path of the package of the types.
const (
	thisPackage  = "github.com/envladder/envladder/hack/ladderschema"
	ladderFolder = "../../internal/ladder"
)

// baseID is the URL from which the schemas can be downloaded.
const baseID = "https://raw.githubusercontent.com/envladder/envladder/main/schemas/"

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "ladderschema: %v\n", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("got %d arguments: want one, the folder to write to", len(args))
	}
	schemas, err := generate()
	if err != nil {
		return err
	}
	for name, schema := range schemas {
		if err := os.WriteFile(filepath.Join(args[0], name), schema, 0o644); err != nil {
			return fmt.Errorf("writing a schema: %w", err)
		}
	}
	return nil
}

// generate returns the schemas by file name.
func generate() (map[string][]byte, error) {
	r := &jsonschema.Reflector{Mapper: enum, ExpandedStruct: true}
	if err := r.AddGoComments(thisPackage, ladderFolder, jsonschema.WithFullComment()); err != nil {
		return nil, fmt.Errorf("reading the comments of the types: %w", err)
	}
	unwrap(r.CommentMap)
	schemas := map[string][]byte{}
	for name, document := range map[string]any{"ladder.schema.json": ladder.Ladder{}, "pins.schema.json": ladder.Pins{}} {
		schema := r.Reflect(document)
		schema.ID = jsonschema.ID(baseID + name)
		constrain(schema, reflect.TypeOf(document).Name())
		for definition, s := range schema.Definitions {
			constrain(s, definition)
		}
		bounds := map[string]uint64{}
		collectBounds(reflect.TypeOf(document), bounds)
		addBounds(schema, reflect.TypeOf(document).Name(), bounds)
		for definition, s := range schema.Definitions {
			addBounds(s, definition, bounds)
		}
		allowShort(schema.Definitions, reflect.TypeFor[ladder.LayerEntry]())
		data, err := json.MarshalIndent(schema, "", "  ")
		if err != nil {
			return nil, fmt.Errorf("encoding %s: %w", name, err)
		}
		schemas[name] = append(unescape(data), '\n')
	}
	return schemas, nil
}

// enum returns the schema of an enum, with its values.
func enum(t reflect.Type) *jsonschema.Schema {
	e, ok := reflect.TypeAssert[strictyaml.Enum](reflect.Zero(t))
	if !ok {
		return nil
	}
	schema := &jsonschema.Schema{Type: "string"}
	for _, value := range e.Enum() {
		schema.Enum = append(schema.Enum, value)
	}
	return schema
}

// constrain adds constraints that aren't in the types. The strict parser checks them too, with
// better messages; the schemas are for editors.
func constrain(schema *jsonschema.Schema, typeName string) {
	for pair := schema.Properties.Oldest(); pair != nil; pair = pair.Next() {
		property := pair.Value
		switch typeName + "." + pair.Key {
		case "Ladder.apiVersion":
			property.Const = ladder.APIVersion
		case "Ladder.kind":
			property.Const = ladder.Kind
		case "Metadata.name", "Image.name", "Environment.name", "Target.name":
			property.Pattern = ladder.NamePattern
		case "Spec.environments":
			property.MinItems = new(uint64(1))
		case "Preview.max":
			property.Minimum = "1"
		case "Image.valuesPath":
			property.Pattern = valuepath.KeysRegexp
		case "MayDiffer.scale", "MayDiffer.endpoints", "MayDiffer.flags", "MayDiffer.secrets", "MayDiffer.rollout",
			"Spec.overrides", "Environment.overrides", "Preview.overrides":
			property.Items.Pattern = valuepath.PatternRegexp
		case "Image.set":
			property.PropertyNames = &jsonschema.Schema{Pattern: valuepath.KeysRegexp}
		case "Pins.images":
			property.AdditionalProperties.Pattern = digests.Pattern
			property.PropertyNames = &jsonschema.Schema{Pattern: ladder.NamePattern}
		}
		forbidEmpty(property)
	}
}

// collectBounds collects the tags max of a type's fields and their types, by Type.field.
func collectBounds(t reflect.Type, bounds map[string]uint64) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice:
		collectBounds(t.Elem(), bounds)
	case reflect.Struct:
		for field := range t.Fields() {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			if most, err := strconv.ParseUint(field.Tag.Get("max"), 10, 64); err == nil {
				bounds[t.Name()+"."+name] = most
			}
			collectBounds(field.Type, bounds)
		}
	}
}

// addBounds adds the bounds to a type's properties.
func addBounds(schema *jsonschema.Schema, typeName string, bounds map[string]uint64) {
	for pair := schema.Properties.Oldest(); pair != nil; pair = pair.Next() {
		most, ok := bounds[typeName+"."+pair.Key]
		switch {
		case !ok:
		case pair.Value.Type == "array":
			pair.Value.MaxItems = &most
		default:
			pair.Value.MaxProperties = &most
		}
	}
}

// allowShort allows a type to be written as the value of only one of its fields.
func allowShort(definitions jsonschema.Definitions, t reflect.Type) {
	whole, ok := definitions[t.Name()]
	if !ok {
		return
	}
	s, _ := reflect.TypeAssert[strictyaml.Short](reflect.Zero(t))
	field, _ := whole.Properties.Get(s.Short())
	definitions[t.Name()] = &jsonschema.Schema{OneOf: []*jsonschema.Schema{field, whole}, Description: whole.Description}
}

// forbidEmpty forbids empty strings, as the strict parser does.
func forbidEmpty(schema *jsonschema.Schema) {
	if schema.Type == "array" {
		forbidEmpty(schema.Items)
	}
	if schema.Type == "object" && schema.AdditionalProperties != nil {
		forbidEmpty(schema.AdditionalProperties)
	}
	if schema.Type == "string" && schema.Enum == nil && schema.Pattern == "" && schema.Const == nil {
		schema.MinLength = new(uint64(1))
	}
}

// unescape reverts the escapes that encoding/json adds for HTML.
func unescape(data []byte) []byte {
	return []byte(strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(string(data)))
}

// unwrap joins the lines of each comment, since editors wrap them.
func unwrap(comments map[string]string) {
	for name, comment := range comments {
		comments[name] = strings.Join(strings.Fields(comment), " ")
	}
}
