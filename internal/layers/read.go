package layers

import (
	"fmt"
	"io/fs"
	"math/big"
	"regexp"
	"strings"

	yamlv3 "go.yaml.in/yaml/v3"
	"sigs.k8s.io/yaml"

	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/strictyaml"
)

// readLayer checks the layer strictly and then reads it as Helm does, since templates are
// written for Helm's types (every number a float64, `on` a boolean, 0755 octal). It
// subtracts the layer's size from left.
func readLayer(fsys fs.FS, layer ladder.Layer, left *limits) (source, error) {
	data, err := strictyaml.ReadFile(fsys, layer.Path)
	if strictyaml.ProblemsOf(err) != nil {
		return source{}, err
	}
	if err != nil {
		return source{}, fmt.Errorf("reading layer %q (%s): %w", layer.Path, layer.Origin, err)
	}
	return parseLayer(layer, data, left)
}

// Check checks a single layer: it must be YAML that Helm reads as it is written. The error
// is a strictyaml.Problems.
func Check(file string, data []byte) error {
	root, err := strictyaml.ParseMapping(file, data)
	if err != nil {
		return err
	}
	return checkForHelm(file, root).Err()
}

func parseLayer(layer ladder.Layer, data []byte, left *limits) (source, error) {
	root, err := strictyaml.ParseMapping(layer.Path, data)
	if err != nil {
		return source{}, err
	}
	if err := checkForHelm(layer.Path, root).Err(); err != nil {
		return source{}, err
	}
	if err := left.spend(layer, data, root); err != nil {
		return source{}, err
	}
	values := map[string]any{}
	if err := yaml.Unmarshal(data, &values); err != nil {
		// The cause would quote values.
		return source{}, fmt.Errorf("parsing layer %q (%s): it is well-formed, but Helm's YAML parser rejects it", layer.Path, layer.Origin)
	}
	return source{file: layer.Path, values: values, document: lazyDocument(data), unresolved: unresolved(layer.Path, root)}, nil
}

// checkForHelm returns problems for what Helm, which uses an older version of YAML, silently
// reads as something else: keys such as on, and whole numbers that a float64 rounds.
func checkForHelm(file string, root *yamlv3.Node) strictyaml.Problems {
	var problems strictyaml.Problems
	strictyaml.Walk(root, func(n *yamlv3.Node, key bool, path func() string) bool {
		switch {
		case n.Kind == yamlv3.MappingNode:
			problems = append(problems, overriddenByMerge(file, n, path)...)
		case n.Kind != yamlv3.ScalarNode || n.Style&(yamlv3.SingleQuotedStyle|yamlv3.DoubleQuotedStyle|yamlv3.LiteralStyle|yamlv3.FoldedStyle) != 0:
		case key:
			if other, ok := otherKey(n.Value); ok {
				problems = append(problems, strictyaml.ProblemAt(file, n, path(), "is read by Helm as the key %q: quote it, or write that", other))
			}
		case rounded(n.Value):
			problems = append(problems, strictyaml.ProblemAt(file, n, path(), "is a whole number above 2^53, whose last digits Helm changes: quote it to make it a string"))
		}
		return !problems.Full()
	})
	return problems
}

// overriddenByMerge returns problems for keys that a merge key below them overrides. Helm
// reads a mapping from top to bottom; by YAML's specification, and in yq, the key wins.
func overriddenByMerge(file string, mapping *yamlv3.Node, path func() string) strictyaml.Problems {
	var problems strictyaml.Problems
	for i := 2; i+1 < len(mapping.Content); i += 2 {
		merge := mapping.Content[i]
		if merge.ShortTag() != "!!merge" {
			continue
		}
		for j := 0; j < i; j += 2 {
			key, value := mapping.Content[j], mapping.Content[j+1]
			if _, merged := mergedKey(mapping.Content[i+1], key.Value); merged != nil && !sameScalar(value, merged) {
				problems = append(problems, strictyaml.ProblemAt(file, key, strictyaml.Key(path(), key.Value),
					"is overridden by the merge key (<<) in line %d in Helm, but not in other parsers: move << above it", merge.Line))
			}
		}
	}
	return problems
}

// sameScalar reports whether both are the same scalar, or one node.
func sameScalar(a, b *yamlv3.Node) bool {
	if a.Kind == yamlv3.AliasNode {
		a = a.Alias
	}
	if b.Kind == yamlv3.AliasNode {
		b = b.Alias
	}
	return a == b || a.Kind == yamlv3.ScalarNode && b.Kind == yamlv3.ScalarNode && a.Value == b.Value && a.ShortTag() == b.ShortTag()
}

// mayBeOther matches keys that Helm may not read as strings: numbers, dates, and words that
// are booleans in older versions of YAML.
var mayBeOther = regexp.MustCompile(`^([-+.0-9].*|[yYnN]|yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF|true|True|TRUE|false|False|FALSE)$`)

// otherKey returns the key that Helm reads for a plain key, if it isn't the written one.
func otherKey(written string) (string, bool) {
	if written == "<<" || !mayBeOther.MatchString(written) {
		return "", false
	}
	var read map[string]any
	if err := yaml.Unmarshal([]byte(written+": 1"), &read); err != nil || len(read) != 1 {
		return "", false
	}
	for key := range read {
		return key, key != written
	}
	return "", false
}

var (
	wholeNumber = regexp.MustCompile(`^[-+]?[0-9][0-9_]*$|^[-+]?0[xob]_?[0-9a-fA-F][0-9a-fA-F_]*$`)
	maxWhole    = big.NewInt(1 << 53)
)

// rounded reports whether a plain scalar is a whole number that a float64 may not hold.
func rounded(written string) bool {
	// Below 16 characters there is no such number.
	if len(written) < 16 || !wholeNumber.MatchString(written) {
		return false
	}
	n, ok := new(big.Int).SetString(strings.TrimPrefix(written, "+"), 0)
	return ok && n.CmpAbs(maxWhole) > 0 || !ok && len(written) > 16
}
