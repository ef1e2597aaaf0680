package promote

import (
	"cmp"
	"maps"
	"slices"

	"github.com/envladder/envladder/internal/digests"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/promote/summary"
)

// Outcome of a promotion into one environment or target.
type Outcome string

// The outcomes.
const (
	// UpToDate: the pins have the candidate already.
	UpToDate Outcome = "UpToDate"
	// Committed to the base branch.
	Committed Outcome = "Committed"
	// Pushed to a branch whose pull request couldn't be opened or updated.
	Pushed Outcome = "Pushed"
	// Opened and Updated: the pull request was.
	Opened  Outcome = "Opened"
	Updated Outcome = "Updated"
	// Withdrawn: the pins have the candidate, and the pull request was closed, since the
	// environment before has gone back from what it proposed.
	Withdrawn Outcome = "Withdrawn"
	// RolledBack: the pins were rolled back from the candidate, which is proposed again
	// only by name.
	RolledBack Outcome = "RolledBack"
	// Refused: the cluster would deny it, or another target comes first.
	Refused Outcome = "Refused"
	// Planned replaces Committed, Pushed, Opened and Updated in a dry run.
	Planned Outcome = "Planned"
)

// Reason why a promotion is refused.
type Reason = gate.Reason

// CodeTooEarly is the code for a target that comes after one that lacks the digest.
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

// key returns the position of the value in the pins.
func (c Change) key() []string {
	if c.Image == "" {
		return []string{"chart"}
	}
	return []string{"images", c.Image}
}

// name returns the image's name, or "chart".
func (c Change) name() string { return cmp.Or(c.Image, "chart") }

// value returns the value in some pins.
func (c Change) value(pins ladder.Pins) string {
	if c.Image == "" {
		return pins.Chart
	}
	return pins.Images[c.Image]
}

// PullRequest is the pull request of a promotion.
type PullRequest struct {
	Number int    `json:"number"`
	URL    string `json:"url"`
	Draft  bool   `json:"draft"`
}

// Result is the result of a promotion into one environment or target.
type Result struct {
	Ladder      string   `json:"ladder"`
	Environment string   `json:"environment"`
	Targets     []string `json:"targets,omitempty"`
	// EnvTarget is prod, or prod/eu.
	EnvTarget string   `json:"envTarget"`
	Outcome   Outcome  `json:"outcome"`
	Changes   []Change `json:"changes"`
	// Pins is the path of the pins file in the repository.
	Pins string `json:"pins"`
	Base string `json:"base"`
	// Branch and PullRequest are empty for a commit to the base.
	Branch      string       `json:"branch,omitempty"`
	Commit      string       `json:"commit,omitempty"`
	PullRequest *PullRequest `json:"pullRequest,omitempty"`
	// Reasons in addition to the Gates'.
	Reasons []Reason `json:"reasons"`
	// Verdicts of the Gates; empty where there was no Gate.
	Verdicts []GateResult `json:"verdicts"`
	// Notes for people.
	Notes []string `json:"notes,omitempty"`
	Title string   `json:"title,omitempty"`
	Body  string   `json:"body,omitempty"`
	// Diff is set in a dry run.
	Diff string `json:"diff,omitempty"`

	// gateChecked is set where a Gate was checked; staysDraft where the pull request
	// stays a draft because none was.
	gateChecked, staysDraft bool
}

// GateResult is a Gate's verdict on an image, with a summary of the evidence.
type GateResult struct {
	gate.Verdict

	// Name of the image in the ladder.
	Name string `json:"name"`
	// Action of the Gate on a denial.
	Action string `json:"action"`
	// Environment of the Gate.
	Environment string             `json:"environment,omitempty"`
	Evidence    []summary.Evidence `json:"evidence"`
}

// denies reports whether the cluster would deny the image.
func (g GateResult) denies() bool { return !g.Allowed && g.Action == "Deny" }

// unproven reports whether there are reasons to refuse the promotion.
func (r *Result) unproven() bool {
	return len(r.Reasons) > 0 || slices.ContainsFunc(r.Verdicts, GateResult.denies)
}

// unprovenReasons returns all reasons to refuse the promotion.
func (r *Result) unprovenReasons() []Reason {
	reasons := slices.Clone(r.Reasons)
	for _, g := range r.Verdicts {
		if g.denies() {
			reasons = append(reasons, g.Reasons...)
		}
	}
	return reasons
}

// done reports whether something was pushed.
func (r *Result) done() bool {
	return slices.Contains([]Outcome{Committed, Pushed, Opened, Updated, Withdrawn}, r.Outcome)
}

// has reports whether a code is among the reasons in addition to the Gates'.
func (r *Result) has(code gate.Code) bool {
	return slices.ContainsFunc(r.Reasons, func(reason Reason) bool { return reason.Code == code })
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func orNone(value string) string { return cmp.Or(value, "none") }

// shortOrNothing returns a digest as people compare it, or "nothing".
func shortOrNothing(digest string) string {
	if digest == "" {
		return "nothing"
	}
	return digests.Short(digest)
}
