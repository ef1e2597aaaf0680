package admission

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"
	admissionv1 "k8s.io/api/admission/v1"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/panics"
	"github.com/envladder/envladder/internal/verdict"
	"github.com/envladder/envladder/webhook/policycache"
	"github.com/envladder/envladder/webhook/rollout"
)

// Judge judges an image by the Gates of a namespace. verdict.Judge is one.
type Judge interface {
	Judge(ctx context.Context, query verdict.Query) []verdict.GateVerdict
}

// Policies are what images are judged by. policycache.Cache is one.
type Policies interface {
	Ready() bool
	GatesFor(namespace string) []policycache.CachedGate
	Recalls() []v1alpha1.Recall
	UnreadableRecall() (name string, err error)
	Exceptions() []v1alpha1.Exception
}

// Options of a Reviewer.
type Options struct {
	Policies      Policies
	ImagePolicies policycache.ImagePolicies
	ClusterUID    *policycache.ClusterUID
	Resolver      *rollout.Resolver
	Judge         Judge
	// Ungated is what happens in a namespace that no Gate names; empty: UngatedDeny.
	Ungated Ungated
	// Now is the clock; nil: time.Now.
	Now func() time.Time
	// Metrics to count with; nil: nothing is counted.
	Metrics Metrics
	Log     *slog.Logger
}

// Reviewer reviews requests.
type Reviewer struct {
	policies      Policies
	imagePolicies policycache.ImagePolicies
	clusterUID    *policycache.ClusterUID
	resolver      *rollout.Resolver
	judge         Judge
	ungated       Ungated
	// trial is set for namespaces on trial: denials because of a missing Gate become
	// warnings.
	trial   bool
	now     func() time.Time
	metrics Metrics
	log     *slog.Logger
}

// NewReviewer returns a Reviewer.
func NewReviewer(options Options) *Reviewer {
	r := &Reviewer{
		policies: options.Policies, imagePolicies: options.ImagePolicies, clusterUID: options.ClusterUID,
		resolver: options.Resolver, judge: options.Judge, ungated: options.Ungated,
		now: options.Now, metrics: cmp.Or[Metrics](options.Metrics, noMetrics{}), log: options.Log,
	}
	if r.now == nil {
		r.now = time.Now
	}
	return r
}

// onTrial returns a Reviewer for namespaces on trial.
func (r *Reviewer) onTrial() *Reviewer {
	trial := *r
	trial.trial = true
	return &trial
}

// maxParallel bounds how many images of one object are judged at once: more than usual pods
// have, few enough that an object with thousands doesn't take memory and registry from
// others.
const maxParallel = 16

// Review judges what a request would start.
func (r *Reviewer) Review(ctx context.Context, req *admissionv1.AdmissionRequest) Result {
	if !r.policies.Ready() {
		return Result{Images: deny(nil, gate.InternalError,
			"the webhook isn't ready: it hasn't read the cluster's Gates, Recalls and Exceptions yet", "try again in a few seconds")}
	}
	gates := r.policies.GatesFor(req.Namespace)
	if len(gates) == 0 {
		return r.reviewUngated(ctx, req)
	}
	return r.reviewGated(ctx, req, gates)
}

// reviewGated reviews a request in a namespace that Gates name.
func (r *Reviewer) reviewGated(ctx context.Context, req *admissionv1.AdmissionRequest, gates []policycache.CachedGate) Result {
	endRead := r.metrics.StartPhase(PhaseRead)
	images, final := r.imagesToReview(ctx, req, gates)
	endRead()
	if final != nil {
		return *final
	}
	defer r.metrics.StartPhase(PhaseJudge)()
	denials, decoded := denyByUndecodable(gates)
	if len(decoded) == 0 {
		return Result{Gates: gates, Images: denials}
	}
	documents, unreadable := r.imagePolicies.Named(ctx, decoded)
	denied, usable := denyByUnreadablePolicy(decoded, unreadable)
	if denials = append(denials, denied...); len(usable) == 0 {
		return Result{Gates: gates, Images: denials}
	}
	query := verdict.Query{
		Gates: usable, Recalls: r.policies.Recalls(), Policies: documents, Exceptions: r.policies.Exceptions(),
		Namespace: req.Namespace, Cluster: r.clusterOf(ctx, usable), Now: r.now(),
	}
	return Result{Gates: gates, Images: append(denials, r.judgeImages(ctx, query, images)...)}
}

