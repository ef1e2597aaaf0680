package promote

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/printable"
)

// Proof is the evidence that there is for one requirement of a Gate, whether it is
// enough or not.
type Proof struct {
	// Requirement: signature, SBOM, soak, approval, or `test` and the suite's name.
	Requirement string `json:"requirement"`
	// Signers whose word it is.
	Signers []string `json:"signers"`
	// Figure is what it shows: 25h/24h of a soak, 1/2 of approvals.
	Figure string `json:"figure,omitempty"`
	// At is when that was, as the statement says or a timestamp proves.
	At *time.Time `json:"at,omitempty"`
	// Age is At before now.
	Age string `json:"age,omitempty"`
}

// proofs finds the nearest evidence for each requirement. The verdict says what counts;
// this says what there is.
func proofs(spec *v1alpha1.GateSpec, evidence []gate.Evidence, now time.Time) []Proof {
	all := []Proof{}
	add := func(p Proof, ok bool) {
		if ok {
			if p.At != nil {
				p.Age = age(now.Sub(*p.At))
			}
			all = append(all, p)
		}
	}
	requires := spec.Requires
	if r := requires.Signature; r != nil {
		add(plainProof("signature", r.By, evidence, func(e gate.Evidence) bool { return e.PredicateType == gate.PredicateSignature }))
	}
	if r := requires.SBOM; r != nil {
		add(plainProof("SBOM", r.By, evidence, func(e gate.Evidence) bool { return gate.IsSBOM(e.PredicateType) }))
	}
	if r := requires.Soak; r != nil {
		add(soakProof(r, evidence))
	}
	for _, r := range requires.Tests {
		add(testProof(r, evidence))
	}
	if r := requires.Approvals; r != nil {
		add(approvalProof(spec.Environment, r, evidence))
	}
	return all
}

// plainProof is the newest statement of a kind by one of the signers.
func plainProof(requirement string, by []string, evidence []gate.Evidence, is func(gate.Evidence) bool) (Proof, bool) {
	p := Proof{Requirement: requirement}
	for _, e := range evidence {
		if !slices.Contains(by, e.Signer) || !is(e) {
			continue
		}
		if len(p.Signers) == 0 || p.At != nil && e.Signed.After(*p.At) {
			p.Signers, p.At = []string{signer(e)}, moment(e.Signed)
		}
	}
	return p, len(p.Signers) > 0
}

// soakProof is the soak with the most healthy time in the environment that is asked for.
func soakProof(r *v1alpha1.SoakRequirement, evidence []gate.Evidence) (Proof, bool) {
	best, found := gate.Evidence{}, false
	for _, e := range evidence {
		if e.Soak == nil || !slices.Contains(r.By, e.Signer) || e.Soak.Environment != r.Environment {
			continue
		}
		if !found || e.Soak.Window.HealthySeconds > best.Soak.Window.HealthySeconds {
			best, found = e, true
		}
	}
	if !found {
		return Proof{}, false
	}
	// What a statement claims may not fit a duration.
	seconds := min(max(best.Soak.Window.HealthySeconds, 0), int64(time.Duration(1<<63-1)/time.Second))
	return Proof{
		Requirement: "soak", Signers: []string{signer(best)}, At: best.Soak.Window.FinishedAt,
		Figure: printable.Duration(time.Duration(seconds)*time.Second) + "/" + printable.Duration(r.Duration.Duration),
	}, true
}

// testProof is the newest result of the suite.
func testProof(r v1alpha1.TestRequirement, evidence []gate.Evidence) (Proof, bool) {
	p := Proof{Requirement: "test " + r.Name}
	for _, e := range evidence {
		if e.Test == nil || !slices.Contains(r.By, e.Signer) || len(e.Test.Configuration) == 0 || e.Test.Configuration[0].Name != r.Name {
			continue
		}
		at := e.Test.FinishedAt
		if len(p.Signers) == 0 || p.At != nil && at != nil && at.After(*p.At) {
			passed, failed := len(e.Test.PassedTests)+len(e.Test.WarnedTests), len(e.Test.FailedTests)
			p.Signers, p.At, p.Figure = []string{signer(e)}, at, fmt.Sprintf("%d/%d passed", passed, passed+failed)
		}
	}
	return p, len(p.Signers) > 0
}

// approvalProof counts those who approved the environment.
func approvalProof(environment string, r *v1alpha1.ApprovalRequirement, evidence []gate.Evidence) (Proof, bool) {
	p := Proof{Requirement: "approval"}
	for _, e := range evidence {
		if e.Approval == nil || !slices.Contains(r.By, e.Signer) || e.Approval.Environment != environment {
			continue
		}
		if !slices.Contains(p.Signers, signer(e)) {
			p.Signers = append(p.Signers, signer(e))
		}
		if at := e.Approval.ApprovedAt; at != nil && (p.At == nil || at.After(*p.At)) {
			p.At = at
		}
	}
	slices.Sort(p.Signers)
	p.Figure = fmt.Sprintf("%d/%d", len(p.Signers), max(r.Count, 1))
	return p, len(p.Signers) > 0
}

// signer names who signed; of a keyless signer the person.
func signer(e gate.Evidence) string {
	return printable.Line(cmp.Or(e.Identity, e.Signer), 100) // a name or an address
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// age is a time in the largest unit that says enough.
func age(d time.Duration) string {
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
