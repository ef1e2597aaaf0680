package ladder

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// patternElement is one element of a pattern of value paths, but for `**`.
var patternElement = regexp.MustCompile(`^(\*|[A-Za-z0-9_-]+)$`)

// wrongPattern says what is wrong with a pattern of value paths.
func wrongPattern(pattern string) string {
	elements := strings.Split(pattern, ".")
	for i, element := range elements {
		switch {
		case element == "":
			return "has an empty element"
		case element == "**" && i < len(elements)-1:
			return "has ** before its end: ** stands for all below, * for one element"
		case element == "**" && i == 0:
			return "stands for everything: name the paths"
		case element == "**", patternElement.MatchString(element):
		default:
			return fmt.Sprintf("has the element %.60q: want a key, * (any one) or a last **", element)
		}
	}
	return ""
}

// Match says whether one of the patterns, as those of mayDiffer and overrides, has the
// value path.
func Match(patterns []string, path []string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		elements := strings.Split(pattern, ".")
		rest := elements[len(elements)-1] == "**"
		return matches(elements, path) && (len(elements) == len(path) || rest && len(elements) < len(path))
	})
}

// MatchInside says whether one of the patterns may name something inside of what is at
// the path.
func MatchInside(patterns []string, path []string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		elements := strings.Split(pattern, ".")
		return len(elements) > len(path) && matches(elements, path)
	})
}

// matches compares as many elements as both have: whether the pattern may name the path,
// something around it, or inside it.
func matches(pattern, path []string) bool {
	for i := range min(len(pattern), len(path)) {
		if pattern[i] == "**" {
			return true
		}
		if pattern[i] != "*" && pattern[i] != path[i] {
			return false
		}
	}
	return true
}
