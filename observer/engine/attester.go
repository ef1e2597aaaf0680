package engine

import (
	"context"
	"fmt"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/envladder/envladder/internal/evidence"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/panics"
	"github.com/envladder/envladder/internal/printable"
	"github.com/envladder/envladder/internal/registry"
	"github.com/envladder/envladder/observer/soakstore"
)

const (
	// signTimeout bounds the signing and pushing of one statement.
	signTimeout = time.Minute
	// maxSigning bounds the statements on their way at once: a registry that hangs holds
	// no more than these.
	maxSigning = 8
)

// Attester signs statements and pushes them, in the background.
type Attester struct {
	registry *registry.Client
	signer   *evidence.Signer
	slots    chan struct{}
}

// NewAttester returns an attester that pushes to registries.
func NewAttester(client *registry.Client, signer *evidence.Signer) Attester {
	return Attester{client, signer, make(chan struct{}, maxSigning)}
}

// ProvesTime reports whether the statements have proven times.
func (a Attester) ProvesTime() bool { return a.signer.ProvesTime() }

// attestJob is a statement to sign. It is a copy: the engine goes on measuring.
type attestJob struct {
	key       soakstore.Key
	due       dueStatement
	evidence  string
	statement gate.Soak
	platforms map[string]int64 // healthy seconds
	healthy   int64            // seconds
	proven    int64            // seconds that it proves, with the statements before it
}

// attestResult is the result of a job.
type attestResult struct {
	attestJob

	digest          string // of the manifest in the registry
	statementDigest string // of what was signed
	err             error
}

func (e *Engine) newJob(t *tracker, due dueStatement, now time.Time) attestJob {
	j := attestJob{
		key: t.Key, due: due, evidence: t.evidence,
		statement: t.statement(due.kind == startStatement, e.cluster, e.Observer),
		platforms: map[string]int64{},
		healthy:   t.window.Healthy,
	}
	if due.kind != startStatement {
		maps.Copy(j.platforms, t.window.Platforms)
	}
	if t.checkpoint != nil && !due.renewal {
		j.proven = t.provenAt(now)
	}
	return j
}

func (a Attester) start(ctx context.Context, j attestJob, results chan<- attestResult) {
	go func() {
		r := attestResult{attestJob: j}
		r.err = panics.Catch(func() error {
			attested, err := a.attest(ctx, j)
			r.digest, r.statementDigest = attested.Digest, attested.Statement
			return err
		})
		select {
		case results <- r:
		case <-ctx.Done():
		}
	}()
}

func (a Attester) attest(ctx context.Context, j attestJob) (evidence.Attested, error) {
	select {
	case a.slots <- struct{}{}:
		defer func() { <-a.slots }()
	case <-ctx.Done():
		return evidence.Attested{}, ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, signTimeout)
	defer cancel()
	target, err := evidence.FindTarget(ctx, a.registry, j.key.Spec.Repository, j.key.Spec.Digest)
	if err != nil {
		return evidence.Attested{}, err
	}
	target.Evidence = j.evidence
	total := j.healthy
	if j.due.kind == startStatement {
		total = 0
	}
	j.statement.Image.Platforms = soakPlatforms(target, j.platforms, total)
	return evidence.Attest(ctx, a.registry, a.signer, target, gate.PredicateSoak, j.statement)
}

// handleResult notes the result of a job.
func (e *Engine) handleResult(ctx context.Context, r attestResult) error {
	t := e.trackers.find(r.key)
	if t == nil {
		return nil // the digest stopped meanwhile
	}
	t.signing = false
	if t.id != r.statement.Window.ID {
		return nil // the window started again meanwhile
	}
	subject := r.due.String()
	if r.err != nil {
		t.failures++
		wait := backoff(t.failures)
		t.retryAt = e.elapsed() + wait
		t.failure = soakstore.CutMessage(fmt.Sprintf("signing and pushing %s: %v", subject, r.err))
		e.Recorder.Event(t.Soak, corev1.EventTypeWarning, "AttestationFailed", t.failure)
		e.Log.Error("signing and pushing a statement failed; measuring goes on", "namespace", t.Namespace, "soak", t.Soak.Name, "error", r.err, "retryIn", wait)
		return e.save(ctx, t)
	}
	t.failures, t.failure, t.retryAt = 0, "", 0
	at, _ := e.Clock.Read()
	renewed := t.checkpoint != nil && t.checkpoint.Renewing || r.due.renewal
	t.addStatement(r, at)
	e.Log.Info("attested", "namespace", t.Namespace, "soak", t.Soak.Name, "statement", subject, "attestation", r.digest)
	switch {
	case r.due.kind == checkpointStatement: // many, and nothing that people wait for
	case renewed:
		e.Recorder.Eventf(t.Soak, corev1.EventTypeNormal, "Renewed", "%s was signed again: %s", subject, r.digest)
	default:
		e.Recorder.Eventf(t.Soak, corev1.EventTypeNormal, "Attested", "%s was signed: %s", subject, r.digest)
	}
	return e.save(ctx, t)
}

// String returns the statement for messages.
func (d dueStatement) String() string {
	switch d.kind {
	case startStatement:
		return "the start of a soak"
	case checkpointStatement:
		return "a checkpoint of a soak"
	default:
		return "a soak of " + printable.Duration(d.after)
	}
}

// backoff returns how long to wait after so many failures.
func backoff(failures int) time.Duration {
	const first, longest = 10 * time.Second, 5 * time.Minute
	return min(first<<min(failures-1, 10), longest)
}
