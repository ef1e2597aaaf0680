package webhook

import (
	"context"
	"errors"
	"fmt"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/workload"
)

// question is one image to be judged, once however many containers use it. The same
// digest under two names is two questions: a Gate lists names.
type question struct {
	reference   string
	fields      []string
	stamps      gate.Stamps
	rescheduled bool
}

// questions are what must be judged of a request, or a note why nothing must.
func (d *decider) questions(ctx context.Context, req *admissionv1.AdmissionRequest) ([]question, string, error) {
	kind := schema.GroupVersionKind{Group: req.Kind.Group, Version: req.Kind.Version, Kind: req.Kind.Kind}
	after, err := d.decode(req.Object.Raw, kind)
	if err != nil {
		return nil, "", err
	}
	switch req.Operation {
	case admissionv1.Create:
		if err := after.readImages(); err != nil {
			return nil, "", err
		}
		return d.created(ctx, req, after), "", contradicting(after)
	case admissionv1.Update:
		before, err := d.decode(req.OldObject.Raw, kind)
		if err != nil {
			return nil, "", fmt.Errorf("the live object: %w", err)
		}
		if startsNothingNew(before, after) {
			return nil, "images, pod template and stamps are unchanged", nil
		}
		if err := errors.Join(before.readImages(), after.readImages()); err != nil {
			return nil, "", err
		}
		return d.updated(ctx, req, before, after), "", contradicting(after)
	default:
		return nil, "", fmt.Errorf("operation %q is none that this version judges", req.Operation)
	}
}

func (d *decider) decode(raw []byte, kind schema.GroupVersionKind) (*object, error) {
	read, err := d.owners.kinds.Decode(raw, kind)
	if err != nil {
		return nil, err
	}
	return &object{Object: read}, nil
}

// stampError says that an object's stamps contradict each other.
type stampError string

func (e stampError) Error() string { return string(e) }

func contradicting(o *object) error {
	if text := contradiction(o); text != "" {
		return stampError(text)
	}
	return nil
}

// created: a pod (ReplicaSet, Job) that a built-in controller makes for a live owner
// is no new deploy. What its owner runs isn't asked its age again, and the owner's
// stamps count for it. What was added to it on the way (a sidecar) is new. Nor is what
// each sync makes anew (a hook, a guard), as far as its digests run beside it.
func (d *decider) created(ctx context.Context, req *admissionv1.AdmissionRequest, o *object) []question {
	owner := d.ownerOf(ctx, req, o)
	if owner == nil || !d.owners.kinds.MakesFor(req.UserInfo.Username, owner.Kind) {
		return ask(o.images, o.Stamps(), d.beside(ctx, req, o))
	}
	owner = d.revised(ctx, req, o, owner)
	return ask(o.images, d.stamps(ctx, req, o, owner), workload.Digests(owner.images))
}

func (d *decider) revised(ctx context.Context, req *admissionv1.AdmissionRequest, o, owner *object) *object {
	owner, err := d.owners.revised(ctx, o, owner, req.Namespace)
	if err != nil {
		d.log.Warn("judging without the pod template of the StatefulSet's revision", "namespace", req.Namespace, "error", err)
	}
	return owner
}

func (d *decider) beside(ctx context.Context, req *admissionv1.AdmissionRequest, o *object) map[string]bool {
	running, err := d.owners.beside(ctx, o, req.Namespace)
	if err != nil {
		d.log.Warn("judging without what couldn't be looked up", "namespace", req.Namespace, "error", err)
	}
	return running
}

// updated: where nothing but live digests is left to run, age isn't asked, and the
// stamps of whoever controls the live object count for what it doesn't say itself.
func (d *decider) updated(ctx context.Context, req *admissionv1.AdmissionRequest, before, after *object) []question {
	images := after.images
	if req.SubResource == "ephemeralcontainers" {
		images = newImages(before, after)
	}
	if !keepsDigests(before, after) {
		return ask(images, after.Stamps(), nil)
	}
	return ask(images, d.stamps(ctx, req, after, d.ownerOf(ctx, req, before)), workload.Digests(before.images))
}

// ownerOf is the live owner, or nil: not knowing it only ever asks for more proof.
func (d *decider) ownerOf(ctx context.Context, req *admissionv1.AdmissionRequest, o *object) *object {
	owner, err := d.owners.of(ctx, o, req.Namespace)
	if err != nil {
		d.log.Warn("judging as if there were no owner", "namespace", req.Namespace, "error", err)
	}
	return owner
}

func (d *decider) stamps(ctx context.Context, req *admissionv1.AdmissionRequest, o, owner *object) gate.Stamps {
	stamps, err := d.owners.stamps(ctx, o, owner, req.Namespace)
	if err != nil {
		d.log.Warn("judging by the stamps that were found", "namespace", req.Namespace, "error", err)
	}
	return stamps
}

// ask makes one question of all places that name the same image. running are the
// digests that run already.
func ask(images []workload.Image, stamps gate.Stamps, running map[string]bool) []question {
	var questions []question
	index := map[string]int{}
	for _, image := range images {
		i, ok := index[image.Reference]
		if !ok {
			i = len(questions)
			index[image.Reference] = i
			questions = append(questions, question{
				reference:   image.Reference,
				stamps:      stamps,
				rescheduled: running[workload.DigestOf(image.Reference)],
			})
		}
		questions[i].fields = append(questions[i].fields, image.Field)
	}
	return questions
}
