package rollout

import (
	"context"
	"errors"
	"fmt"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/workload"
)

// ImageReview is one image to be judged, once however many containers use it. The same
// digest under two names is two ImageReviews, because Gates list names.
type ImageReview struct {
	// Reference is the image as the object names it.
	Reference string
	// Fields of the object that name the image.
	Fields []string
	// Stamps that count for the image.
	Stamps gate.Stamps
	// Rescheduled is set if the digest runs already: its evidence may be older than
	// maxAge.
	Rescheduled bool
}

// Changes are what a request would start.
type Changes struct {
	// Images to be judged.
	Images []ImageReview
	// Note is why nothing has to be judged; empty if something has.
	Note string
	// Warnings of look-ups that failed. The request is judged without their results, which
	// never admits more.
	Warnings []Warning
}

// Warning is a look-up that failed.
type Warning struct {
	// Consequence for how the request is judged.
	Consequence string
	Err         error
}

// StampError is a contradiction between the stamps of one object.
type StampError string

func (e StampError) Error() string { return string(e) }

// Resolver finds out what requests would start.
type Resolver struct {
	api   client.Reader
	kinds *workload.Kinds
}

// NewResolver returns a Resolver for these kinds. It reads live objects from api, which must
// not be a cache: a cache may lack a new owner, or still have a deleted one.
func NewResolver(api client.Reader, kinds *workload.Kinds) *Resolver {
	return &Resolver{api: api, kinds: kinds}
}

// Resolve returns what a request would start. An error means that this can't be found out:
// the object can't be read, or, as a StampError, contradicts itself.
func (r *Resolver) Resolve(ctx context.Context, req *admissionv1.AdmissionRequest) (Changes, error) {
	if req.Operation == admissionv1.Delete {
		return Changes{Note: "a deletion starts nothing"}, nil
	}
	kind := schema.GroupVersionKind{Group: req.Kind.Group, Version: req.Kind.Version, Kind: req.Kind.Kind}
	after, err := r.decode(req.Object.Raw, kind)
	if err != nil {
		return Changes{}, err
	}
	lookup := &lookups{Resolver: r, ctx: ctx, namespace: req.Namespace}
	var changes Changes
	switch req.Operation {
	case admissionv1.Create:
		if err := after.readImages(); err != nil {
			return Changes{}, err
		}
		changes.Images = lookup.created(req, after)
	case admissionv1.Update:
		before, err := r.decode(req.OldObject.Raw, kind)
		if err != nil {
			return Changes{}, fmt.Errorf("reading the live object: %w", err)
		}
		if startsNothingNew(before, after) {
			return Changes{Note: "images, pod template and stamps are unchanged"}, nil
		}
		if err := errors.Join(before.readImages(), after.readImages()); err != nil {
			return Changes{}, err
		}
		changes.Images = lookup.updated(req, before, after)
	default:
		return Changes{}, fmt.Errorf("operation %q isn't supported", req.Operation)
	}
	changes.Warnings = lookup.warnings
	if text := contradiction(after); text != "" {
		return changes, StampError(text)
	}
	return changes, nil
}

func (r *Resolver) decode(raw []byte, kind schema.GroupVersionKind) (*object, error) {
	decoded, err := r.kinds.Decode(raw, kind)
	if err != nil {
		return nil, err
	}
	return &object{Object: decoded}, nil
}

// lookups are the look-ups for one request. A look-up that fails becomes a warning.
type lookups struct {
	*Resolver
	ctx       context.Context
	namespace string
	warnings  []Warning
}

func (l *lookups) warn(consequence string, err error) {
	if err != nil {
		l.warnings = append(l.warnings, Warning{consequence, err})
	}
}

// created returns the images to be judged of a new object. A pod, ReplicaSet or Job that a
// built-in controller creates for a live owner is no new deploy: the age of evidence isn't
// judged for digests of the owner, and the owner's stamps count. An image that was added on
// the way (a sidecar) is new. Objects that each sync recreates (hooks, preflight checks)
// are no new deploy either, as far as their digests run in a workload that they name.
func (l *lookups) created(req *admissionv1.AdmissionRequest, o *object) []ImageReview {
	owner := l.liveOwner(o)
	if owner == nil || !l.kinds.MakesFor(req.UserInfo.Username, owner.Kind) {
		running, err := l.runningIn(l.ctx, o, l.namespace)
		l.warn("judging without workloads that couldn't be looked up", err)
		return imagesToReview(o.images, o.Stamps(), running)
	}
	owner, err := l.atRevision(l.ctx, o, owner, l.namespace)
	l.warn("judging without the pod template of the StatefulSet's revision", err)
	return imagesToReview(o.images, l.inheritedStamps(o, owner), workload.Digests(owner.images))
}

// updated returns the images to be judged of a changed object. If all its digests are those
// of the live object, the age of evidence isn't judged, and the stamps of the live object's
// owner count where its own are missing.
func (l *lookups) updated(req *admissionv1.AdmissionRequest, before, after *object) []ImageReview {
	images := after.images
	if req.SubResource == "ephemeralcontainers" {
		images = newImages(before, after)
	}
	if !keepsDigests(before, after) {
		return imagesToReview(images, after.Stamps(), nil)
	}
	return imagesToReview(images, l.inheritedStamps(after, l.liveOwner(before)), workload.Digests(before.images))
}

// liveOwner returns the live owner, or nil. Without the owner, more evidence is required,
// never less.
func (l *lookups) liveOwner(o *object) *object {
	owner, err := l.owner(l.ctx, o, l.namespace)
	l.warn("judging as if there were no owner", err)
	return owner
}

func (l *lookups) inheritedStamps(o, owner *object) gate.Stamps {
	stamps, err := l.stamps(l.ctx, o, owner, l.namespace)
	l.warn("judging by the stamps that were found", err)
	return stamps
}

// imagesToReview returns one ImageReview for all fields that name the same image. running
// are the digests that run already.
func imagesToReview(images []workload.Image, stamps gate.Stamps, running map[string]bool) []ImageReview {
	var reviews []ImageReview
	index := map[string]int{}
	for _, image := range images {
		i, ok := index[image.Reference]
		if !ok {
			i = len(reviews)
			index[image.Reference] = i
			reviews = append(reviews, ImageReview{
				Reference:   image.Reference,
				Stamps:      stamps,
				Rescheduled: running[workload.DigestOf(image.Reference)],
			})
		}
		reviews[i].Fields = append(reviews[i].Fields, image.Field)
	}
	return reviews
}
