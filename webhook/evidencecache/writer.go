package evidencecache

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

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/evidence"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/panics"
)

// Source reads the attestations that are to be stored. evidence.Store is one.
type Source interface {
	Cacheable(ctx context.Context, query evidence.Query, found []gate.Evidence) ([]v1alpha1.CachedAttestation, error)
}

const (
	// maxQueued digests wait to be stored. A digest that finds no room is stored when it
	// is next admitted.
	maxQueued = 256
	// maxStoredKeys bounds the memory of what was stored; each key takes a hundred bytes.
	maxStoredKeys = 20_000
	// useInterval is how often a digest's use is recorded: often enough for an eviction
	// after weeks and months, seldom enough for etcd.
	useInterval = 24 * time.Hour
	// retryInterval is the time after which a digest that couldn't be stored is tried
	// again if it is admitted then: a registry that is down isn't queried for each
	// admission.
	retryInterval = time.Minute
	// evictInterval is the time between two evictions.
	evictInterval = time.Hour
)

// Admitted is an image that a Gate admitted, with the evidence that it was admitted for.
type Admitted struct {
	Query    evidence.Query
	Evidence []gate.Evidence
}

// repository returns the repository that the evidence is in.
func (a Admitted) repository() string {
	return cmp.Or(a.Query.Image.Evidence, a.Query.Image.Repository)
}

// name returns the image for messages.
func (a Admitted) name() string { return a.repository() + "@" + a.Query.Image.Digest }

// storedKey is a hash of everything that would be stored: one image may have hundreds of
// attestations.
type storedKey [sha256.Size]byte

func (a Admitted) key() storedKey {
	sources := make([]string, len(a.Evidence))
	for i, e := range a.Evidence {
		sources[i] = e.Source + e.Signer + e.Policy
	}
	slices.Sort(sources)
	return sha256.Sum256([]byte(a.name() + " " + strings.Join(sources, " ")))
}

// Writer stores the evidence of admitted images in a Cache, in the background: no admission
// waits for it, and none is denied because of it.
type Writer struct {
	cache  *Cache
	source Source
	log    *slog.Logger
	queue  chan Admitted

	mu     sync.Mutex
	stored map[storedKey]time.Time
}

// NewWriter returns a Writer. It stores nothing before Run.
func NewWriter(cache *Cache, source Source, log *slog.Logger) *Writer {
	return &Writer{cache: cache, source: source, log: log, queue: make(chan Admitted, maxQueued), stored: map[storedKey]time.Time{}}
}

// Add queues admitted images that weren't stored lately.
func (w *Writer) Add(images []Admitted) {
	for _, image := range images {
		if !w.due(image, time.Now()) {
			continue
		}
		select {
		case w.queue <- image:
		default: // the next admission queues it
			w.forget(image)
		}
	}
}

// due reports whether an image wasn't stored lately, and records that it now will be.
func (w *Writer) due(image Admitted, now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	key := image.key()
	if now.Sub(w.stored[key]) < useInterval {
		return false
	}
	if len(w.stored) >= maxStoredKeys {
		clear(w.stored) // storing something twice does no harm
	}
	w.stored[key] = now
	return true
}

func (w *Writer) forget(image Admitted) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.stored, image.key())
}

// retryLater records that an image couldn't be stored.
func (w *Writer) retryLater(image Admitted, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stored[image.key()] = now.Add(retryInterval - useInterval)
}

// Run stores what was queued, and evicts at intervals, until ctx ends.
func (w *Writer) Run(ctx context.Context) error {
	tick := time.NewTicker(evictInterval)
	defer tick.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case image := <-w.queue:
			if err = panics.Catch(func() error { return w.store(ctx, image) }); err != nil {
				w.retryLater(image, time.Now())
			}
		case <-tick.C:
			err = panics.Catch(func() error { return w.cache.Evict(ctx) })
		}
		if err != nil && ctx.Err() == nil {
			w.log.Warn("cannot write the evidence cache", "error", err)
		}
	}
}

func (w *Writer) store(ctx context.Context, image Admitted) error {
	attestations, err := w.source.Cacheable(ctx, image.Query, image.Evidence)
	if err != nil {
		err = fmt.Errorf("reading the attestations of %q again: %w", image.name(), err)
	}
	// Without attestations the registry may be down; the use of what is stored is recorded
	// all the same.
	if putErr := w.cache.put(ctx, image.repository(), image.Query.Image.Digest, attestations); putErr != nil {
		return putErr
	}
	return err
}
