package gate

import "github.com/envladder/envladder/api/v1alpha1"

// Results that a test run can claim and still pass.
const (
	resultPassed = "PASSED"
	resultWarned = "WARNED"
)

func (j *decision) tests() []Reason {
	var reasons []Reason
	for _, required := range j.Gate.Spec.Requires.Tests {
		k := testKind
		k.noun = "test result of suite " + quote(required.Name)
		k.about = func(e Evidence) bool { return e.Test != nil && e.Test.suite() == required.Name }
		reasons = append(reasons, j.need(k, required.By, func(e Evidence) candidate {
			return j.assessTest(e, required)
		})...)
	}
	return reasons
}

// assessTest counts passed and failed tests. The claimed result PASSED is not enough: at
// least one passed test must be listed. Any other claimed result is a failure.
func (j *decision) assessTest(e Evidence, required v1alpha1.TestRequirement) candidate {
	c := candidate{Evidence: e}
	test := e.Test
	if test.FinishedAt != nil {
		c.figure = test.FinishedAt.Unix()
	}
	switch failed, passed := len(test.FailedTests), len(test.PassedTests)+len(test.WarnedTests); {
	case failed > 0:
		c.problems = append(c.problems, NewReason(TestFailed, "%s: %d of %d tests failed: %s", e.title(), failed, failed+passed, names(test.FailedTests)))
	case test.Result != resultPassed && test.Result != resultWarned:
		c.problems = append(c.problems, NewReason(TestFailed, "%s: its result is %s", e.title(), quote(test.Result)))
	case passed == 0:
		c.problems = append(c.problems, NewReason(TestEmpty, "%s lists no passed test", e.title()))
	}
	if required.MaxAge != nil {
		c.problems = append(c.problems, j.tooOld(e, test.FinishedAt, required.MaxAge.Duration, TestTooOld)...)
	}
	return c
}

// suite returns the name of the first configuration: in-toto's predicate has no other field
// for it.
func (t *Test) suite() string {
	if len(t.Configuration) == 0 {
		return ""
	}
	return t.Configuration[0].Name
}
