package verdict

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/evidence"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/registry"
)

// Judge returns an Outcome for each Gate that judges the image, and for each other one
// that denies it nevertheless (it can't be judged by, or the digest was recalled);
// where no Gate judges the image, one that says who lets it by, or that nobody does.
// There is always at least one, and no error beside it: what can't be decided is a
// denial with its code, so that no caller can let by what wasn't judged.
func (j *Judge) Judge(ctx context.Context, query Query) []Outcome {
	if len(query.Gates) == 0 {
		return []Outcome{query.deny(gate.NoGate, "no Gate was asked")}
	}
	reference, err := registry.ParseReference(query.Reference)
	if err != nil {
		return []Outcome{query.deny(gate.UnknownImage, "%v", err)}
	}
	listed, unlisted := list(query.Gates, reference)
	outcomes := append(j.judgeListed(ctx, query, listed), query.objections(reference, unlisted)...)
	if len(outcomes) > 0 {
		return outcomes
	}
	return []Outcome{query.judgeOther(reference)}
}

// listing is a Gate and what it knows the image as.
type listing struct {
	Gate

	image gate.Image
}

func list(gates []Gate, reference registry.Reference) (listed []listing, unlisted []Gate) {
	for _, g := range gates {
		image, ok := gate.FindImage(&g.Spec, reference.Repository)
		if !ok {
			unlisted = append(unlisted, g)
			continue
		}
		image.Digest = reference.Digest
		listed = append(listed, listing{Gate: g, image: image})
	}
	return listed, unlisted
}

// judgeListed asks all Gates at once: a slow registry costs its time once.
func (j *Judge) judgeListed(ctx context.Context, query Query, listed []listing) []Outcome {
	outcomes := make([]Outcome, len(listed))
	var group sync.WaitGroup
	for i, l := range listed {
		group.Go(func() {
			outcomes[i] = Outcome{Action: action(l.Gate), Verdict: j.judgeImage(ctx, query, l)}
		})
	}
	group.Wait()
	return outcomes
}

// judgeImage tries what is known first. A denial is never made of that alone: what was
// missing may have come.
func (j *Judge) judgeImage(ctx context.Context, query Query, l listing) gate.Verdict {
	if l.image.Digest == "" {
		reason := gate.NewReason(gate.NoDigest, "%s names no digest", query.Reference)
		return named(gate.Deny(l.image, gate.RefTo(l.Gate.Gate), reason), query.Reference)
	}
	request := query.request(l.Gate, l.image)
	request.Evidence = j.source.Known(l.image.Repository, l.image.Digest, l.Spec.Signers)
	if len(request.Evidence) > 0 {
		if verdict := gate.Decide(request); verdict.Allowed {
			return verdict
		}
	}
	var err error
	request.Evidence, err = j.source.Fetch(ctx, l.image.Repository, l.image.Digest, l.Spec.Signers)
	verdict := gate.Decide(request)
	if verdict.Allowed || err == nil {
		return verdict
	}
	return gate.Deny(l.image, verdict.Gate, append(verdict.Reasons, incomplete(err, verdict)...)...)
}

// incomplete says why evidence may be missing from a denial.
func incomplete(err error, verdict gate.Verdict) []gate.Reason {
	var signer *evidence.SignerError
	switch {
	case !errors.As(err, &signer):
		return []gate.Reason{gate.NewReason(gate.RegistryUnavailable, "%s", oneLine(err))}
	case has(verdict, gate.GateInvalid) || has(verdict, gate.Unsupported):
		return nil // said already, with its path in the Gate
	default:
		return []gate.Reason{gate.NewReason(gate.GateInvalid, "%s", oneLine(err))}
	}
}

// oneLine is the parts of a joined error beside each other.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

func has(verdict gate.Verdict, code gate.Code) bool {
	return slices.ContainsFunc(verdict.Reasons, func(r gate.Reason) bool { return r.Code == code })
}

// objections are the denials of Gates that don't list the image: one that can't be
// judged by lets nothing into its namespaces, and a Recall counts in all of them.
func (q Query) objections(reference registry.Reference, gates []Gate) []Outcome {
	var outcomes []Outcome
	for _, g := range gates {
		verdict := gate.DecideOther(q.request(g, imageOf(reference)))
		if !verdict.Allowed {
			outcomes = append(outcomes, Outcome{Verdict: named(verdict, reference.String()), Action: action(g)})
		}
	}
	return outcomes
}

// judgeOther judges an image that no Gate lists and to which none objects: one entry
// of one Gate's `others` lets it by.
func (q Query) judgeOther(reference registry.Reference) Outcome {
	tagged := ""
	for _, g := range q.Gates {
		other, ok := gate.FindOther(&g.Spec, reference.Repository)
		switch {
		case !ok:
		case reference.Digest == "" && other.Tags != v1alpha1.TagsAllow:
			tagged = g.Name
		default:
			verdict := gate.DecideOther(q.request(g, imageOf(reference)))
			return Outcome{Verdict: named(verdict, reference.String()), Action: action(g)}
		}
	}
	if tagged != "" {
		return q.deny(gate.NoDigest, "%s names no digest, and Gate %q lets it by with a digest only (others[].tags: Allow would let tags by)", reference, tagged)
	}
	return q.deny(gate.UnknownImage, "no Gate of the namespace (%s) lists %s", q.names(), reference.Repository)
}

// deny is the word of all Gates of the namespace: under the strictest one's name.
func (q Query) deny(code gate.Code, format string, arguments ...any) Outcome {
	var by gate.Ref
	strictest := v1alpha1.ActionDeny
	if len(q.Gates) > 0 {
		g := slices.MinFunc(q.Gates, func(a, b Gate) int { return strictness(b) - strictness(a) })
		by, strictest = gate.RefTo(g.Gate), action(g)
	}
	verdict := gate.Deny(gate.Image{}, by, gate.NewReason(code, format, arguments...))
	return Outcome{Verdict: named(verdict, q.Reference), Action: strictest}
}

// action is the Gate's; one that this version doesn't know denies.
func action(g Gate) v1alpha1.Action {
	switch g.Spec.Action {
	case v1alpha1.ActionWarn, v1alpha1.ActionAudit:
		return g.Spec.Action
	default:
		return v1alpha1.ActionDeny
	}
}

func strictness(g Gate) int {
	switch action(g) {
	case v1alpha1.ActionAudit:
		return 0
	case v1alpha1.ActionWarn:
		return 1
	default:
		return 2
	}
}

func (q Query) names() string {
	names := make([]string, len(q.Gates))
	for i, g := range q.Gates {
		names[i] = fmt.Sprintf("%q", g.Name)
	}
	return strings.Join(names, ", ")
}

func (q Query) request(g Gate, image gate.Image) gate.Request {
	return gate.Request{
		Gate: g.Gate, Unknown: g.Unknown, Image: image, Stamps: q.Stamps,
		Recalls: q.Recalls, Rescheduled: q.Rescheduled, Now: q.Now,
	}
}

func imageOf(reference registry.Reference) gate.Image {
	return gate.Image{Repository: reference.Repository, Digest: reference.Digest}
}

// maxName bounds what a verdict repeats of a reference that may be anything.
const maxName = 512

// named gives a verdict the image's name as the pod has it, where it has no digest or
// isn't in the Gate.
func named(verdict gate.Verdict, reference string) gate.Verdict {
	verdict.Image = gate.Clean(reference, maxName)
	return verdict
}
