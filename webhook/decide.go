package webhook

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/verdict"
)

// Judge says what a namespace's Gates say of one image. internal/verdict has it.
type Judge interface {
	Judge(ctx context.Context, query verdict.Query) []verdict.Outcome
}

// decider takes a review to its ruling.
type decider struct {
	gates  *store
	owners owners
	judge  Judge
	now    func() time.Time
	log    *slog.Logger
}

// ruling is all that is said of one request.
type ruling struct {
	// note says why nothing was judged, where nothing was.
	note string
	// findings are what the Gates say of each image, or a single one about the whole.
	findings []finding
	// gates that guard the namespace.
	gates []guard
}

// finding is what one Gate says of one image.
type finding struct {
	// reference is the image as the object names it; empty where it is about the
	// object as a whole.
	reference string
	// fields of the object that name the image.
	fields []string
	verdict.Outcome
}

// parallel bounds how many images of one object are judged at once: more than any
// sane pod has, few enough that an object made to hold thousands can't take the
// memory and the registry from the others.
const parallel = 16

// rule judges what a request would start.
func (d *decider) rule(ctx context.Context, req *admissionv1.AdmissionRequest) ruling {
	if !d.gates.ready() {
		return ruling{findings: refuse(nil, gate.InternalError,
			"the webhook isn't ready: it hasn't read the cluster's Gates and Recalls yet", "try again in a few seconds")}
	}
	gates := d.gates.guarding(req.Namespace)
	if len(gates) == 0 {
		return ruling{note: "no Gate guards the namespace"}
	}
	return d.guarded(ctx, req, gates)
}

// guarded is rule for a namespace that a Gate guards.
func (d *decider) guarded(ctx context.Context, req *admissionv1.AdmissionRequest, gates []guard) ruling {
	if req.Operation == admissionv1.Delete {
		return ruling{note: "a deletion starts nothing", gates: gates}
	}
	questions, note, err := d.questions(ctx, req)
	recall, unread := d.gates.unreadRecall()
	switch {
	case err != nil:
		return ruling{gates: gates, findings: refuse(gates, gate.Undecodable, err.Error(),
			"send an object that this version of envladder can read; its webhook's rules may name kinds that it doesn't know")}
	case note != "":
		return ruling{note: note, gates: gates}
	case unread != nil:
		return ruling{gates: gates, findings: refuse(gates, gate.InternalError,
			fmt.Sprintf("reading Recall %q: %v", recall, unread), "mend the Recall (its owner: the platform team)")}
	}

	findings, readable := unreadable(gates)
	if len(readable) > 0 {
		findings = append(findings, d.ask(ctx, questions, readable)...)
	}
	return ruling{gates: gates, findings: findings}
}

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
	after, err := decode(req.Object.Raw, kind)
	if err != nil {
		return nil, "", err
	}
	switch req.Operation {
	case admissionv1.Create:
		return d.created(ctx, req, after), "", nil
	case admissionv1.Update:
		before, err := decode(req.OldObject.Raw, kind)
		if err != nil {
			return nil, "", fmt.Errorf("the live object: %w", err)
		}
		if startsNothingNew(before, after) {
			return nil, "images, pod template and stamps are unchanged", nil
		}
		return d.updated(ctx, req, before, after), "", nil
	default:
		return nil, "", fmt.Errorf("operation %q is none that this version judges", req.Operation)
	}
}

// created: a pod (ReplicaSet, Job) that a built-in controller makes for a live owner
// is no new deploy. What its owner runs isn't asked its age again, and the owner's
// stamps count for it. What was added to it on the way (a sidecar) is new.
func (d *decider) created(ctx context.Context, req *admissionv1.AdmissionRequest, o *object) []question {
	owner := d.ownerOf(ctx, req, o)
	if owner == nil || !makesFor(req.UserInfo.Username, owner.kind) {
		return ask(o.images, stampsOf(o), nil)
	}
	return ask(o.images, d.stamps(ctx, req, o, owner), digests(owner.images))
}

