// Package verdict judges an image, as a pod references it, by the Gates of a namespace: it
// finds the Gates that list the image, has its evidence fetched, and returns their verdicts.
// Webhook and command line share it, so that they can't disagree.
//
// internal/registry and internal/evidence find and verify evidence, and internal/gate
// decides by it.
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
	// Known returns the evidence that was verified before, without querying the registry.
	// It may be incomplete or none.
	Known(ctx context.Context, query evidence.Query) []gate.Evidence
	// Fetch returns the evidence that can be found now, including that of Known. An error
	// reports what may be missing; evidence that is returned with an error counts.
	Fetch(ctx context.Context, query evidence.Query) ([]gate.Evidence, error)
	// VerifyException returns the verified statements of these signers in an Exception
	// about its digest; its error is like that of Fetch.
	VerifyException(ctx context.Context, exception v1alpha1.Exception, signers []v1alpha1.Signer) ([]gate.Evidence, error)
}

// Gate is a Gate with the data that its types can't hold.
type Gate struct {
	*v1alpha1.Gate

	// Unknown are the paths of fields in the document that this version doesn't know.
	Unknown []string
	// Ref to it, if it was computed before.
	Ref gate.Ref
}

// gateRef returns the Ref that was given, or computes it.
func (g Gate) gateRef() gate.Ref {
	if g.Ref.Digest != "" {
		return g.Ref
	}
	return gate.RefTo(g.Gate)
}

// Query is a request for the verdicts on one image in one namespace.
type Query struct {
	// Gates that name the namespace; at least one.
	Gates []Gate
	// Recalls of the cluster, all of them.
	Recalls []v1alpha1.Recall
	// Policies are ClusterImagePolicies, by their names: those that Gates name.
	Policies map[string][]byte
	// Exceptions of the cluster, all of them.
	Exceptions []v1alpha1.Exception
	// Namespace that the image is to run in. If it is empty, no Exception counts.
	Namespace string
	// Cluster that the image is to run in, as in gate.Request.
	Cluster string
	// Reference is the image as the pod names it.
	Reference string
	// Stamps of the object that is judged.
	Stamps gate.Stamps
	// Rescheduled skips denials that depend only on time, as in gate.Request.
	Rescheduled bool
	// Now is the time that ages are measured to.
	Now time.Time
}

// GateVerdict is a verdict and the action on it.
type GateVerdict struct {
	gate.Verdict

	// Action on a denial, by default Deny. If no Gate lists the image, it is the strictest
	// action of the namespace's Gates.
	Action v1alpha1.Action
	// Evidence that the verdict is based on, for display; callers must not change it. For an
	// allowed image it may be incomplete.
	Evidence []gate.Evidence
	// EvidenceQuery is the query for its evidence; zero if the Gate doesn't list the image.
	EvidenceQuery evidence.Query
}

// Judge judges images for Gates. It is safe for concurrent use.
type Judge struct {
	source Source
}

// New returns a Judge that finds evidence in source.
func New(source Source) *Judge {
	return &Judge{source: source}
}
