package webhook

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/evidence"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/panics"
)

// Keeper reads again what is to be kept of evidence. evidence.Store is one.
type Keeper interface {
	Keep(ctx context.Context, query evidence.Query, found []gate.Evidence) ([]v1alpha1.CachedAttestation, error)
}

const (
	// maxWaiting digests wait to be kept. What finds no room is kept when it is next
	// admitted.
	maxWaiting = 256
	// maxRemembered digests that were kept; each takes a hundred bytes.
	maxRemembered = 20_000
	// useInterval is how often a digest's use is noted: often enough for weeks and
	// months, seldom enough for etcd.
	useInterval = 24 * time.Hour
	// retryInterval is when what couldn't be kept is tried again, if it is admitted then:
	// a registry that is down isn't asked for each admission.
	retryInterval = time.Minute
	// collectInterval is how often too much is let go of.
	collectInterval = time.Hour
)

// admitted is a digest that a Gate let in for the evidence that it has.
type admitted struct {
	query    evidence.Query
	evidence []gate.Evidence
}

// repository that the evidence is in.
func (a admitted) repository() string {
	return cmp.Or(a.query.Image.Evidence, a.query.Image.Repository)
}

// keeping takes admitted digests to the shelf, beside the answers: an admission waits for
// none of it, and isn't refused for it.
type keeping struct {
	shelf   *Shelf
	keeper  Keeper
	log     *slog.Logger
	waiting chan admitted

	mu   sync.Mutex
	kept map[keptKey]time.Time
}

// keptKey is the digest of all that would be kept: of an image's evidence there may be
// hundreds.
type keptKey [sha256.Size]byte

func newKeeping(shelf *Shelf, keeper Keeper, log *slog.Logger) *keeping {
	return &keeping{shelf: shelf, keeper: keeper, log: log, waiting: make(chan admitted, maxWaiting), kept: map[keptKey]time.Time{}}
}

// note takes from a ruling what it let in. A dry run leaves no trace.
func (k *keeping) note(request *admissionv1.AdmissionRequest, r ruling) {
	if k == nil || request.DryRun != nil && *request.DryRun || len(r.denials(v1alpha1.ActionDeny)) > 0 {
		return
	}
	for _, f := range r.findings {
		if !f.Allowed || len(f.Evidence) == 0 || f.Asked.Image.Digest == "" {
			continue
		}
		a := admitted{f.Asked, f.Evidence}
		if !k.due(a, time.Now()) {
			continue
		}
		select {
		case k.waiting <- a:
		default: // it comes again
			k.forget(a)
		}
	}
}

func (a admitted) key() keptKey {
	sources := make([]string, len(a.evidence))
	for i, e := range a.evidence {
		sources[i] = e.Source + e.Signer + e.Policy
	}
	slices.Sort(sources)
	return sha256.Sum256([]byte(a.repository() + "@" + a.query.Image.Digest + " " + strings.Join(sources, " ")))
}

// due says whether it wasn't kept lately, and notes that it will be.
func (k *keeping) due(a admitted, now time.Time) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	key := a.key()
	if now.Sub(k.kept[key]) < useInterval {
		return false
	}
	if len(k.kept) >= maxRemembered {
		clear(k.kept) // to keep a thing twice does no harm
	}
	k.kept[key] = now
	return true
}

func (k *keeping) forget(a admitted) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.kept, a.key())
}

// again notes that it wasn't kept after all.
func (k *keeping) again(a admitted, now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.kept[a.key()] = now.Add(retryInterval - useInterval)
}

// run keeps what was noted, until ctx ends.
func (k *keeping) run(ctx context.Context) error {
	tick := time.NewTicker(collectInterval)
	defer tick.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case a := <-k.waiting:
			if err = panics.Catch(func() error { return k.keep(ctx, a) }); err != nil {
				k.again(a, time.Now())
			}
		case <-tick.C:
			err = panics.Catch(func() error { return k.shelf.collect(ctx) })
		}
		if err != nil && ctx.Err() == nil {
			k.log.Warn("what is proven isn't kept in the cluster", "error", err)
		}
	}
}

func (k *keeping) keep(ctx context.Context, a admitted) error {
	kept, err := k.keeper.Keep(ctx, a.query, a.evidence)
	if err != nil {
		err = fmt.Errorf("reading the attestations of %s@%s again: %w", a.repository(), a.query.Image.Digest, err)
	}
	// Without any, the registry may be down: what is kept already is used all the same.
	if putErr := k.shelf.put(ctx, a.repository(), a.query.Image.Digest, kept); putErr != nil {
		return putErr
	}
	return err
}
