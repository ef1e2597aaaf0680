// Package verdict takes a namespace's Gates and an image as a pod names it to their
// verdicts: which Gate judges the image, where its evidence is fetched from, and what
// the gate says of it. Webhook and command line share it, so that they can't disagree.
//
// It leaves to internal/registry and internal/evidence how evidence is found and
// verified, and to internal/gate what it amounts to.
package verdict

import (
	"context"
	"time"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/evidence"
	"github.com/envladder/envladder/internal/gate"
)

// Source finds evidence. internal/evidence has the one that reads registries.
type Source interface {
	// Known returns the evidence that was verified before, without asking the
	// registry. It may be incomplete or none.
	Known(ctx context.Context, query evidence.Query) []gate.Evidence
	// Fetch returns the evidence that can be found now, what is Known included. An
	// error reports what may be missing from it: evidence that is returned with an
	// error is as good as any.
	Fetch(ctx context.Context, query evidence.Query) ([]gate.Evidence, error)
	// VerifyException returns what the statements in an Exception say about its
	// digest, by these signers; its error is like that of Fetch.
	VerifyException(ctx context.Context, exception v1alpha1.Exception, signers []v1alpha1.Signer) ([]gate.Evidence, error)
}

// Gate is a Gate with what its types couldn't hold.
type Gate struct {
	*v1alpha1.Gate

	// Unknown are the paths of fields in the document that this version doesn't know.
	Unknown []string
	// Ref to it, where it was reckoned before.
	Ref gate.Ref
}

// gateRef returns the Ref that was given, or computes it.
func (g Gate) gateRef() gate.Ref {
	if g.Ref.Digest != "" {
		return g.Ref
	}
	return gate.RefTo(g.Gate)
}

// Query asks about one image in one namespace.
type Query struct {
	// Gates that guard the namespace; at least one.
	Gates []Gate
	// Recalls of the cluster, all of them.
	Recalls []v1alpha1.Recall
	// Policies are ClusterImagePolicies, by their names: those that Gates name.
	Policies map[string][]byte
	// Exceptions of the cluster, all of them.
	Exceptions []v1alpha1.Exception
	// Namespace that it is asked for. Where it is empty, no exception counts.
	Namespace string
	// Cluster that it is asked for, as gate.Request has it.
	Cluster string
	// Reference is the image as the pod names it.
	Reference string
	// Stamps of the object that is judged.
	Stamps gate.Stamps
	// Rescheduled skips what time alone takes away, and only that.
	Rescheduled bool
	// Now is the time that ages are measured to.
	Now time.Time
}

// Outcome is a verdict and what to do about it.
type Outcome struct {
	gate.Verdict

	// Action on a denial, Deny where the Gate says nothing. Where no Gate judges
	// the image it is the strictest of those that guard the namespace.
	Action v1alpha1.Action
	// Evidence that the verdict was made of, to be shown; callers must not change it. Of an
	// allowed image it may be less than there is.
	Evidence []gate.Evidence
	// Asked is what its evidence was asked for by; zero where the Gate doesn't list the
	// image.
	Asked evidence.Query
}

// Judge judges images for Gates. It is safe for concurrent use.
type Judge struct {
	source Source
}

// New returns a Judge that finds evidence in source.
func New(source Source) *Judge {
	return &Judge{source: source}
}
