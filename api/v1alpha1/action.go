package v1alpha1

import "slices"

// Action on a denial.
//
// +kubebuilder:validation:Enum=Deny;Warn;Audit
type Action string

// The actions.
const (
	ActionDeny  Action = "Deny"
	ActionWarn  Action = "Warn"
	ActionAudit Action = "Audit"
)

// leastStrictFirst has every action that this version knows.
var leastStrictFirst = []Action{ActionAudit, ActionWarn, ActionDeny}

// Effective returns the action that is taken for a: Deny where a is unset, or unknown to
// this version.
func (a Action) Effective() Action {
	if slices.Contains(leastStrictFirst, a) {
		return a
	}
	return ActionDeny
}

// CompareStrictness returns a negative number where a is less strict than b, a positive one
// where it is stricter, and otherwise 0.
func CompareStrictness(a, b Action) int {
	return slices.Index(leastStrictFirst, a.Effective()) - slices.Index(leastStrictFirst, b.Effective())
}

// Stricter returns the stricter of the two actions, as Effective returns it.
func Stricter(a, b Action) Action {
	if CompareStrictness(a, b) < 0 {
		a = b
	}
	return a.Effective()
}
