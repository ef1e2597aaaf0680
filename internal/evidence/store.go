package evidence

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/panics"
	"github.com/envladder/envladder/internal/registry"
)

// Store finds evidence in registries and keeps what it verified, never what was made of
// it. It is safe for concurrent use.
type Store struct {
	client  *registry.Client
	known   *cache
	shelf   Shelf // nil: there is none
	counts  counts
	flights singleflight.Group
}

// NewStore returns a Store that reads through client.
func NewStore(client *registry.Client) *Store {
	return &Store{client: client, known: newCache(maxCached)}
}

// Known returns the evidence about a digest that was verified for these very signers
// before, or that a shelf has kept, without asking the registry.
func (s *Store) Known(repository, digest string, signers []v1alpha1.Signer) []gate.Evidence {
	key := cacheKey(repository, digest, signers)
	known := s.known.get(key)
	if known != nil {
		s.counts.memory.Add(1)
	} else if s.shelf != nil {
		known = s.unshelve(context.Background(), key, repository, digest, signers)
	}
	return known
}

// fetchTimeout bounds a fetch that nobody waits for any more: what it finds is kept, so
// that asking again after a time-out gets further.
const fetchTimeout = 30 * time.Second

// Fetch returns the evidence about a digest that can be found now, what is known
// included. Callers who ask about one digest for the same signers at once share one
// fetch. Evidence beside an error is as good as any; the error says what may be missing,
// and joins: a *registry.Error, a *BoundError, a *SignerError, a *panics.Error; all of it
// in a *NothingReadError where the registry gave nothing.
func (s *Store) Fetch(ctx context.Context, repository, digest string, signers []v1alpha1.Signer) ([]gate.Evidence, error) {
	flight := s.flights.DoChan(cacheKey(repository, digest, signers), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
		defer cancel()
		var found []gate.Evidence
		err := panics.Catch(func() (err error) {
			found, err = s.fetch(ctx, repository, digest, signers)
			return err
		})
		return found, err
	})
	select {
	case <-ctx.Done(): // one who stops waiting doesn't stop the others
		err := &registry.Error{Action: "reading attestations", Repository: repository, Err: context.Cause(ctx)}
		return s.known.get(cacheKey(repository, digest, signers)), &NothingReadError{err}
	case result := <-flight:
		found, _ := result.Val.([]gate.Evidence)
		return found, result.Err
	}
}

// fetch verifies bundle by bundle: none is held for longer than that takes.
func (s *Store) fetch(ctx context.Context, repository, digest string, signers []v1alpha1.Signer) ([]gate.Evidence, error) {
	s.counts.registry.Add(1)
	verifier, signerErr := NewVerifier(signers)
	found := s.known.get(cacheKey(repository, digest, signers))
	var mu sync.Mutex
	f := fetcher{client: s.client, repository: repository, digest: digest, take: func(source string, bundle []byte) {
		evidence, err := verifier.Verify(bundle, digest)
		if err != nil {
			return // junk, or somebody else's: it neither proves nor forbids
		}
		for i := range evidence {
			evidence[i].Source = source
		}
		mu.Lock()
		defer mu.Unlock()
		found = union(found, evidence)
	}}
	err := f.fetch(ctx)
	s.known.put(cacheKey(repository, digest, signers), found)
	return found, errors.Join(signerErr, err)
}

// union adds what isn't there yet. Evidence of one source and signer is one.
func union(have, more []gate.Evidence) []gate.Evidence {
	all := slices.Clip(have) // what is kept is shared
	for _, e := range more {
		if !contains(have, e) {
			all = append(all, e)
		}
	}
	return all
}

func contains(all []gate.Evidence, e gate.Evidence) bool {
	for _, other := range all {
		if other.Source == e.Source && other.Signer == e.Signer {
			return true
		}
	}
	return false
}

// cacheKey has the signers in it: a key that leaves the Gate takes its evidence along.
func cacheKey(repository, digest string, signers []v1alpha1.Signer) string {
	encoded, err := json.Marshal(signers)
	if err != nil {
		panic(fmt.Sprintf("encoding plain values: %v", err)) // the type holds strings alone
	}
	return fmt.Sprintf("%s@%s %x", repository, digest, sha256.Sum256(encoded))
}
