package promote

import (
	"maps"
	"slices"

	"github.com/envladder/envladder/internal/digests"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/verdict"
)

// Outcome of a promotion into one place.
type Outcome string

// The outcomes.
const (
	// UpToDate: the place has the candidate already.
	UpToDate Outcome = "UpToDate"
	// Committed to the base branch.
	Committed Outcome = "Committed"
	// Pushed to a branch whose pull request couldn't be opened or updated.
	Pushed Outcome = "Pushed"
	// Opened and Updated are said of the pull request.
	Opened  Outcome = "Opened"
	Updated Outcome = "Updated"
	// Withdrawn: the place has the candidate, and the pull request that proposed what the
	// environment before has gone back from was closed.
	Withdrawn Outcome = "Withdrawn"
	// RolledBack: the place was rolled back from the candidate, which isn't proposed again
	// unless it is named.
	RolledBack Outcome = "RolledBack"
	// Refused: the cluster would deny it, or another target comes first.
	Refused Outcome = "Refused"
	// Planned is what a dry run says in place of the last three.
	Planned Outcome = "Planned"
)

// Reason why a promotion is refused.
type Reason = gate.Reason

// CodeTooEarly is the code of a target that comes after one that hasn't got the digest.
const CodeTooEarly gate.Code = "TooEarly"

// Change is one value of the pins.
type Change struct {
	// Image is its name in the ladder, empty for the chart.
	Image string `json:"image,omitempty"`
	// Repository of the image.
	Repository string `json:"repository,omitempty"`
	Old        string `json:"old"`
	New        string `json:"new"`
	// CarriedOver is set where another promotion put it on the branch.
	CarriedOver bool `json:"carriedOver,omitempty"`
}

// key of the value in the pins.
func (c Change) key() []string {
	if c.Image == "" {
		return []string{"chart"}
	}
	return []string{"images", c.Image}
}

// PullRequest is where the promotion can be looked at.
type PullRequest struct {
	Number int    `json:"number"`
	URL    string `json:"url"`
	Draft  bool   `json:"draft"`
}

// Result is what became of a promotion into one place.
type Result struct {
	Ladder      string   `json:"ladder"`
	Environment string   `json:"environment"`
	Targets     []string `json:"targets,omitempty"`
	// Place is prod, or prod/eu.
	Place   string   `json:"place"`
	Outcome Outcome  `json:"outcome"`
	Changes []Change `json:"changes"`
	// Pins is the path of the file in the repository.
	Pins string `json:"pins"`
	Base string `json:"base"`
	// Branch and PullRequest are empty where it is committed to the base.
	Branch      string       `json:"branch,omitempty"`
	Commit      string       `json:"commit,omitempty"`
	PullRequest *PullRequest `json:"pullRequest,omitempty"`
	// Reasons beside the Gate's.
	Reasons []Reason `json:"reasons"`
	// Verdicts are what the Gates say; empty where there was none to ask.
	Verdicts []Judged `json:"verdicts"`
	// Notes for people.
	Notes []string `json:"notes,omitempty"`
	Title string   `json:"title,omitempty"`
	Text  string   `json:"text,omitempty"`
	// Diff is set in a dry run.
	Diff string `json:"diff,omitempty"`

	// asked is set where a Gate was; stays where the pull request is a draft that stays
	// one because none was.
	asked, stays bool
}

// Judged is a Gate's verdict on an image, and what it was shown.
type Judged struct {
	gate.Verdict

	// Name of the image in the ladder.
	Name string `json:"name"`
	// Action of the Gate on a denial.
	Action string `json:"action"`
	// Environment of the Gate.
	Environment string  `json:"environment,omitempty"`
	Proofs      []Proof `json:"proofs"`
}

// denies says whether the cluster would refuse it.
func (j Judged) denies() bool { return !j.Allowed && j.Action == "Deny" }

// open says whether the promotion has reasons that are still open.
func (r *Result) open() bool {
	return len(r.Reasons) > 0 || slices.ContainsFunc(r.Verdicts, Judged.denies)
}

// done reports whether something was pushed.
func (r *Result) done() bool {
	return slices.Contains([]Outcome{Committed, Pushed, Opened, Updated, Withdrawn}, r.Outcome)
}

// has says whether a code is among the reasons beside the Gate's.
func (r *Result) has(code gate.Code) bool {
	return slices.ContainsFunc(r.Reasons, func(reason Reason) bool { return reason.Code == code })
}

// judged are outcomes with what was proven.
func judged(name string, gates []verdict.Gate, outcomes []verdict.Outcome, now clock) []Judged {
	all := make([]Judged, len(outcomes))
	for i, outcome := range outcomes {
		j := Judged{Verdict: outcome.Verdict, Name: name, Action: string(outcome.Action), Proofs: []Proof{}}
		if at := slices.IndexFunc(gates, func(g verdict.Gate) bool { return g.Name == outcome.Gate.Name }); at >= 0 {
			j.Environment = gates[at].Spec.Environment
			j.Proofs = proofs(&gates[at].Spec, outcome.Evidence, now())
		}
		all[i] = j
	}
	return all
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// short is a digest as people compare it.
func short(digest string) string {
	if digest == "" {
		return "nothing"
	}
	return digests.Short(digest)
}
