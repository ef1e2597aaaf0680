package gate

import (
	"cmp"
	"slices"

	"github.com/envladder/envladder/internal/digests"
	"github.com/envladder/envladder/internal/printable"
)

// kind is a kind of statement that a requirement needs.
type kind struct {
	// noun for messages: "soak".
	noun string
	// is reports whether a predicate type is of this kind.
	is func(predicateType string) bool
	// about reports whether a readable statement is about what is required (a suite by its
	// name); nil if every statement is.
	about func(Evidence) bool
	// missing is the code to report if there is no such statement.
	missing Code
	// need describes the requirement at the start of a message; empty for "a" and the noun.
	need string
}

// candidate is a statement of the right kind by an accepted signer.
type candidate struct {
	Evidence
	// problems are the reasons why it doesn't count; if there are none, it counts.
	problems []Reason
	// unrelated is set if it is about something else, such as a soak of another environment.
	unrelated bool
	// figure is its progress: healthy seconds, or the time of a test run. claimed are the
	// healthy seconds that it states, of which figure are proven.
	figure, claimed int64
}

// compareCandidates orders candidates by how close they are to counting. It compares only
// the candidates, so that the order of evidence can't change what is reported.
func compareCandidates(a, b candidate) int {
	return cmp.Or(
		compareBools(a.unrelated, b.unrelated),
		cmp.Compare(len(a.problems), len(b.problems)),
		cmp.Compare(b.figure, a.figure),
		cmp.Compare(b.claimed, a.claimed),
		cmp.Compare(a.Signer, b.Signer),
		cmp.Compare(a.Source, b.Source),
		slices.CompareFunc(a.problems, b.problems, compareReasons),
	)
}

func compareBools(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	default:
		return 1
	}
}

// found is the evidence of one kind, grouped by whether it can count.
type found struct {
	candidates []candidate // nearest to counting first
	unreadable []Evidence
	wrong      []string // signers that the requirement doesn't accept
}

// find groups the evidence of a kind. assess finds the problems of a statement.
func (j *decision) find(k kind, by []string, assess func(Evidence) candidate) found {
	return j.group(j.Evidence, k, by, assess)
}

// group groups some evidence of a kind, as find does.
func (j *decision) group(evidence []Evidence, k kind, by []string, assess func(Evidence) candidate) found {
	var f found
	for _, e := range evidence {
		if !k.is(e.PredicateType) {
			continue
		}
		switch counts := slices.Contains(by, e.Signer); {
		case e.Malformed != "" && counts:
			f.unreadable = append(f.unreadable, e)
		case e.Malformed != "" || (k.about != nil && !k.about(e)):
		case counts:
			c := assess(e)
			c.problems = append(c.problems, j.signerEnded(e)...)
			f.candidates = append(f.candidates, c)
		default:
			f.wrong = append(f.wrong, e.Signer)
		}
	}
	slices.SortFunc(f.candidates, compareCandidates)
	slices.Sort(f.wrong)
	f.wrong = slices.Compact(f.wrong)
	return f
}

// need requires one statement that counts, and returns what the closest candidate lacks.
// Additional evidence never invalidates a statement that counts.
func (j *decision) need(k kind, by []string, assess func(Evidence) candidate) []Reason {
	f := j.find(k, by, assess)
	if len(f.candidates) > 0 {
		nearest := f.candidates[0]
		if nearest.unrelated {
			return slices.Concat(nearest.problems, f.uncounted(k, by))
		}
		return nearest.problems
	}
	need := cmp.Or(k.need, "a "+k.noun)
	return append(f.uncounted(k, by), NewReason(k.missing, "needs %s by %s, has none", need, anyOf(by)))
}

// uncounted returns the reasons why existing evidence can't count: it is unreadable, or by
// another signer.
func (f found) uncounted(k kind, by []string) []Reason {
	const most = 3 // more would say the same
	var reasons []Reason
	unreadable := make([]Reason, 0, len(f.unreadable))
	for _, e := range f.unreadable {
		unreadable = append(unreadable, NewReason(Undecodable, "%s can't be read: %s", e.title(), printable.Line(e.Malformed, maxName)))
	}
	slices.SortFunc(unreadable, compareReasons)
	reasons = append(reasons, unreadable[:min(most, len(unreadable))]...)
	if len(f.wrong) > 0 {
		reasons = append(reasons, NewReason(WrongSigner, "the only %s is signed by %s, not by %s", k.noun, anyOf(f.wrong), anyOf(by)))
	}
	return reasons
}

// title names a statement in a message: soak by "staging-observer" (sha256:0123456789ab).
func (e Evidence) title() string {
	text := nounOf(e.PredicateType)
	if e.Test != nil {
		text += " of suite " + quote(e.Test.suite())
	}
	text += " by " + quote(e.Signer)
	if e.Source != "" {
		text += " (" + digests.Short(e.Source) + ")"
	}
	return text
}
