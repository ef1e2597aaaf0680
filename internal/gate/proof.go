package gate

import (
	"cmp"
	"slices"

	"github.com/envladder/envladder/internal/digests"
	"github.com/envladder/envladder/internal/printable"
)

// kind is a kind of statement as a requirement asks for it.
type kind struct {
	// noun for messages: "soak".
	noun string
	// is reports whether a predicate type is of this kind.
	is func(predicateType string) bool
	// about reports whether a readable statement is about what is asked for (a suite by
	// its name); nil where each is.
	about func(Evidence) bool
	// missing is the code where there is none.
	missing Code
	// need is what is asked for, as a message begins; noun and signers where empty.
	need string
}

// candidate is a statement of the right kind by an accepted signer.
type candidate struct {
	Evidence
	// problems keep it from counting; none: it counts.
	problems []Reason
	// afar is set where it is about something else, a soak of another environment.
	afar bool
	// figure is how far it has come: healthy seconds, or the time of a test run.
	figure int64
}

// compareCandidates puts first what is nearest to counting. It looks at nothing but
// the candidates, so that the order of evidence can't change what is reported.
func compareCandidates(a, b candidate) int {
	return cmp.Or(
		compareBools(a.afar, b.afar),
		cmp.Compare(len(a.problems), len(b.problems)),
		cmp.Compare(b.figure, a.figure),
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

// found is the evidence of one kind, sorted out.
type found struct {
	candidates []candidate // nearest to counting first
	unreadable []Evidence
	wrong      []string // signers that the requirement doesn't accept
}

// find sorts out the evidence of a kind. assess says what is wrong with a statement.
func (j *decision) find(k kind, by []string, assess func(Evidence) candidate) found {
	return j.sort(j.Evidence, k, by, assess)
}

func (j *decision) sort(evidence []Evidence, k kind, by []string, assess func(Evidence) candidate) found {
	var f found
	for _, e := range evidence {
		if !k.is(e.PredicateType) {
			continue
		}
		switch counts := slices.Contains(by, e.Signer); {
		case e.Malformed != "" && counts:
			f.unreadable = append(f.unreadable, e)
		case e.Malformed != "" || k.about != nil && !k.about(e):
		case counts:
			c := assess(e)
			c.problems = append(c.problems, j.ended(e)...)
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

// need asks for one statement that counts, and says what the nearest one lacks.
// More evidence never takes the one away that counts.
func (j *decision) need(k kind, by []string, assess func(Evidence) candidate) []Reason {
	f := j.find(k, by, assess)
	if len(f.candidates) > 0 {
		nearest := f.candidates[0]
		if nearest.afar {
			return slices.Concat(nearest.problems, f.asides(k, by))
		}
		return nearest.problems
	}
	need := cmp.Or(k.need, "a "+k.noun)
	return append(f.asides(k, by), NewReason(k.missing, "needs %s by %s, has none", need, anyOf(by)))
}

// asides tell of what is there but doesn't count.
func (f found) asides(k kind, by []string) []Reason {
	const most = 3 // the first few say it all
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
