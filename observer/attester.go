package observer

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
)

const (
	// signTime is how long a statement may take to be signed and pushed.
	signTime = time.Minute
	// maxSigning bounds the statements on their way at once: a registry that hangs
	// holds no more than these.
	maxSigning = 8
)

// attester signs statements and pushes them, beside the loop.
type attester struct {
	registry *registry.Client
	signer   *evidence.Signer
	places   chan struct{}
}

func newAttester(client *registry.Client, signer *evidence.Signer) attester {
	return attester{client, signer, make(chan struct{}, maxSigning)}
}

// job is a statement to be signed: all of it was copied, the loop goes on measuring.
type job struct {
	key       trackKey
	after     time.Duration
	evidence  string
	statement gate.Soak
	platforms map[string]int64
	healthy   int64
}

// outcome is what became of a job.
type outcome struct {
	job

	digest string
	err    error
}

func (l *loop) job(key trackKey, t *track, after time.Duration) job {
	j := job{
		key: key, after: after, evidence: t.evidence,
		statement: t.statement(after == 0, l.cluster, l.self),
		platforms: map[string]int64{},
	}
	if after > 0 {
		j.healthy = t.account.Healthy
		maps.Copy(j.platforms, t.account.Platforms)
	}
	return j
}

func (a attester) start(ctx context.Context, j job, outcomes chan<- outcome) {
	go func() {
		o := outcome{job: j}
		o.err = panics.Catch(func() (err error) {
			o.digest, err = a.attest(ctx, j)
			return err
		})
		select {
		case outcomes <- o:
		case <-ctx.Done():
		}
	}()
}

func (a attester) attest(ctx context.Context, j job) (digest string, err error) {
	select {
	case a.places <- struct{}{}:
		defer func() { <-a.places }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, signTime)
	defer cancel()
	target, err := evidence.FindTarget(ctx, a.registry, j.key.spec.Repository, j.key.spec.Digest)
	if err != nil {
		return "", err
	}
	target.Evidence = j.evidence
	j.statement.Image.Platforms = platforms(target, j.platforms, j.healthy)
	attested, err := evidence.Attest(ctx, a.registry, a.signer, target, gate.PredicateSoak, j.statement)
	if err != nil {
		return "", err
	}
	return attested.Digest, nil
}

// conclude notes what became of a statement.
func (l *loop) conclude(ctx context.Context, o outcome) error {
	t := l.standing(o.key)
	if t == nil {
		return nil // it ended meanwhile
	}
	t.signing = false
	if !t.account.StartedAt.Equal(o.statement.Window.StartedAt) {
		return nil // it began anew meanwhile
	}
	what := fmt.Sprintf("a soak of %s", printable.Duration(o.after))
	if o.after == 0 {
		what = "the start of a soak"
	}
	if o.err != nil {
		t.failures++
		wait := backoff(t.failures)
		t.retry = l.elapsed() + wait
		t.failure = printable.Cut(fmt.Sprintf("%s couldn't be signed and pushed: %v", what, o.err), maxMessage)
		l.recorder.Event(t.live, corev1.EventTypeWarning, "AttestationFailed", t.failure)
		l.log.Error("a statement couldn't be signed and pushed; measuring goes on", "namespace", t.namespace, "soak", t.live.Name, "error", o.err, "again", wait)
		return l.save(ctx, o.key, t)
	}
	t.failures, t.failure, t.retry = 0, "", 0
	at, _ := l.clock.Read()
	t.record(o.after, at, o.digest)
	l.recorder.Eventf(t.live, corev1.EventTypeNormal, "Attested", "%s was signed: %s", what, o.digest)
	l.log.Info("attested", "namespace", t.namespace, "soak", t.live.Name, "after", o.after, "attestation", o.digest)
	return l.save(ctx, o.key, t)
}
