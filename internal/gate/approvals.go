package gate

import (
	"slices"
	"strings"

	"github.com/envladder/envladder/api/v1alpha1"
)

// approvals counts people, not statements: the same signer twice is one.
func (j *decision) approvals() []Reason {
	required := j.Gate.Spec.Requires.Approvals
	if required == nil {
		return nil
	}
	k := approvalKind
	k.about = func(e Evidence) bool { return e.Approval != nil }
	f := j.find(k, required.By, func(e Evidence) candidate { return j.assessApproval(e, required) })

	need := max(int(required.Count), 1) // unset in a file is 1; Check refuses less
	approved := j.people(f.candidates)
	if len(approved) >= need {
		return nil
	}
	reasons := []Reason{NewReason(NoApproval, "needs approvals by %d of %s, has %d", need, names(required.By), len(approved))}
	return append(reasons, j.nearestOther(f, k, required.By, approved)...)
}

// people returns the different people whose statements count.
func (j *decision) people(candidates []candidate) map[string]bool {
	people := map[string]bool{}
	for _, c := range candidates {
		if len(c.problems) == 0 {
			people[j.person(c.Evidence)] = true
		}
	}
	return people
}

// nearestOther returns what the nearest candidate by someone else lacks. Without one, it
// returns why existing statements can't count.
func (j *decision) nearestOther(f found, k kind, by []string, counted map[string]bool) []Reason {
	nearest := slices.IndexFunc(f.candidates, func(c candidate) bool {
		return len(c.problems) > 0 && !counted[j.person(c.Evidence)]
	})
	if nearest < 0 {
		return f.uncounted(k, by)
	}
	return f.candidates[nearest].problems
}

// person returns the person who signed. A keyless signer may be several people, and a person several
// signers: one identity is one person for all signers, and is the person that a
// Gate's signer names. In doubt, two are counted as one.
func (j *decision) person(e Evidence) string {
	switch named := j.signers[e.Signer].Person; {
	case named != "":
		return "person " + strings.ToLower(named)
	case e.Identity != "":
		return "person " + strings.ToLower(e.Identity)
	case e.Key != "":
		return "key " + e.Key
	default:
		return "signer " + e.Signer
	}
}

func (j *decision) assessApproval(e Evidence, required *v1alpha1.ApprovalRequirement) candidate {
	c := candidate{Evidence: e}
	a := e.Approval
	problem := func(r Reason) { c.problems = append(c.problems, r) }

	if want := j.Gate.Spec.Environment; a.Environment != want {
		c.unrelated = true
		problem(NewReason(OtherEnvironment, "%s is for environment %s, not %s", e.title(), quote(a.Environment), quote(want)))
	}
	if want := j.Image.Ladder; want != "" && a.Ladder != want {
		c.unrelated = true
		problem(NewReason(OtherLadder, "%s is for ladder %s, not %s", e.title(), quote(a.Ladder), quote(want)))
	}
	// An expiry can only lead to a denial, and therefore needs no trusted clock. Like
	// maxAge it applies to deploys: time alone doesn't stop the restart of a running pod.
	if end := a.ExpiresAt; end != nil && !j.at.Before(*end) && !j.ageless {
		problem(NewReason(ApprovalExpired, "%s expired %s", e.title(), stamp(*end)))
	}
	if a.ApprovedAt != nil {
		c.figure = a.ApprovedAt.Unix()
	}
	if required.MaxAge != nil {
		c.problems = append(c.problems, j.tooOld(e, a.ApprovedAt, required.MaxAge.Duration, ApprovalTooOld)...)
	}
	return c
}
