package valuepath

import (
	"errors"
	"slices"
	"strings"
)

// Pattern is a pattern of paths, such as those of a Ladder's mayDiffer and overrides.
type Pattern struct {
	elements []element
}

// ParsePattern parses a pattern.
func ParsePattern(text string) (Pattern, error) {
	elements, err := parse(text, nextPlain)
	if err != nil {
		return Pattern{}, err
	}
	for i, e := range elements {
		switch {
		case e.rest && i < len(elements)-1:
			return Pattern{}, errors.New("it has ** before its end: ** matches everything below, * one element")
		case e.rest && i == 0:
			return Pattern{}, errors.New("it matches everything: name the paths")
		}
	}
	return Pattern{elements}, nil
}

var errStar = errors.New(`it has * within a key: * stands for one whole element, and a key that has a star is quoted (["*"])`)

// nextPlain parses *, ** or a plain key.
func nextPlain(text string) (element, string, error) {
	stars := text[:len(text)-len(strings.TrimLeft(text, "*"))]
	rest := text[len(stars):]
	switch {
	case stars == "":
		end := strings.IndexAny(text+".", ".[")
		if strings.Contains(text[:end], "*") {
			return element{}, "", errStar
		}
		return nextKey(text)
	case len(stars) > 2 || rest != "" && rest[0] != '.' && rest[0] != '[':
		return element{}, "", errStar
	}
	return element{text: stars, any: stars == "*", rest: stars == "**"}, rest, nil
}

// Match reports whether the pattern matches the path.
func (p Pattern) Match(path []string) bool {
	if !p.Overlaps(path) {
		return false
	}
	last := p.elements[len(p.elements)-1]
	return len(p.elements) == len(path) || last.rest && len(p.elements) < len(path)
}

// MatchInside reports whether the pattern may match a path below path.
func (p Pattern) MatchInside(path []string) bool {
	return len(p.elements) > len(path) && p.Overlaps(path)
}

// Overlaps reports whether the pattern may match the path, one above it or one below it.
func (p Pattern) Overlaps(path []string) bool {
	for i, e := range p.elements {
		switch {
		case e.rest || i == len(path):
			return true
		case !e.any && e.text != path[i]:
			return false
		}
	}
	return len(p.elements) > 0
}

// Equals reports whether the pattern is the path itself, without stars.
func (p Pattern) Equals(path []string) bool {
	return len(p.elements) == len(path) && !slices.ContainsFunc(p.elements, func(e element) bool { return e.any || e.rest }) && p.Overlaps(path)
}

// Patterns are several patterns.
type Patterns []Pattern

// ParsePatterns parses several patterns. It leaves out invalid ones, which a document that
// was checked doesn't have.
func ParsePatterns(texts []string) Patterns {
	var patterns Patterns
	for _, text := range texts {
		if p, err := ParsePattern(text); err == nil {
			patterns = append(patterns, p)
		}
	}
	return patterns
}

// Match reports whether one of the patterns matches the path.
func (ps Patterns) Match(path []string) bool {
	return slices.ContainsFunc(ps, func(p Pattern) bool { return p.Match(path) })
}

// MatchInside reports whether one of the patterns may match a path below path.
func (ps Patterns) MatchInside(path []string) bool {
	return slices.ContainsFunc(ps, func(p Pattern) bool { return p.MatchInside(path) })
}

// Contains reports whether one of the patterns is the path itself, without stars.
func (ps Patterns) Contains(path []string) bool {
	return slices.ContainsFunc(ps, func(p Pattern) bool { return p.Equals(path) })
}
