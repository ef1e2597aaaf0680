// Command schemagen writes the JSON schemas that editors check ladder.yaml and the pins
// with, from the Go types and their comments:
//
//	schemagen FOLDER
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

// This package, from which the comments of its parent's types are found.
const (
	thisPackage  = "github.com/envladder/envladder/hack/ladderschema"
	ladderFolder = "../../internal/ladder"
)

// baseID is where the schemas can be fetched.
const baseID = "https://raw.githubusercontent.com/envladder/envladder/main/schemas/"

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "schemagen: %v\n", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("want one argument, the folder to write to; have %d", len(args))
	}
	schemas, err := generate()
	if err != nil {
		return err
	}
	for name, schema := range schemas {
		if err := os.WriteFile(filepath.Join(args[0], name), schema, 0o644); err != nil { //nolint:gosec // a source file that others read
			return fmt.Errorf("writing a schema: %w", err)
		}
	}
	return nil
}

// generate is the schemas by their files' names.
func generate() (map[string][]byte, error) {
	r := &jsonschema.Reflector{Mapper: enum, ExpandedStruct: true}
	if err := r.AddGoComments(thisPackage, ladderFolder, jsonschema.WithFullComment()); err != nil {
		return nil, fmt.Errorf("reading the types' comments: %w", err)
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
		boundsOf(reflect.TypeOf(document), bounds)
		bound(schema, reflect.TypeOf(document).Name(), bounds)
		for definition, s := range schema.Definitions {
			bound(s, definition, bounds)
		}
		short(schema.Definitions, reflect.TypeFor[ladder.LayerEntry]())
		data, err := json.MarshalIndent(schema, "", "  ")
		if err != nil {
			return nil, fmt.Errorf("encoding %s: %w", name, err)
		}
		schemas[name] = append(readable(data), '\n')
	}
	return schemas, nil
}

// enum gives enums their values.
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

// constrain adds what the types don't say. The strict parser says it too, better: this
// is for editors.
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
		notEmpty(property)
	}
}

// boundsOf collects the tags max of a type's fields and those below, by Type.field.
func boundsOf(t reflect.Type, bounds map[string]uint64) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice:
		boundsOf(t.Elem(), bounds)
	case reflect.Struct:
		for field := range t.Fields() {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			if most, err := strconv.ParseUint(field.Tag.Get("max"), 10, 64); err == nil {
				bounds[t.Name()+"."+name] = most
			}
			boundsOf(field.Type, bounds)
		}
	}
}

// bound adds the bounds to a type's properties.
func bound(schema *jsonschema.Schema, typeName string, bounds map[string]uint64) {
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

// short lets a type be written as one of its fields alone.
func short(definitions jsonschema.Definitions, t reflect.Type) {
	whole, ok := definitions[t.Name()]
	if !ok {
		return
	}
	s, _ := reflect.TypeAssert[strictyaml.Short](reflect.Zero(t))
	field, _ := whole.Properties.Get(s.Short())
	definitions[t.Name()] = &jsonschema.Schema{OneOf: []*jsonschema.Schema{field, whole}, Description: whole.Description}
}

// notEmpty forbids empty strings, as the strict parser does.
func notEmpty(schema *jsonschema.Schema) {
	if schema.Type == "array" {
		notEmpty(schema.Items)
	}
	if schema.Type == "object" && schema.AdditionalProperties != nil {
		notEmpty(schema.AdditionalProperties)
	}
	if schema.Type == "string" && schema.Enum == nil && schema.Pattern == "" && schema.Const == nil {
		schema.MinLength = new(uint64(1))
	}
}

// readable undoes what encoding/json escapes for HTML pages.
func readable(data []byte) []byte {
	return []byte(strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(string(data)))
}

// unwrap makes each comment one line: editors break them where they like.
func unwrap(comments map[string]string) {
	for name, comment := range comments {
		comments[name] = strings.Join(strings.Fields(comment), " ")
	}
}
