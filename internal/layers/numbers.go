package layers

import (
	"fmt"

	yamlv3 "go.yaml.in/yaml/v3"
)

// Number is a number in a layer that templates print in another notation than it is written
// in: Helm reads every number as a float64, so it prints 20261130 as 2.026113e+07, and 1.10
// as 1.1.
type Number struct {
	Value

	Written, Printed string
}

// maxNumbers bounds the numbers that are checked: no more are reported at once.
const maxNumbers = 100

// Reformatted returns the winning numbers of layers that are printed in another notation
// than written, except those in lists.
func (m *Merged) Reformatted() []Number {
	var numbers []Number
	for i, s := range m.sources {
		if s.kind != KindLayer && s.kind != KindTier {
			continue
		}
		Leaves(s.values, func(path []string, value any) {
			number, ok := value.(float64)
			if !ok || len(numbers) == maxNumbers || m.winner(path) != i {
				return
			}
			written, printed := s.written(path), fmt.Sprint(number)
			if written != "" && written != printed {
				numbers = append(numbers, Number{Value{path, s.problem(path, "")}, written, printed})
			}
		})
	}
	return numbers
}

// written returns a scalar as it is written, or nothing where there is none.
func (s source) written(path []string) string {
	if s.document == nil {
		return ""
	}
	n := s.document()
	for _, element := range path {
		if n == nil {
			return ""
		}
		_, n = child(n, element)
	}
	if n != nil && n.Kind == yamlv3.AliasNode {
		n = n.Alias
	}
	if n == nil || n.Kind != yamlv3.ScalarNode {
		return ""
	}
	return n.Value
}
