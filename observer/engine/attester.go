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

// attestJob is a statement to sign. It is a copy: the engine goes on measuring.
type attestJob struct {
	key       soakstore.Key
	after     time.Duration
	evidence  string
	statement gate.Soak
	platforms map[string]int64 // healthy seconds
	healthy   int64            // seconds
}

// attestResult is the result of a job.
type attestResult struct {
	attestJob

	digest string
	err    error
}

func (e *Engine) newJob(t *tracker, after time.Duration) attestJob {
	j := attestJob{
		key: t.Key, after: after, evidence: t.evidence,
		statement: t.statement(after == 0, e.cluster, e.Observer),
		platforms: map[string]int64{},
	}
	if after > 0 {
		j.healthy = t.window.Healthy
		maps.Copy(j.platforms, t.window.Platforms)
	}
	return j
}

func (a Attester) start(ctx context.Context, j attestJob, results chan<- attestResult) {
	go func() {
		r := attestResult{attestJob: j}
		r.err = panics.Catch(func() (err error) {
			r.digest, err = a.attest(ctx, j)
			return err
		})
		select {
		case results <- r:
		case <-ctx.Done():
		}
	}()
}

func (a Attester) attest(ctx context.Context, j attestJob) (digest string, err error) {
	select {
	case a.slots <- struct{}{}:
		defer func() { <-a.slots }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, signTimeout)
	defer cancel()
	target, err := evidence.FindTarget(ctx, a.registry, j.key.Spec.Repository, j.key.Spec.Digest)
	if err != nil {
		return "", err
	}
	target.Evidence = j.evidence
	j.statement.Image.Platforms = soakPlatforms(target, j.platforms, j.healthy)
	attested, err := evidence.Attest(ctx, a.registry, a.signer, target, gate.PredicateSoak, j.statement)
	if err != nil {
		return "", err
	}
	return attested.Digest, nil
}

// handleResult notes the result of a job.
func (e *Engine) handleResult(ctx context.Context, r attestResult) error {
	t := e.trackers.find(r.key)
	if t == nil {
		return nil // the digest stopped meanwhile
	}
	t.signing = false
	if !t.window.StartedAt.Equal(r.statement.Window.StartedAt) {
		return nil // the window started again meanwhile
	}
	subject := fmt.Sprintf("a soak of %s", printable.Duration(r.after))
	if r.after == 0 {
		subject = "the start of a soak"
	}
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
	t.addAttestation(r.after, at, r.digest)
	e.Recorder.Eventf(t.Soak, corev1.EventTypeNormal, "Attested", "%s was signed: %s", subject, r.digest)
	e.Log.Info("attested", "namespace", t.Namespace, "soak", t.Soak.Name, "after", r.after, "attestation", r.digest)
	return e.save(ctx, t)
}

// backoff returns how long to wait after so many failures.
func backoff(failures int) time.Duration {
	const first, longest = 10 * time.Second, 5 * time.Minute
	return min(first<<min(failures-1, 10), longest)
}
