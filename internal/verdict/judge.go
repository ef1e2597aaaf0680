package verdict

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/evidence"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/panics"
	"github.com/envladder/envladder/internal/printable"
	"github.com/envladder/envladder/internal/registry"
)

// Judge returns a GateVerdict for each Gate that lists the image, and for each other Gate that
// denies it (because the Gate is invalid, or the digest was recalled). If no Gate lists the
// image, one GateVerdict reports which Gate exempts it, or that none does. There is always at
// least one GateVerdict, and no error: an image that can't be judged is denied with a code, so
// that no caller can admit an image that wasn't judged.
//
// A Gate that lists or exempts an image decides for the Gates whose action is no stricter
// than its own. A stricter Gate that has no entry for the image denies it as if the others
// didn't exist: adding a Gate that only warns or audits admits nothing more.
func (j *Judge) Judge(ctx context.Context, query Query) []GateVerdict {
	if len(query.Gates) == 0 {
		return []GateVerdict{query.deny(gate.NoGate, "no Gate was given")}
	}
	if query.Reference == v1alpha1.InjectedImage {
		// Before the Gates: none of them can exempt a pod that wasn't injected.
		return []GateVerdict{query.deny(gate.NotInjected, "%q is the placeholder for the image that Istio injects, and Istio didn't inject this pod", query.Reference)}
	}
	reference, err := registry.ParseReference(query.Reference)
	if err != nil {
		return []GateVerdict{query.deny(gate.UnknownImage, "%v", err)}
	}
	listed, unlisted := list(query.Gates, reference)
	objections := query.objections(reference, unlisted)
	verdicts := append(j.judgeListed(ctx, query, listed), objections...)
	if rest := query.judgeRest(reference, listed); len(verdicts) == 0 || !rest.Allowed && !denies(objections, rest.Action) {
		verdicts = append(verdicts, rest)
	}
	return verdicts
}

// denies reports whether a verdict with this action denies already, for an invalid Gate or
// a Recall: no further reason is needed then.
func denies(verdicts []GateVerdict, action v1alpha1.Action) bool {
	return slices.ContainsFunc(verdicts, func(o GateVerdict) bool { return !o.Allowed && o.Action == action })
}

// listing is a Gate, and the image as the Gate lists it.
type listing struct {
	Gate

	image gate.Image
}

// list separates the Gates that list an image from the others.
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

// judgeListed judges by all Gates concurrently, so that a slow registry delays them only once.
func (j *Judge) judgeListed(ctx context.Context, query Query, listed []listing) []GateVerdict {
	verdicts := make([]GateVerdict, len(listed))
	var group sync.WaitGroup
	for i, l := range listed {
		group.Go(func() {
			verdicts[i] = j.judgeSafely(ctx, query, l)
		})
	}
	group.Wait()
	return verdicts
}

// judgeSafely calls judgeImage, and returns a denial if it panics.
func (j *Judge) judgeSafely(ctx context.Context, query Query, l listing) GateVerdict {
	result := GateVerdict{Action: l.Spec.Action.Effective(), EvidenceQuery: query.evidenceQuery(l)}
	err := panics.Catch(func() error {
		result.Verdict, result.Evidence = j.judgeImage(ctx, query, l, result.EvidenceQuery)
		return nil
	})
	if err != nil {
		result.Verdict = gate.Deny(l.image, l.gateRef(), doubts(ctx, err)...)
	}
	return result
}

// judgeImage judges by the cached evidence first. It never denies by that alone: missing
// evidence may exist in the registry by now.
func (j *Judge) judgeImage(ctx context.Context, query Query, l listing, wanted evidence.Query) (gate.Verdict, []gate.Evidence) {
	if l.image.Digest == "" {
		reason := gate.NewReason(gate.NoDigest, "%s names no digest", query.Reference)
		return withReference(gate.Deny(l.image, l.gateRef(), reason), query.Reference), nil
	}
	request := query.request(l.Gate, l.image)
	request.Evidence = j.source.Known(ctx, wanted)
	if len(request.Evidence) > 0 {
		if verdict := gate.Decide(request); verdict.Allowed {
			return verdict, request.Evidence
		}
	}
	var err error
	request.Evidence, err = j.source.Fetch(ctx, wanted)
	verdict := gate.Decide(request)
	if !verdict.Allowed && j.addExceptions(ctx, query, l, &request) {
		verdict = gate.Decide(request)
	}
	if !verdict.Allowed && err != nil {
		verdict = gate.Deny(l.image, verdict.Gate, incomplete(ctx, verdict, err)...)
	}
	return verdict, request.Evidence
}

// evidenceQuery returns the query for a Gate's evidence about an image.
func (q Query) evidenceQuery(l listing) evidence.Query {
	query := evidence.Query{Image: l.image, Signers: l.Spec.Signers}
	if signature := l.Spec.Requires.Signature; signature != nil && signature.ClusterImagePolicy != "" {
		name := signature.ClusterImagePolicy
		query.Policy = &evidence.Policy{Name: name, Document: q.Policies[name]}
	}
	return query
}

