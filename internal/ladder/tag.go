package ladder

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Tag is the template of the tag with which CI pushes a pull request's image.
type Tag struct{ template fieldTemplate }

// maxTag bounds the template: a tag has at most 128 characters, and `{{.headShortSHA}}`
// is longer than its value.
const maxTag = 512

// validTag matches the tags that the distribution specification allows.
var validTag = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`)

// tagFields are the fields of a Tag, each with an example of the largest length.
var tagFields = map[string]string{
	"number":       "9999999999",
	"headSHA":      strings.Repeat("0", 40),
	"headShortSHA": strings.Repeat("0", 8),
	"branchSlug":   strings.Repeat("a", 50),
}

// ParseTag parses a Go template that has only text and fields of a pull request.
func ParseTag(text string) (Tag, error) {
	template, err := parseTemplate(text, maxTag, slices.Sorted(maps.Keys(tagFields)))
	if err != nil {
		return Tag{}, err
	}
	t := Tag{template}
	if !template.uses("headSHA", "headShortSHA") {
		return Tag{}, errNoCommit
	}
	if _, err := t.Execute(tagFields); err != nil {
		return Tag{}, err
	}
	return t, nil
}

// errNoCommit rejects a tag that several commits share: an image's commit would be unknown,
// and branches such as feat/login and feat-login would share images.
var errNoCommit = errors.New("names no commit, so that pull requests, and pushes to one of them, would share an image: add {{.headSHA}} or {{.headShortSHA}}")

// Execute returns the tag of a pull request, by its fields.
func (t Tag) Execute(values map[string]string) (string, error) {
	tag, err := t.template.execute(values)
	if err != nil {
		return "", err
	}
	if !validTag.MatchString(tag) {
		return "", fmt.Errorf("results in tags such as %.160q, which registries reject: want at most 128 letters, digits, _, . and -, not beginning with . or -", tag)
	}
	return tag, nil
}
