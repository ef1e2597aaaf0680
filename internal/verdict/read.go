package verdict

import (
	"errors"
	"fmt"
	"slices"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
)

// ReadGate reads a Gate from the content of a file, whose name is used in errors, and reports
// all of its problems.
func ReadGate(file string, data []byte) (Gate, error) {
	decoded, unknown, err := v1alpha1.DecodeGate(data)
	if err != nil {
		return Gate{}, fmt.Errorf("%q: %w", file, err)
	}
	var faults []error
	for _, reason := range gate.Check(decoded) {
		faults = append(faults, fmt.Errorf("%s: %s", file, reason.Message))
	}
	if len(faults) > 0 {
		return Gate{}, fmt.Errorf("%q is not a valid Gate:\n%w", file, errors.Join(faults...))
	}
	return Gate{Gate: decoded, Unknown: unknown}, nil
}

// PolicyNames returns the ClusterImagePolicies that Gates name, sorted.
func PolicyNames(gates []Gate) []string {
	var names []string
	for _, g := range gates {
		if signature := g.Spec.Requires.Signature; signature != nil && signature.ClusterImagePolicy != "" {
			names = append(names, signature.ClusterImagePolicy)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
