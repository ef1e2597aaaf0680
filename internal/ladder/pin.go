package ladder

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/envladder/envladder/internal/valuepath"
)

// The fields of an image's templates.
const (
	fieldRepository = "Repository"
	fieldRegistry   = "Registry"
	fieldPath       = "Path"
	fieldDigest     = "Digest"
	fieldHex        = "Hex"
)

var imageFields = []string{fieldRepository, fieldRegistry, fieldPath, fieldDigest, fieldHex}

// maxImageTemplate bounds a template: references have at most a few hundred characters.
const maxImageTemplate = 512

// The keys of the map at an image's valuesPath.
const (
	keyRepository = "repository"
	keyDigest     = "digest"
	keyTag        = "tag"
)

// PinnedValue is one value that a pin sets.
type PinnedValue struct {
	// Path in the values.
	Path  []string
	Value string
}

// Values returns the values that the pin sets, sorted by path. Nothing else may set them.
// They don't overlap. It returns an error only for templates that validation of the Ladder
// rejects.
func (p Pin) Values() ([]PinnedValue, error) {
	var values []PinnedValue
	if p.ValuesPath != "" {
		at, err := valuepath.ParseKeys(p.ValuesPath)
		if err != nil {
			return nil, fmt.Errorf("setting %q of image %q: %w", p.ValuesPath, p.Name, err)
		}
		values = append(values,
			PinnedValue{append(slices.Clone(at), keyDigest), p.Digest},
			PinnedValue{append(slices.Clone(at), keyRepository), p.Repository})
	}
	registry, rest, _ := strings.Cut(p.Repository, "/")
	of := map[string]string{
		fieldRepository: p.Repository, fieldRegistry: registry, fieldPath: rest,
		fieldDigest: p.Digest, fieldHex: strings.TrimPrefix(p.Digest, "sha256:"),
	}
	for _, text := range slices.Sorted(maps.Keys(p.Set)) {
		template, err := parseTemplate(p.Set[text], maxImageTemplate, imageFields)
		if err != nil {
			return nil, fmt.Errorf("setting %q of image %q: the template %w", text, p.Name, err)
		}
		path, err := valuepath.ParseKeys(text)
		if err != nil {
			return nil, fmt.Errorf("setting %q of image %q: %w", text, p.Name, err)
		}
		value, err := template.execute(of)
		if err != nil {
			return nil, fmt.Errorf("setting %q of image %q: %w", text, p.Name, err)
		}
		values = append(values, PinnedValue{path, value})
	}
	slices.SortFunc(values, func(a, b PinnedValue) int { return slices.Compare(a.Path, b.Path) })
	return values, nil
}

// TagPath returns the path of the tag next to the digest, or nothing where it isn't known.
func (p Pin) TagPath() []string {
	at, err := valuepath.ParseKeys(p.ValuesPath)
	if err != nil {
		return nil
	}
	tag := slices.Concat(at, []string{keyTag})
	for text := range p.Set {
		if path, err := valuepath.ParseKeys(text); err == nil && slices.Equal(path, tag) {
			return nil
		}
	}
	return tag
}