// updated: where nothing but live digests is left to run, age isn't asked, and the
// stamps of whoever controls the live object count for what it doesn't say itself.
func (d *decider) updated(ctx context.Context, req *admissionv1.AdmissionRequest, before, after *object) []question {
	images := after.images
	if req.SubResource == "ephemeralcontainers" {
		images = newImages(before, after)
	}
	if !keepsDigests(before, after) {
		return ask(images, stampsOf(after), nil)
	}
	return ask(images, d.stamps(ctx, req, after, d.ownerOf(ctx, req, before)), digests(before.images))
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
func ask(images []image, stamps gate.Stamps, running map[string]bool) []question {
	var questions []question
	index := map[string]int{}
	for _, image := range images {
		i, ok := index[image.reference]
		if !ok {
			i = len(questions)
			index[image.reference] = i
			questions = append(questions, question{
				reference:   image.reference,
				stamps:      stamps,
				rescheduled: running[digestOf(image.reference)],
			})
		}
		questions[i].fields = append(questions[i].fields, image.field)
	}
	return questions
}

// ask judges all questions in parallel. When the time is over, what isn't judged is
// denied: a judge that hangs can't hold up the answer.
func (d *decider) ask(ctx context.Context, questions []question, gates []verdict.Gate) []finding {
	type answer struct {
		index    int
		outcomes []verdict.Outcome
	}
	recalls, now := d.gates.recalled(), d.now()
	answers := make(chan answer, len(questions))
	go func() {
		var judging errgroup.Group
		judging.SetLimit(parallel)
		for i, q := range questions {
			judging.Go(func() error {
				query := verdict.Query{
					Gates: gates, Recalls: recalls, Reference: q.reference,
					Stamps: q.stamps, Rescheduled: q.rescheduled, Now: now,
				}
				answers <- answer{i, d.one(ctx, query)}
				return nil
			})
		}
		_ = judging.Wait() // outcomes are in answers; there are no errors
	}()

	outcomes := make([][]verdict.Outcome, len(questions))
	for range questions {
		select {
		case a := <-answers:
			outcomes[a.index] = a.outcomes
			continue
		case <-ctx.Done():
		}
		break
	}

	var findings []finding
	for i, q := range questions {
		if len(outcomes[i]) == 0 {
			outcomes[i] = undecided(ctx, gates, q.reference)
		}
		for _, outcome := range outcomes[i] {
			findings = append(findings, finding{q.reference, q.fields, outcome})
		}
	}
	return findings
}

// one judges one image. A panic is a denial, and ends no other request.
func (d *decider) one(ctx context.Context, query verdict.Query) (outcomes []verdict.Outcome) {
	defer func() {
		if p := recover(); p != nil {
			d.log.Error("panic while judging an image", "image", gate.Clean(query.Reference, maxReference), "panic", p, "stack", string(debug.Stack()))
			outcomes = failed(query.Gates, query.Reference, "envladder failed while it judged the image", "")
		}
	}()
	if err := ctx.Err(); err != nil {
		return nil
	}
	return d.judge.Judge(ctx, query)
}

// undecided is the denial of an image that nothing was said about.
func undecided(ctx context.Context, gates []verdict.Gate, reference string) []verdict.Outcome {
	if ctx.Err() == nil {
		return failed(gates, reference, "nothing was decided about the image", "")
	}
	return failed(gates, reference, "the time to answer was over before the image was judged",
		"try again; if it stays, look at the registry, or raise the webhook's timeoutSeconds")
}

// failed is the denial of an image that couldn't be judged.
func failed(gates []verdict.Gate, reference, message, remedy string) []verdict.Outcome {
	reason := gate.NewReason(gate.InternalError, "%s", message)
	if remedy != "" {
		reason.Remedy = remedy
	}
	action := v1alpha1.ActionAudit
	for _, g := range gates {
		action = stricter(action, g.Spec.Action)
	}
	outcome := verdict.Outcome{Verdict: gate.Deny(gate.Image{}, gate.GateRef{}, reason), Action: action}
	outcome.Image = gate.Clean(reference, maxReference)
	return []verdict.Outcome{outcome}
}

// refuse is a denial of the object as a whole, by whatever Gates there are.
func refuse(gates []guard, code gate.Code, message, remedy string) []finding {
	action := v1alpha1.ActionDeny
	if len(gates) > 0 {
		action = v1alpha1.ActionAudit
	}
	for _, g := range gates {
		action = stricter(action, g.Spec.Action)
	}
	reason := gate.Reason{Code: code, Message: message, Remedy: remedy}
	v := gate.Deny(gate.Image{}, gate.GateRef{}, reason)
	v.Image = ""
	return []finding{{Outcome: verdict.Outcome{Verdict: v, Action: action}}}
}

// unreadable are the denials by Gates that can't be read, and the Gates that can.
func unreadable(gates []guard) (findings []finding, readable []verdict.Gate) {
	for _, g := range gates {
		if g.unreadable == nil {
			readable = append(readable, g.Gate)
			continue
		}
		v := gate.Deny(gate.Image{}, gate.RefTo(g.Gate.Gate), g.faults()...)
		v.Image = ""
		findings = append(findings, finding{Outcome: verdict.Outcome{Verdict: v, Action: v1alpha1.ActionDeny}})
	}
	return findings, readable
}

// strictness of actions, least first. What isn't in it is Deny, which an unset action
// means, and an unknown one is taken for.
var strictness = []v1alpha1.Action{v1alpha1.ActionAudit, v1alpha1.ActionWarn, v1alpha1.ActionDeny}

func stricter(a, b v1alpha1.Action) v1alpha1.Action {
	a, b = effective(a), effective(b)
	if slices.Index(strictness, b) > slices.Index(strictness, a) {
		return b
	}
	return a
}

func effective(a v1alpha1.Action) v1alpha1.Action {
	if slices.Contains(strictness, a) {
		return a
	}
	return v1alpha1.ActionDeny
}
