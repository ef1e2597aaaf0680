package v1alpha1_test

import (
	"testing"

	"github.com/envladder/envladder/api/v1alpha1"
)

func TestStricter(t *testing.T) {
	const unset, unknown = v1alpha1.Action(""), v1alpha1.Action("Page")
	leastStrictFirst := [][]v1alpha1.Action{
		{v1alpha1.ActionAudit},
		{v1alpha1.ActionWarn},
		{v1alpha1.ActionDeny, unset, unknown},
	}
	for i, row := range leastStrictFirst {
		for _, a := range row {
			if got := a.Effective(); got != row[0] {
				t.Errorf("%q is effectively %q, want %q", a, got, row[0])
			}
			for j, other := range leastStrictFirst {
				for _, b := range other {
					if got := v1alpha1.CompareStrictness(a, b); got != i-j {
						t.Errorf("comparing %q and %q: %d, want %d", a, b, got, i-j)
					}
					if got, want := v1alpha1.Stricter(a, b), leastStrictFirst[max(i, j)][0]; got != want {
						t.Errorf("of %q and %q the stricter is %q, want %q", a, b, got, want)
					}
				}
			}
		}
	}
}