// clusterOf returns the cluster's UID, or nothing if it can't be read.
func (r *Reviewer) clusterOf(ctx context.Context, gates []verdict.Gate) string {
	uid, err := r.clusterUID.For(ctx, gates)
	if err != nil {
		r.log.Warn("judging without provenHere", "error", err)
	}
	return uid
}

// imagesToReview returns the images that must be judged, or the final result if none must
// or can be.
func (r *Reviewer) imagesToReview(ctx context.Context, req *admissionv1.AdmissionRequest, gates []policycache.CachedGate) ([]rollout.ImageReview, *Result) {
	changes, err := r.resolver.Resolve(ctx, req)
	for _, warning := range changes.Warnings {
		r.log.Warn(warning.Consequence, "namespace", cleanName(req.Namespace), "error", warning.Err)
	}
	recall, recallErr := r.policies.UnreadableRecall()
	var stamps rollout.StampError
	switch {
	case errors.As(err, &stamps):
		reason := gate.NewReason(gate.OtherStamp, "%s", stamps)
		return nil, &Result{Gates: gates, Images: deny(gates, reason.Code, reason.Message, reason.Remedy)}
	case err != nil:
		return nil, &Result{Gates: gates, Images: deny(gates, gate.Undecodable, err.Error(),
			"send an object that this version of envladder can read; its webhook's rules may name kinds that it doesn't know")}
	case changes.Note != "":
		return nil, &Result{Note: changes.Note, Gates: gates}
	case recallErr != nil:
		return nil, &Result{Gates: gates, Images: deny(gates, gate.InternalError,
			fmt.Sprintf("reading Recall %q: %v", recall, recallErr), "fix the Recall (its owner: the platform team)")}
	}
	return changes.Images, nil
}

// judgeImages judges all images in parallel; common is what their queries share. Images that
// aren't judged when ctx ends are denied: a judge that hangs doesn't hold up the answer.
func (r *Reviewer) judgeImages(ctx context.Context, common verdict.Query, images []rollout.ImageReview) []ImageResult {
	type judged struct {
		index    int
		outcomes []verdict.GateVerdict
	}
	results := make(chan judged, len(images))
	// A panic in a goroutine ends the program. In these goroutines only Judge runs, which
	// recovers; the verdict package recovers in those that it starts itself.
	go func() {
		var judging errgroup.Group
		judging.SetLimit(maxParallel)
		for i, image := range images {
			judging.Go(func() error {
				query := common
				query.Reference, query.Stamps, query.Rescheduled = image.Reference, image.Stamps, image.Rescheduled
				results <- judged{i, r.Judge(ctx, query)}
				return nil
			})
		}
		_ = judging.Wait() // outcomes are in results; there are no errors
	}()

	outcomes := make([][]verdict.GateVerdict, len(images))
	for range images {
		select {
		case j := <-results:
			outcomes[j.index] = j.outcomes
			continue
		case <-ctx.Done():
		}
		break
	}

	var all []ImageResult
	for i, image := range images {
		if len(outcomes[i]) == 0 {
			outcomes[i] = undecided(ctx, common.Gates, image.Reference)
		}
		for _, outcome := range outcomes[i] {
			all = append(all, ImageResult{image.Reference, image.Fields, outcome})
		}
	}
	return all
}

// Judge judges one image. A panic becomes a denial, and ends no other request. It returns
// nothing if ctx has ended.
func (r *Reviewer) Judge(ctx context.Context, query verdict.Query) (outcomes []verdict.GateVerdict) {
	ctx, span := tracer.Start(ctx, "judge image")
	defer func() { traceOutcomes(span, query, outcomes); span.End() }()
	if ctx.Err() != nil {
		return nil
	}
	outcomes, err := panics.CatchResult(func() ([]verdict.GateVerdict, error) { return r.judge.Judge(ctx, query), nil })
	if caught, ok := errors.AsType[*panics.Error](err); ok {
		r.log.Error("panic while judging an image", "image", cleanName(query.Reference), "panic", caught.Value, "stack", string(caught.Stack))
		return failed(query.Gates, query.Reference, "internal error while judging the image", "")
	}
	return outcomes
}
