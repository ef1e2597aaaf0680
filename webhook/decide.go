package webhook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"golang.org/x/sync/errgroup"
	admissionv1 "k8s.io/api/admission/v1"

	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/printable"
	"github.com/envladder/envladder/internal/verdict"
)

// Judge says what a namespace's Gates say of one image. internal/verdict has it.
type Judge interface {
	Judge(ctx context.Context, query verdict.Query) []verdict.Outcome
}

// decider takes a review to its ruling.
type decider struct {
	gates    *store
	owners   owners
	policies policies
	cluster  *clusterID
	judge    Judge
	// ungated is what happens where no Gate guards; unset, it denies.
	ungated Ungated
	// trial is for namespaces that are sent to be tried out: where no Gate guards, it
	// warns.
	trial   bool
	now     func() time.Time
	metrics *Metrics // nil: nothing is counted
	log     *slog.Logger
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
			"the webhook isn't ready: it hasn't read the cluster's Gates, Recalls and Exceptions yet", "try again in a few seconds")}
	}
	gates := d.gates.guarding(req.Namespace)
	if len(gates) == 0 {
		return d.unguarded(ctx, req)
	}
	return d.guarded(ctx, req, gates)
}

// guarded is rule for a namespace that a Gate guards.
func (d *decider) guarded(ctx context.Context, req *admissionv1.AdmissionRequest, gates []guard) ruling {
	read := d.metrics.phase(phaseRead)
	questions, stopped := d.toAsk(ctx, req, gates)
	read()
	if stopped != nil {
		return *stopped
	}
	defer d.metrics.phase(phaseJudge)()
	findings, readable := unreadable(gates)
	if len(readable) == 0 {
		return ruling{gates: gates, findings: findings}
	}
	documents, unread := d.policies.named(ctx, readable)
	blind, readable := unpolicied(readable, unread)
	if findings = append(findings, blind...); len(readable) == 0 {
		return ruling{gates: gates, findings: findings}
	}
	about := verdict.Query{
		Gates: readable, Recalls: d.gates.recalled(), Policies: documents, Exceptions: d.gates.excepted(),
		Namespace: req.Namespace, Cluster: d.clusterOf(ctx, readable), Now: d.now(),
	}
	return ruling{gates: gates, findings: append(findings, d.ask(ctx, about, questions)...)}
}

// clusterOf returns the cluster's UID, or nothing where it can't be read.
func (d *decider) clusterOf(ctx context.Context, gates []verdict.Gate) string {
	uid, err := d.cluster.of(ctx, gates)
	if err != nil {
		d.log.Warn("judging without provenHere", "error", err)
	}
	return uid
}

// toAsk is what must be judged of a request, or the ruling where nothing must or can.
func (d *decider) toAsk(ctx context.Context, req *admissionv1.AdmissionRequest, gates []guard) ([]question, *ruling) {
	if req.Operation == admissionv1.Delete {
		return nil, &ruling{note: "a deletion starts nothing", gates: gates}
	}
	questions, note, err := d.questions(ctx, req)
	recall, unread := d.gates.unreadRecall()
	var stamp stampError
	switch {
	case errors.As(err, &stamp):
		reason := gate.NewReason(gate.OtherStamp, "%s", stamp)
		return nil, &ruling{gates: gates, findings: refuse(gates, reason.Code, reason.Message, reason.Remedy)}
	case err != nil:
		return nil, &ruling{gates: gates, findings: refuse(gates, gate.Undecodable, err.Error(),
			"send an object that this version of envladder can read; its webhook's rules may name kinds that it doesn't know")}
	case note != "":
		return nil, &ruling{note: note, gates: gates}
	case unread != nil:
		return nil, &ruling{gates: gates, findings: refuse(gates, gate.InternalError,
			fmt.Sprintf("reading Recall %q: %v", recall, unread), "mend the Recall (its owner: the platform team)")}
	}
	return questions, nil
}

// ask judges all questions in parallel; about is what they have in common. When the time
// is over, what isn't judged is denied: a judge that hangs can't hold up the answer.
func (d *decider) ask(ctx context.Context, about verdict.Query, questions []question) []finding {
	type answer struct {
		index    int
		outcomes []verdict.Outcome
	}
	answers := make(chan answer, len(questions))
	// A panic in a goroutine ends the program, whoever waits for it. In these nothing
	// runs but one, which recovers; Judge recovers in those that it starts itself.
	go func() {
		var judging errgroup.Group
		judging.SetLimit(parallel)
		for i, q := range questions {
			judging.Go(func() error {
				query := about
				query.Reference, query.Stamps, query.Rescheduled = q.reference, q.stamps, q.rescheduled
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
			outcomes[i] = undecided(ctx, about.Gates, q.reference)
		}
		for _, outcome := range outcomes[i] {
			findings = append(findings, finding{q.reference, q.fields, outcome})
		}
	}
	return findings
}

// one judges one image. A panic is a denial, and ends no other request.
func (d *decider) one(ctx context.Context, query verdict.Query) (outcomes []verdict.Outcome) {
	ctx, span := tracer.Start(ctx, "judge image")
	defer func() { traceOutcomes(span, query, outcomes); span.End() }()
	defer func() {
		if p := recover(); p != nil {
			d.log.Error("panic while judging an image", "image", printable.Line(query.Reference, maxReference), "panic", p, "stack", string(debug.Stack()))
			outcomes = failed(query.Gates, query.Reference, "envladder failed while it judged the image", "")
		}
	}()
	if ctx.Err() != nil {
		return nil
	}
	return d.judge.Judge(ctx, query)
}
