package ladder

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Tag is the template of the tag that CI gives a pull request's image.
type Tag struct{ template fields }

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

// ParseTag reads a Go template of text and of a pull request's fields alone.
func ParseTag(text string) (Tag, error) {
	template, err := parseFields(text, maxTag, slices.Sorted(maps.Keys(tagFields)))
	if err != nil {
		return Tag{}, err
	}
	t := Tag{template}
	if !template.uses("headSHA", "headShortSHA") {
		return Tag{}, errNoCommit
	}
	if _, err := t.Of(tagFields); err != nil {
		return Tag{}, err
	}
	return t, nil
}

// errNoCommit refuses a tag that several commits share: which of them an image is of could
// not be told, and branches such as feat/login and feat-login would get each other's.
var errNoCommit = errors.New("names no commit, so that pull requests, and pushes to one of them, would share an image: add {{.headSHA}} or {{.headShortSHA}}")

// Of is the tag of a pull request, by its fields.
func (t Tag) Of(values map[string]string) (string, error) {
	tag, err := t.template.fill(values)
	if err != nil {
		return "", err
	}
	if !validTag.MatchString(tag) {
		return "", fmt.Errorf("gives tags such as %.160q, which no registry takes: want at most 128 letters, digits, _, . and -, not beginning with . or -", tag)
	}
	return tag, nil
}
