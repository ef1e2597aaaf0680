package evidence

import (
	"cmp"
	"context"
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
	client       *registry.Client
	trust        *Trust
	legacy       Legacy // nil where the program doesn't link it
	known        *cache
	clusterCache ClusterCache // nil: there is none
	counts       counts
	flights      singleflight.Group
	reading      sync.Map // of *collector, by the key of a flight
}

// NewStore returns a Store that reads through client, and verifies by what trust finds.
func NewStore(client *registry.Client, trust *Trust) *Store {
	return &Store{client: client, trust: trust, known: newCache(maxCached)}
}

// Query is what evidence is asked for.
type Query struct {
	// Image that it must be about.
	Image gate.Image
	// Signers that are accepted.
	Signers []v1alpha1.Signer
	// Policy is asked too, where it isn't nil.
	Policy *Policy
}

// evidenceRepository returns the repository that has the evidence.
func (q Query) evidenceRepository() string { return cmp.Or(q.Image.Evidence, q.Image.Repository) }

// key has the signers and the policy in it, and what they name: a key that leaves the Gate
// takes its evidence along.
func (s *Store) key(ctx context.Context, q Query) string {
	return s.keyBy(ctx, q, s.trust.fingerprint(ctx, q.Signers))
}

// keyBy is key where the signers' fingerprint is known.
func (s *Store) keyBy(ctx context.Context, q Query, fingerprint string) string {
	key := fmt.Sprintf("%s@%s %s", q.evidenceRepository(), q.Image.Digest, fingerprint)
	if q.Policy != nil {
		key += fmt.Sprintf(" %s %s", q.Policy.Name, s.policyFingerprint(ctx, q.Policy))
	}
	return key
}

// verifier verifies by what the signers name now. key is what it finds is remembered
// under: the very same roots and keys, though these may be found first, or changed,
// meanwhile. What an earlier root has verified must not be known for a later one, nor
// for none.
func (s *Store) verifier(ctx context.Context, q Query) (v *Verifier, key string, err error) {
	const most = 3 // a root that changes all the time is remembered under an earlier one
	var before string
	for range most {
		before = s.trust.fingerprint(ctx, q.Signers)
		v, err = s.trust.Verifier(ctx, q.Signers)
		if s.trust.fingerprint(ctx, q.Signers) == before {
			break
		}
	}
	return v, s.keyBy(ctx, q, before), err
}

// Known returns the evidence that was verified for these very signers before, or that a
// shelf has kept, without asking the registry.
func (s *Store) Known(ctx context.Context, q Query) []gate.Evidence {
	known := s.known.get(s.key(ctx, q))
	if known != nil {
		s.counts.memory.Add(1)
	} else if s.clusterCache != nil {
		known = s.loadFromCluster(ctx, q)
	}
	return known
}

// fetchTimeout bounds a fetch that no caller waits for any more: its result is cached, so
// that asking again after a time-out gets further.
const fetchTimeout = 30 * time.Second

// Fetch returns the evidence about a digest that can be found now, what is known
// included. Callers who ask about one digest for the same signers at once share one
// fetch; one whose context ends gets what was verified until then. Evidence returned with an
// error is as good as any; the error says what may be missing, and joins: a *registry.Error, a *BoundError, a *SignerError, a *panics.Error; all of it
// in a *NothingReadError where the registry gave nothing.
func (s *Store) Fetch(ctx context.Context, q Query) ([]gate.Evidence, error) {
	key := s.key(ctx, q)
	flight := s.flights.DoChan(key, func() (any, error) {
		read := &collector{}
		s.reading.Store(key, read)
		defer s.reading.Delete(key)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
		defer cancel()
		var found []gate.Evidence
		err := panics.Catch(func() (err error) {
			found, err = s.fetch(ctx, q, read)
			return err
		})
		if found == nil { // it panicked
			found = read.collected()
		}
		return found, err
	})
	select {
	case <-ctx.Done(): // one who stops waiting doesn't stop the others
		err := &registry.Error{Action: "reading attestations", Repository: q.evidenceRepository(), Err: context.Cause(ctx)}
		return s.readSoFar(key), &NothingReadError{err}
	case result := <-flight:
		found, _ := result.Val.([]gate.Evidence)
		return found, result.Err
	}
}

// readSoFar returns the evidence that a fetch has verified that goes on.
func (s *Store) readSoFar(key string) []gate.Evidence {
	var found []gate.Evidence
	if read, ok := s.reading.Load(key); ok {
		found = read.(*collector).collected() //nolint:forcetypeassert // it holds nothing else
	}
	return union(s.known.get(key), found) // known has it all by the time that reading ends
}

// collector gathers the evidence that a fetch verifies.
type collector struct {
	mu    sync.Mutex
	found []gate.Evidence
}

func (c *collector) add(evidence []gate.Evidence) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.found = union(c.found, evidence)
}

func (c *collector) collected() []gate.Evidence {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.found
}

// fetch verifies bundle by bundle into read: none is held for longer than that takes.
func (s *Store) fetch(ctx context.Context, q Query, read *collector) (found []gate.Evidence, err error) {
	ctx, span := tracer.Start(ctx, "fetch evidence")
	defer span.End()
	defer func() { traceFetch(span, q, found, err) }()
	s.counts.registry.Add(1)
	lasting := q.Policy != nil && s.policyFingerprint(ctx, q.Policy) != "" // else its word isn't remembered
	verifier, key, signerErr := s.verifier(ctx, q)
	found = s.known.get(key)
	if len(found) > 0 && s.clusterCache != nil {
		// Another replica may have kept what has come since, and the registry be down.
		found = s.loadFromCluster(ctx, q)
	}
	f := fetcher{client: s.client, repository: q.evidenceRepository(), digest: q.Image.Digest, take: func(source string, bundle []byte) {
		_, span := tracer.Start(ctx, "verify bundle")
		defer span.End()
		evidence, err := verifier.Verify(bundle, q.Image.Digest)
		traceVerified(span, source, evidence, err)
		if err != nil {
			return // junk, or somebody else's: it neither proves nor forbids
		}
		for i := range evidence {
			evidence[i].Source = source
		}
		read.add(evidence)
	}}
	err = f.fetch(ctx)
	found = union(found, read.collected())
	old, legacyErr := s.fetchLegacy(ctx, q)
	found = union(found, old)
	admitted, policyErr := s.fetchPolicy(ctx, q)
	found = union(found, admitted)
	s.known.put(key, slices.DeleteFunc(slices.Clone(found), func(e gate.Evidence) bool { return e.Policy != "" && (e.Malformed != "" || !lasting) }))
	return found, errors.Join(signerErr, err, legacyErr, policyErr)
}

// VerifyException returns what the statements in an Exception say about its digest, by
// these signers. A bundle that proves nothing is passed over; the error is that of
// Trust.Verifier.
func (s *Store) VerifyException(ctx context.Context, exception v1alpha1.Exception, signers []v1alpha1.Signer) ([]gate.Evidence, error) {
	verifier, err := s.trust.Verifier(ctx, signers)
	var all []gate.Evidence
	for _, bundle := range exception.Spec.Bundles {
		if evidence, err := verifier.Verify(bundle, exception.Spec.Digest); err == nil {
			all = append(all, evidence...)
		}
	}
	return all, err
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
		if other.Source == e.Source && other.Signer == e.Signer && other.Policy == e.Policy && other.PredicateType == e.PredicateType {
			return true
		}
	}
	return false
}
