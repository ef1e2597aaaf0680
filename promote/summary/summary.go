package summary

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/printable"
)

// Evidence summarizes the evidence for one requirement of a Gate.
type Evidence struct {
	// Requirement: signature, SBOM, soak, approval, or `test` and the suite's name.
	Requirement string `json:"requirement"`
	// Signers of the statements.
	Signers []string `json:"signers"`
	// Figure: 25h/24h of a soak, 1/2 approvals.
	Figure string `json:"figure,omitempty"`
	// At is the time in the statement, or of a timestamp.
	At *time.Time `json:"at,omitempty"`
	// Age is the time since At.
	Age string `json:"age,omitempty"`
}

// Summarize returns the nearest evidence for each requirement.
func Summarize(spec *v1alpha1.GateSpec, evidence []gate.Evidence, now time.Time) []Evidence {
	summaries := []Evidence{}
	add := func(s Evidence, found bool) {
		if found {
			if s.At != nil {
				s.Age = formatAge(now.Sub(*s.At))
			}
			summaries = append(summaries, s)
		}
	}
	requires := spec.Requires
	if r := requires.Signature; r != nil {
		add(newest("signature", r.By, evidence, func(e gate.Evidence) bool { return e.PredicateType == gate.PredicateSignature }))
	}
	if r := requires.SBOM; r != nil {
		add(newest("SBOM", r.By, evidence, func(e gate.Evidence) bool { return gate.IsSBOM(e.PredicateType) }))
	}
	if r := requires.Soak; r != nil {
		add(longestSoak(r, evidence))
	}
	for _, r := range requires.Tests {
		add(newestTest(r, evidence))
	}
	if r := requires.Approvals; r != nil {
		add(approvals(spec.Environment, r, evidence))
	}
	return summaries
}

// newest returns the newest statement of a kind by one of the signers.
func newest(requirement string, by []string, evidence []gate.Evidence, isKind func(gate.Evidence) bool) (Evidence, bool) {
	s := Evidence{Requirement: requirement}
	for _, e := range evidence {
		if !slices.Contains(by, e.Signer) || !isKind(e) {
			continue
		}
		if len(s.Signers) == 0 || (s.At != nil && e.Signed.After(*s.At)) {
			s.Signers = []string{signerName(e)}
			s.At = timeOrNil(e.Signed)
		}
	}
	return s, len(s.Signers) > 0
}

// longestSoak returns the soak with the most healthy time in the required environment.
func longestSoak(r *v1alpha1.SoakRequirement, evidence []gate.Evidence) (Evidence, bool) {
	longest, found := gate.Evidence{}, false
	for _, e := range evidence {
		if e.Soak == nil || !slices.Contains(r.By, e.Signer) || e.Soak.Environment != r.Environment {
			continue
		}
		if !found || e.Soak.Window.HealthySeconds > longest.Soak.Window.HealthySeconds {
			longest, found = e, true
		}
	}
	if !found {
		return Evidence{}, false
	}
	// The statement's figure may not fit a duration.
	seconds := min(max(longest.Soak.Window.HealthySeconds, 0), int64(time.Duration(1<<63-1)/time.Second))
	return Evidence{
		Requirement: "soak", Signers: []string{signerName(longest)}, At: longest.Soak.Window.FinishedAt,
		Figure: printable.Duration(time.Duration(seconds)*time.Second) + "/" + printable.Duration(r.Duration.Duration),
	}, true
}

// newestTest returns the newest result of the suite.
func newestTest(r v1alpha1.TestRequirement, evidence []gate.Evidence) (Evidence, bool) {
	s := Evidence{Requirement: "test " + r.Name}
	for _, e := range evidence {
		if e.Test == nil || !slices.Contains(r.By, e.Signer) || len(e.Test.Configuration) == 0 || e.Test.Configuration[0].Name != r.Name {
			continue
		}
		at := e.Test.FinishedAt
		if len(s.Signers) == 0 || (s.At != nil && at != nil && at.After(*s.At)) {
			passed, failed := len(e.Test.PassedTests)+len(e.Test.WarnedTests), len(e.Test.FailedTests)
			s.Signers = []string{signerName(e)}
			s.At = at
			s.Figure = fmt.Sprintf("%d/%d passed", passed, passed+failed)
		}
	}
	return s, len(s.Signers) > 0
}

// approvals counts the people who approved the environment.
func approvals(environment string, r *v1alpha1.ApprovalRequirement, evidence []gate.Evidence) (Evidence, bool) {
	s := Evidence{Requirement: "approval"}
	for _, e := range evidence {
		if e.Approval == nil || !slices.Contains(r.By, e.Signer) || e.Approval.Environment != environment {
			continue
		}
		if !slices.Contains(s.Signers, signerName(e)) {
			s.Signers = append(s.Signers, signerName(e))
		}
		if at := e.Approval.ApprovedAt; at != nil && (s.At == nil || at.After(*s.At)) {
			s.At = at
		}
	}
	slices.Sort(s.Signers)
	s.Figure = fmt.Sprintf("%d/%d", len(s.Signers), max(r.Count, 1))
	return s, len(s.Signers) > 0
}

// signerName returns the identity of a keyless signer, or the signer's name in the Gate.
func signerName(e gate.Evidence) string {
	return printable.Line(cmp.Or(e.Identity, e.Signer), 100) // a name or an address
}

func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// formatAge formats an age in the largest unit that is precise enough.
func formatAge(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < 0:
		return "in the future"
	case d >= 2*day:
		return fmt.Sprintf("%dd ago", d/day)
	case d >= time.Hour:
		return fmt.Sprintf("%dh ago", d/time.Hour)
	case d >= time.Minute:
		return fmt.Sprintf("%dm ago", d/time.Minute)
	default:
		return "just now"
	}
}
