package gate

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/printable"
)

// Exception is one of the cluster's Exceptions, with the verified statements in it: each is
// about the image's digest and signed by a signer of the Gate.
type Exception struct {
	Name     string
	Spec     v1alpha1.ExceptionSpec
	Evidence []Evidence
}

// Exempted is the Exception that admitted a digest.
type Exempted struct {
	Name   string `json:"name"`
	Reason string `json:"reason"`
	// By are the signers who granted the exemption.
	By        []string  `json:"by"`
	ExpiresAt time.Time `json:"expiresAt"`
	// Missing are the codes of the requirements that the digest doesn't meet.
	Missing []Code `json:"missing"`
}

// exempted returns the Exception that counts, or the reasons why those for the digest don't.
func (j *decision) exempted() (*Exempted, []Reason) {
	about := slices.DeleteFunc(slices.Clone(j.Exceptions), func(x Exception) bool { return x.Spec.Digest != j.Image.Digest })
	slices.SortFunc(about, func(a, b Exception) int { return cmp.Compare(a.Name, b.Name) })
	var reasons []Reason
	for _, x := range about {
		exempted, why := j.exempt(x)
		if exempted != nil {
			return exempted, nil
		}
		reasons = append(reasons, why)
	}
	return nil, reasons
}

func (j *decision) exempt(x Exception) (*Exempted, Reason) {
	policy, end := j.Gate.Spec.Exceptions, x.Spec.ExpiresAt.Time
	switch {
	case !slices.Contains(x.Spec.Namespaces, j.Namespace):
		return nil, NewReason(ExceptionElsewhere, "Exception %s is for namespaces %s", quote(x.Name), names(x.Spec.Namespaces))
	case policy == nil:
		return nil, NewReason(ExceptionRefused, "Exception %s names the digest, and Gate %s accepts no Exceptions", quote(x.Name), quote(j.Gate.Name))
	case j.expired(end):
		return nil, NewReason(ExceptionExpired, "Exception %s expired %s", quote(x.Name), stamp(end))
	}
	k := exceptionKind
	k.about = func(e Evidence) bool { return e.Permission != nil }
	f := j.group(x.Evidence, k, policy.By, j.assessPermission)
	people, signers := map[string]bool{}, []string{}
	for _, c := range f.candidates {
		if len(c.problems) > 0 {
			continue
		}
		people[j.person(c.Evidence)] = true
		signers = append(signers, cmp.Or(c.Identity, c.Signer))
		if c.Permission.ExpiresAt.Before(end) {
			end = *c.Permission.ExpiresAt
		}
	}
	if need := max(int(policy.Count), 1); len(people) < need {
		return nil, NewReason(ExceptionUnsigned, "Exception %s needs the signatures of %d of %s for namespace %s, has %d", quote(x.Name), need, names(policy.By), quote(j.Namespace), len(people))
	}
	slices.Sort(signers)
	return &Exempted{
		Name: printable.Line(x.Name, maxName), Reason: printable.Line(x.Spec.Reason, maxMessage),
		By: slices.Compact(signers), ExpiresAt: end,
	}, Reason{}
}

// assessPermission returns a statement with the reasons why it doesn't count. Its expiry can
// only lead to a denial, and therefore needs no trusted clock.
func (j *decision) assessPermission(e Evidence) candidate {
	c := candidate{Evidence: e}
	switch {
	case e.Permission.Namespace != j.Namespace || strings.TrimSpace(j.Namespace) == "":
		c.problems = []Reason{NewReason(ExceptionElsewhere, "%s is for namespace %s", e.title(), quote(e.Permission.Namespace))}
	case e.Permission.ExpiresAt == nil || j.expired(*e.Permission.ExpiresAt):
		c.problems = []Reason{NewReason(ExceptionExpired, "%s has expired", e.title())}
	}
	return c
}

// expired reports whether an expiry has passed. Time alone doesn't stop a digest that already
// runs.
func (j *decision) expired(end time.Time) bool { return !j.Rescheduled && !j.Now.Before(end) }
