package evidence

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/registry"
)

// Store finds evidence in registries and keeps what it verified, never what was made of
// it. It is safe for concurrent use.
type Store struct {
	client  *registry.Client
	known   *cache
	flights singleflight.Group
}

// NewStore returns a Store that reads through client.
func NewStore(client *registry.Client) *Store {
	return &Store{client: client, known: newCache(maxCached)}
}

// Known returns the evidence about a digest that was verified for these very signers
// before, without asking the registry.
func (s *Store) Known(repository, digest string, signers []v1alpha1.Signer) []gate.Evidence {
	return s.known.get(cacheKey(repository, digest, signers))
}

// fetchTimeout bounds a fetch that nobody waits for any more: what it finds is kept, so
// that asking again after a time-out gets further.
const fetchTimeout = 30 * time.Second

// Fetch returns the evidence about a digest that can be found now, what is known
// included. Callers who ask for one digest at once share one fetch. An error says what
// may be missing: a *registry.Error, a bound, or a *SignerError; evidence beside it is
// as good as any.
func (s *Store) Fetch(ctx context.Context, repository, digest string, signers []v1alpha1.Signer) ([]gate.Evidence, error) {
	verifier, signerErr := NewVerifier(signers)
	bundles, err := s.fetchOnce(ctx, repository, digest)

	found := s.Known(repository, digest, signers)
	for _, bundle := range bundles {
		evidence, err := verifier.Verify(bundle.bundle, digest)
		if err != nil {
			continue // junk, or somebody else's: it neither proves nor forbids
		}
		for i := range evidence {
			evidence[i].Source = bundle.source
		}
		found = union(found, evidence)
	}
	s.known.put(cacheKey(repository, digest, signers), found)
	return found, errors.Join(signerErr, err)
}

// fetchOnce reads the bundles once however many ask. One who stops waiting doesn't
// stop the others.
func (s *Store) fetchOnce(ctx context.Context, repository, digest string) ([]fetched, error) {
	flight := s.flights.DoChan(repository+"@"+digest, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
		defer cancel()
		return fetch(ctx, s.client, repository, digest)
	})
	select {
	case <-ctx.Done():
		return nil, &registry.Error{Action: "reading attestations", Repository: repository, Err: context.Cause(ctx)}
	case result := <-flight:
		bundles, _ := result.Val.([]fetched)
		return bundles, result.Err
	}
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
