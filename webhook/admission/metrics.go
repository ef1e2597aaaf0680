package admission

// Metrics counts reviews. Its methods get no values from a request: anyone who may create
// pods could make as many as they like.
type Metrics interface {
	// CountReview counts a review by its verdict and the codes of its denials.
	CountReview(verdict string, dryRun bool, codes []string)
	// CountHTTPError counts a call that was answered with an HTTP error.
	CountHTTPError(status int)
	// StartPhase starts the time of a phase; the returned function ends it.
	StartPhase(phase string) (end func())
}

// Phases of a request.
const (
	PhaseRead  = "read"  // reading the object and its owners
	PhaseJudge = "judge" // fetching evidence and judging
	PhaseAll   = "all"   // from the body to the answer
)

// noMetrics counts nothing.
type noMetrics struct{}

func (noMetrics) CountReview(string, bool, []string) {}
func (noMetrics) CountHTTPError(int)                 {}
func (noMetrics) StartPhase(string) func()           { return func() {} }
