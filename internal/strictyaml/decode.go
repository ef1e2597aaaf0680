package strictyaml

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/envladder/envladder/internal/printable"
)

// Enum is a string type with few values.
type Enum interface {
	// Enum returns the values.
	Enum() []string
}

// Short is a struct that may be written as one of its fields alone.
type Short interface {
	// Short returns the field's name.
	Short() string
}

// Positions has the position of each value of a decoded document, by its path.
type Positions struct {
	file   string
	values map[string]*yaml.Node
}

// Has reports whether the document has a value at path, even if it is the type's zero value.
func (p Positions) Has(path string) bool { return p.values[path] != nil }

// Line returns the line of the value at path, or 0 where there is none.
func (p Positions) Line(path string) int {
	if n := p.values[path]; n != nil {
		return n.Line
	}
	return 0
}

// Problem returns a problem at the value at path, or at the nearest value around it.
func (p Positions) Problem(path, format string, args ...any) Problem {
	f := Problem{File: p.file, Path: path, Message: fmt.Sprintf(format, args...)}
	for at := path; ; at = parent(at) {
		if n := p.values[at]; n != nil {
			f.Line, f.Column = n.Line, n.Column
			return f
		}
		if at == "" {
			return f
		}
	}
}

// parent returns `a` for `a.b` and `a[0]`. For a quoted key it returns a part of the key,
// whose parent the caller tries next.
func parent(path string) string {
	return path[:max(strings.LastIndexAny(path, ".["), 0)]
}

// Decode fills into, a pointer to a struct, from a tree that Parse returned, by the
// `json` tags of its fields. A field without omitempty is required; one with a tag such
// as `max:"100"` has at most that many items (of a list) or keys (of a mapping). Decoding
// is strict: unknown fields, other types than the field's, values outside an Enum, empty
// strings, nulls and aliases are problems. Valid values are filled in even then, and the
// first items of a list or mapping with too many, so that more can be checked.
//
// The tree may be one that Parse returned with problems: decoding follows no aliases, and
// goes as deep as the struct does.
func Decode(file string, root *yaml.Node, into any) (Positions, Problems) {
	d := decoder{
		checker:   checker{file: file},
		positions: Positions{file: file, values: map[string]*yaml.Node{}},
	}
	d.decode(root, "", reflect.ValueOf(into).Elem())
	return d.positions, d.problems
}

type decoder struct {
	checker

	positions Positions
}

func (d *decoder) decode(n *yaml.Node, path string, into reflect.Value) {
	d.positions.values[path] = n
	if n.Kind == yaml.AliasNode {
		d.problemf(n, path, "is an alias: write the value out")
		return
	}
	switch into.Kind() {
	case reflect.Pointer:
		into.Set(reflect.New(into.Type().Elem()))
		d.decode(n, path, into.Elem())
	case reflect.Struct:
		d.decodeStruct(n, path, into)
	case reflect.Slice:
		d.decodeList(n, path, into)
	case reflect.Map:
		d.decodeMap(n, path, into)
	case reflect.String:
		d.decodeString(n, path, into)
	case reflect.Int:
		d.decodeInt(n, path, into)
	case reflect.Bool:
		d.decodeBool(n, path, into)
	default:
		// A programming error, which the first test of the type finds.
		panic(fmt.Sprintf("strictyaml: %s: fields of type %s aren't supported", path, into.Type()))
	}
}

// wantKind reports whether a node is of a kind, and adds a problem where it isn't.
func (d *decoder) wantKind(n *yaml.Node, path string, kind yaml.Kind, name string) bool {
	if n.Kind != kind {
		d.problemf(n, path, "want %s, have %s", name, KindOf(n))
		return false
	}
	return true
}

func (d *decoder) decodeStruct(n *yaml.Node, path string, into reflect.Value) {
	if short, ok := reflect.TypeAssert[Short](into); ok && n.Kind == yaml.ScalarNode {
		d.decode(n, path, into.Field(fieldsOf(into.Type())[short.Short()].index))
		return
	}
	if !d.wantKind(n, path, yaml.MappingNode, "a mapping") {
		return
	}
	fields := fieldsOf(into.Type())
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if !isName(key) {
			continue
		}
		field, ok := fields[key.Value]
		if !ok {
			d.unknownField(key, path, fields)
			continue
		}
		seen[key.Value] = true
		at := Key(path, key.Value)
		d.decode(d.truncate(field.maxItems, value, at), at, into.Field(field.index))
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if fields[name].required && !seen[name] {
			d.problemf(n, path, "needs %q", name)
		}
	}
}

