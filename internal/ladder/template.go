package ladder

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"
)

// fieldTemplate is a Go template of text and fields alone. Functions, conditions and loops
// are rejected: teams write ladders, and a server executes them for all teams, so a template
// must not be able to spend time or memory.
type fieldTemplate struct{ parts []part }

// part is a text or the name of a field.
type part struct{ text, field string }

// parseTemplate parses a template of at most limit bytes with the named fields.
func parseTemplate(text string, limit int, names []string) (fieldTemplate, error) {
	if len(text) > limit {
		return fieldTemplate{}, fmt.Errorf("has more than %d characters", limit)
	}
	parsed, err := template.New("template").Parse(text)
	if err != nil {
		return fieldTemplate{}, errors.New(strings.TrimPrefix(err.Error(), "template: "))
	}
	if parsed.Tree == nil || len(parsed.Templates()) > 1 {
		return fieldTemplate{}, wrongFields(names)
	}
	var t fieldTemplate
	for _, node := range parsed.Root.Nodes {
		p, err := parsePart(node, names)
		if err != nil {
			return fieldTemplate{}, err
		}
		t.parts = append(t.parts, p)
	}
	return t, nil
}

// parsePart parses one node of a template.
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

// wrongFields returns the error for anything but text and fields.
func wrongFields(names []string) error {
	return fmt.Errorf("want text and {{.%s}} alone", strings.Join(names, "}}, {{."))
}

// execute returns the template's text with the fields' values.
func (t fieldTemplate) execute(values map[string]string) (string, error) {
	var b strings.Builder
	for _, p := range t.parts {
		value, ok := values[p.field]
		if p.field != "" && !ok {
			return "", fmt.Errorf("field .%s is missing", p.field)
		}
		b.WriteString(p.text + value)
	}
	return b.String(), nil
}

// uses reports whether the template contains one of the fields.
func (t fieldTemplate) uses(names ...string) bool {
	return slices.ContainsFunc(t.parts, func(p part) bool { return p.field != "" && slices.Contains(names, p.field) })
}