// addExceptions adds to a request the Exceptions for its digest, and reports whether there
// are any. Errors of signers were already reported with the evidence.
func (j *Judge) addExceptions(ctx context.Context, query Query, l listing, request *gate.Request) bool {
	for _, exception := range query.Exceptions {
		if exception.Spec.Digest != l.image.Digest {
			continue
		}
		statements, _ := j.source.VerifyException(ctx, exception, l.Spec.Signers)
		request.Exceptions = append(request.Exceptions, gate.Exception{Name: exception.Name, Spec: exception.Spec, Evidence: statements})
	}
	return len(request.Exceptions) > 0
}

// objections returns the denials of Gates that don't list the image: an invalid Gate admits
// nothing to its namespaces, and a Recall applies in all of them.
func (q Query) objections(reference registry.Reference, gates []Gate) []GateVerdict {
	var verdicts []GateVerdict
	for _, g := range gates {
		verdict := gate.DecideExempt(q.request(g, imageOf(reference)))
		if !verdict.Allowed {
			verdicts = append(verdicts, GateVerdict{Verdict: withReference(verdict, reference.String()), Action: g.Spec.Action.Effective()})
		}
	}
	return verdicts
}

// judgeRest returns the verdict of the Gates that don't list the image: allowed if a Gate that
// lists it, or exempts it in `exemptImages`, decides for all of them.
func (q Query) judgeRest(reference registry.Reference, listed []listing) GateVerdict {
	strictest := q.strictest().Spec.Action
	for _, l := range listed {
		if v1alpha1.CompareStrictness(l.Spec.Action, strictest) == 0 {
			return GateVerdict{Verdict: gate.Deny(l.image, l.gateRef()), Action: l.Spec.Action.Effective()}
		}
	}
	tagged := ""
	for _, g := range q.Gates {
		other, ok := gate.FindExempt(&g.Spec, reference.Repository)
		switch {
		case !ok || v1alpha1.CompareStrictness(g.Spec.Action, strictest) < 0:
		case reference.Digest == "" && other.Tags != v1alpha1.TagsAllow:
			tagged = g.Name
		default:
			verdict := gate.DecideExempt(q.request(g, imageOf(reference)))
			return GateVerdict{Verdict: withReference(verdict, reference.String()), Action: g.Spec.Action.Effective()}
		}
	}
	if tagged != "" {
		return q.deny(gate.NoDigest, "%s names no digest, and Gate %q exempts it only by digest (exemptImages[].tags: Allow exempts tags too)", reference, tagged)
	}
	return q.deny(gate.UnknownImage, "%s %s, neither in images nor in exemptImages", q.unlistedBy(strictest), reference.Repository)
}

// unlistedBy returns the start of a message that names the Gates of this strictness, which are
// those that could admit the image.
func (q Query) unlistedBy(strictest v1alpha1.Action) string {
	var names []string
	for _, g := range q.Gates {
		if v1alpha1.CompareStrictness(g.Spec.Action, strictest) == 0 {
			names = append(names, fmt.Sprintf("%q", g.Name))
		}
	}
	if len(names) == 1 {
		return "Gate " + names[0] + " doesn't list"
	}
	return "none of the Gates " + strings.Join(names, ", ") + " lists"
}

// deny returns a denial by all Gates of the namespace, in the strictest one's name.
func (q Query) deny(code gate.Code, format string, arguments ...any) GateVerdict {
	var by gate.Ref
	strictest := v1alpha1.ActionDeny
	if len(q.Gates) > 0 {
		g := q.strictest()
		by, strictest = g.gateRef(), g.Spec.Action.Effective()
	}
	verdict := gate.Deny(gate.Image{}, by, gate.NewReason(code, format, arguments...))
	return GateVerdict{Verdict: withReference(verdict, q.Reference), Action: strictest}
}

// strictest returns the first Gate of the strictest action; there is at least one.
func (q Query) strictest() Gate {
	return slices.MinFunc(q.Gates, func(a, b Gate) int { return v1alpha1.CompareStrictness(b.Spec.Action, a.Spec.Action) })
}

func (q Query) request(g Gate, image gate.Image) gate.Request {
	return gate.Request{
		Gate: g.Gate, Unknown: g.Unknown, Ref: g.Ref, Image: image, Namespace: q.Namespace, Cluster: q.Cluster, Stamps: q.Stamps,
		Recalls: q.Recalls, Rescheduled: q.Rescheduled, Now: q.Now,
	}
}

func imageOf(reference registry.Reference) gate.Image {
	return gate.Image{Repository: reference.Repository, Digest: reference.Digest}
}

// maxName bounds the untrusted reference in a verdict.
const maxName = 512

// withReference returns a verdict with the image's name from the pod, for an image that has
// no digest or isn't in the Gate.
func withReference(verdict gate.Verdict, reference string) gate.Verdict {
	verdict.Image = printable.Line(reference, maxName)
	return verdict
}
