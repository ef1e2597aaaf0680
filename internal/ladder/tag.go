package ladder

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"
)

// Tag is the template of the tag that CI gives a pull request's image.
type Tag struct{ parts []tagPart }

// tagPart is a text, or the name of a field.
type tagPart struct{ text, field string }

// maxTag bounds the template: a tag has at most 128 characters, and `{{.headShortSHA}}`
// is longer than what it stands for.
const maxTag = 512

// validTag is the distribution specification's.
var validTag = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`)

// tagFields are the fields of a Tag, each with a value as it might be: the longest where
// they differ in length.
var tagFields = map[string]string{
	"number":       "9999999999",
	"headSHA":      strings.Repeat("0", 40),
	"headShortSHA": strings.Repeat("0", 8),
	"branchSlug":   strings.Repeat("a", 50),
}

// ParseTag reads a Go template of fields alone. Functions, conditions and loops are
// refused: the ladder is the team's, and who resolves its tags serves all teams, so a
// template must not be able to spend time or memory.
func ParseTag(text string) (Tag, error) {
	if len(text) > maxTag {
		return Tag{}, fmt.Errorf("has more than %d characters", maxTag)
	}
	parsed, err := template.New("tag").Parse(text)
	if err != nil {
		return Tag{}, errors.New(strings.TrimPrefix(err.Error(), "template: "))
	}
	if parsed.Tree == nil || len(parsed.Templates()) > 1 {
		return Tag{}, wrongTag()
	}
	var t Tag
	for _, node := range parsed.Root.Nodes {
		part, err := parseTagPart(node)
		if err != nil {
			return Tag{}, err
		}
		t.parts = append(t.parts, part)
	}
	if _, err := t.Of(tagFields); err != nil {
		return Tag{}, err
	}
	return t, nil
}

func parseTagPart(node parse.Node) (tagPart, error) {
	if text, ok := node.(*parse.TextNode); ok {
		return tagPart{text: string(text.Text)}, nil
	}
	action, ok := node.(*parse.ActionNode)
	if !ok || len(action.Pipe.Decl) > 0 || len(action.Pipe.Cmds) != 1 || len(action.Pipe.Cmds[0].Args) != 1 {
		return tagPart{}, wrongTag()
	}
	field, ok := action.Pipe.Cmds[0].Args[0].(*parse.FieldNode)
	if !ok || len(field.Ident) != 1 {
		return tagPart{}, wrongTag()
	}
	if _, ok := tagFields[field.Ident[0]]; !ok {
		return tagPart{}, fmt.Errorf("there is no field .%.60s: %w", field.Ident[0], wrongTag())
	}
	return tagPart{field: field.Ident[0]}, nil
}

func wrongTag() error {
	return fmt.Errorf("want text and {{.%s}} alone", strings.Join(slices.Sorted(maps.Keys(tagFields)), "}}, {{."))
}

// Of is the tag of a pull request, by its fields.
func (t Tag) Of(fields map[string]string) (string, error) {
	var tag strings.Builder
	for _, part := range t.parts {
		value, ok := fields[part.field]
		if part.field != "" && !ok {
			return "", fmt.Errorf("field .%s is missing", part.field)
		}
		tag.WriteString(part.text + value)
	}
	if !validTag.MatchString(tag.String()) {
		return "", fmt.Errorf("gives tags such as %.160q, which no registry takes: want at most 128 letters, digits, _, . and -, not beginning with . or -", tag.String())
	}
	return tag.String(), nil
}