// isName reports whether a key is a name. Parse rejects other keys.
func isName(key *yaml.Node) bool { return key.Kind == yaml.ScalarNode && !IsNull(key) }

// truncate returns n with at most bound items, unless bound is 0. It adds a problem where n
// has more.
func (d *decoder) truncate(bound int, n *yaml.Node, path string) *yaml.Node {
	perItem, what := 1, "items"
	if n.Kind == yaml.MappingNode {
		perItem, what = 2, "keys" // each with its value
	}
	have := len(n.Content) / perItem
	if bound == 0 || have <= bound {
		return n
	}
	d.problemf(n, path, "has %d %s: at most %d are allowed", have, what, bound)
	cut := *n
	cut.Content = n.Content[:bound*perItem]
	return &cut
}

func (d *decoder) unknownField(key *yaml.Node, path string, fields map[string]field) {
	if d.problems.Full() {
		return
	}
	names := slices.Sorted(maps.Keys(fields))
	hint := DidYouMean(key.Value, names)
	if hint == "" {
		hint = ": the fields here are " + strings.Join(names, ", ")
	}
	d.problemf(key, Key(path, key.Value), "unknown field%s", hint)
}

func (d *decoder) decodeList(n *yaml.Node, path string, into reflect.Value) {
	if !d.wantKind(n, path, yaml.SequenceNode, "a list") {
		return
	}
	into.Set(reflect.MakeSlice(into.Type(), len(n.Content), len(n.Content)))
	for i, item := range n.Content {
		d.decode(item, Index(path, i), into.Index(i))
	}
}

func (d *decoder) decodeMap(n *yaml.Node, path string, into reflect.Value) {
	if !d.wantKind(n, path, yaml.MappingNode, "a mapping") {
		return
	}
	into.Set(reflect.MakeMap(into.Type()))
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if !isName(key) {
			continue
		}
		item := reflect.New(into.Type().Elem()).Elem()
		d.decode(n.Content[i+1], Key(path, key.Value), item)
		into.SetMapIndex(reflect.ValueOf(key.Value), item)
	}
}

func (d *decoder) decodeString(n *yaml.Node, path string, into reflect.Value) {
	switch {
	case n.Kind != yaml.ScalarNode || IsNull(n):
		d.problemf(n, path, "want a string, have %s", KindOf(n))
		return
	case n.ShortTag() != tagString:
		d.problemf(n, path, "want a string, have %s: quote it", KindOf(n))
		return
	case n.Value == "":
		d.problemf(n, path, "is empty: give it a value or leave it out")
		return
	}
	if enum, ok := reflect.TypeAssert[Enum](into); ok && !slices.Contains(enum.Enum(), n.Value) {
		values := enum.Enum()
		d.problemf(n, path, "is %s: want %s%s", printable.Quote(n.Value, maxShownKey), orList(values), DidYouMean(n.Value, values))
		return
	}
	into.SetString(n.Value)
}

func (d *decoder) decodeInt(n *yaml.Node, path string, into reflect.Value) {
	var i int
	if n.ShortTag() != tagInt || n.Decode(&i) != nil {
		d.problemf(n, path, "want a whole number, have %s", KindOf(n))
		return
	}
	into.SetInt(int64(i))
}

func (d *decoder) decodeBool(n *yaml.Node, path string, into reflect.Value) {
	var b bool
	if n.ShortTag() != tagBool || n.Decode(&b) != nil {
		d.problemf(n, path, "want true or false, have %s", KindOf(n))
		return
	}
	into.SetBool(b)
}

// field is a field of a struct, by its json tag.
type field struct {
	index    int
	required bool
	// maxItems of a list or a mapping; 0 for no bound.
	maxItems int
}

func fieldsOf(t reflect.Type) map[string]field {
	fields := make(map[string]field, t.NumField())
	for i := range t.NumField() {
		tag := t.Field(i).Tag
		name, options, _ := strings.Cut(tag.Get("json"), ",")
		fields[name] = field{index: i, required: !strings.Contains(options, "omitempty"), maxItems: maxItems(tag)}
	}
	return fields
}

// maxItems returns the value of a field's tag max, or 0.
func maxItems(tag reflect.StructTag) int {
	written, ok := tag.Lookup("max")
	if !ok {
		return 0
	}
	bound, err := strconv.Atoi(written)
	if err != nil {
		panic(fmt.Sprintf("strictyaml: the tag max:%q isn't a number", written)) // a programming error
	}
	return bound
}

// orList returns `a, b or c`.
func orList(items []string) string {
	last := len(items) - 1
	if last < 1 {
		return strings.Join(items, "")
	}
	return strings.Join(items[:last], ", ") + " or " + items[last]
}
