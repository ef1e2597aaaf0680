package infer

import (
	"slices"
	"strings"
)

// knownNames are the common names of environments, in the order of promotion.
var knownNames = [][]string{
	{"local"},
	{"dev", "develop", "development"},
	{"ci"},
	{"test", "testing", "int", "integration"},
	{"qa"},
	{"stage", "staging", "stg"},
	{"uat", "acceptance"},
	{"preprod", "pre-prod", "preproduction"},
	{"prod", "production", "prd", "live"},
}

// position returns an environment's position in the order, by its name. A longer name
// (prod-eu) follows the name that it contains. Unknown names precede preprod and prod.
func position(name string) int {
	if i := nameIndex(name); i >= 0 {
		return 3 * i
	}
	for word := range strings.SplitSeq(name, "-") {
		if i := nameIndex(word); i >= 0 {
			return 3*i + 1
		}
	}
	return 3*(len(knownNames)-2) - 1
}

// nameIndex returns the index of a known name, or -1.
func nameIndex(name string) int {
	return slices.IndexFunc(knownNames, func(names []string) bool { return slices.Contains(names, name) })
}

// isKnownName reports whether a name shows an environment's position.
func isKnownName(name string) bool {
	return nameIndex(name) >= 0 || slices.ContainsFunc(strings.Split(name, "-"), func(word string) bool { return nameIndex(word) >= 0 })
}
