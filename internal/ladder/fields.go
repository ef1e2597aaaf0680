package ladder

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"
)

// fields is a Go template of text and fields alone. Functions, conditions and loops are
// refused: the ladder is the team's, and who fills it in serves all teams, so a template
// must not be able to spend time or memory.
type fields struct{ parts []part }

// part is a text, or the name of a field.
type part struct{ text, field string }

// parseFields reads a template of at most most bytes that has the fields named.
func parseFields(text string, most int, names []string) (fields, error) {
	if len(text) > most {
		return fields{}, fmt.Errorf("has more than %d characters", most)
	}
	parsed, err := template.New("template").Parse(text)
	if err != nil {
		return fields{}, errors.New(strings.TrimPrefix(err.Error(), "template: "))
	}
	if parsed.Tree == nil || len(parsed.Templates()) > 1 {
		return fields{}, wrongFields(names)
	}
	var f fields
	for _, node := range parsed.Root.Nodes {
		p, err := parsePart(node, names)
		if err != nil {
			return fields{}, err
		}
		f.parts = append(f.parts, p)
	}
	return f, nil
}

func parsePart(node parse.Node, names []string) (part, error) {
	if text, ok := node.(*parse.TextNode); ok {
		return part{text: string(text.Text)}, nil
	}
	action, ok := node.(*parse.ActionNode)
	if !ok || len(action.Pipe.Decl) > 0 || len(action.Pipe.Cmds) != 1 || len(action.Pipe.Cmds[0].Args) != 1 {
		return part{}, wrongFields(names)
	}
	field, ok := action.Pipe.Cmds[0].Args[0].(*parse.FieldNode)
	if !ok || len(field.Ident) != 1 {
		return part{}, wrongFields(names)
	}
	if !slices.Contains(names, field.Ident[0]) {
		return part{}, fmt.Errorf("there is no field .%.60s: %w", field.Ident[0], wrongFields(names))
	}
	return part{field: field.Ident[0]}, nil
}

func wrongFields(names []string) error {
	return fmt.Errorf("want text and {{.%s}} alone", strings.Join(names, "}}, {{."))
}

// fill is the template with the fields' values.
func (f fields) fill(values map[string]string) (string, error) {
	var b strings.Builder
	for _, p := range f.parts {
		value, ok := values[p.field]
		if p.field != "" && !ok {
			return "", fmt.Errorf("field .%s is missing", p.field)
		}
		b.WriteString(p.text + value)
	}
	return b.String(), nil
}

// uses says whether the template has one of the fields.
func (f fields) uses(names ...string) bool {
	return slices.ContainsFunc(f.parts, func(p part) bool { return p.field != "" && slices.Contains(names, p.field) })
}
