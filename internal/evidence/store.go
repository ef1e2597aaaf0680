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

// Store finds evidence in registries and caches the verified evidence, never a verdict. It is
// safe for concurrent use.
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

// NewStore returns a Store that reads registries with client, and verifies with the keys and
// roots of trust.
func NewStore(client *registry.Client, trust *Trust) *Store {
	return &Store{client: client, trust: trust, known: newCache(maxCached)}
}

// Query is a request for evidence.
type Query struct {
	// Image that the evidence must be about.
	Image gate.Image
	// Signers that are accepted.
	Signers []v1alpha1.Signer
	// Policy is evaluated too, if it isn't nil.
	Policy *Policy
}

// evidenceRepository returns the repository that has the evidence.
func (q Query) evidenceRepository() string { return cmp.Or(q.Image.Evidence, q.Image.Repository) }

// key returns the key of a query's evidence in memory. It depends on the signers, the policy,
// and the keys and roots that they name: evidence by a key that is removed from the Gate no
// longer counts.
func (s *Store) key(ctx context.Context, q Query) string {
	return s.keyWith(ctx, q, s.trust.fingerprint(ctx, q.Signers))
}

// keyWith returns the key of a query's evidence for a known fingerprint of the signers.
func (s *Store) keyWith(ctx context.Context, q Query, fingerprint string) string {
	key := fmt.Sprintf("%s@%s %s", q.evidenceRepository(), q.Image.Digest, fingerprint)
	if q.Policy != nil {
		key += fmt.Sprintf(" %s %s", q.Policy.Name, s.policyFingerprint(ctx, q.Policy))
	}
	return key
}

// verifier returns a Verifier with the keys and roots that the signers name now, and the key
// under which its evidence is cached. The key is for exactly these roots and keys, even if
// they are found or change meanwhile: evidence that an earlier root has verified must not be
// known for a later one, nor without a root.
func (s *Store) verifier(ctx context.Context, q Query) (v *Verifier, key string, err error) {
	const most = 3 // a root that changes all the time is cached under an earlier one
	var before string
	for range most {
		before = s.trust.fingerprint(ctx, q.Signers)
		v, err = s.trust.Verifier(ctx, q.Signers)
		if s.trust.fingerprint(ctx, q.Signers) == before {
			break
		}
	}
	return v, s.keyWith(ctx, q, before), err
}

// Known returns the evidence that was verified for exactly these signers before, or that the
// cluster cache has, without querying the registry.
func (s *Store) Known(ctx context.Context, q Query) []gate.Evidence {
	known := s.known.get(s.key(ctx, q))
	if known != nil {
		s.counts.memory.Add(1)
	} else if s.clusterCache != nil {
		known = s.loadFromCluster(ctx, q)
	}
	return known
}

// fetchTimeout bounds a fetch that no caller waits for any more: its result is cached, so that
// a retry after a timeout gets further.
const fetchTimeout = 30 * time.Second

// Fetch returns the evidence about a digest that can be found now, what is known
// included. Concurrent callers with the same digest and signers share one fetch; a caller
// whose context ends gets the evidence that was verified so far. Evidence returned with an
// error counts. The error reports what may be missing, and joins errors of the types
// *registry.Error, *BoundError, *SignerError and *panics.Error; they are in a
// *NothingReadError if the registry returned nothing.
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
	case <-ctx.Done(): // the other callers go on waiting
		err := &registry.Error{Action: "reading attestations", Repository: q.evidenceRepository(), Err: context.Cause(ctx)}
		return s.readSoFar(key), &NothingReadError{err}
	case result := <-flight:
		found, _ := result.Val.([]gate.Evidence)
		return found, result.Err
	}
}

// readSoFar returns the evidence that a fetch in progress has verified so far.
func (s *Store) readSoFar(key string) []gate.Evidence {
	var found []gate.Evidence
	if read, ok := s.reading.Load(key); ok {
		found = read.(*collector).collected() //nolint:forcetypeassert // it holds nothing else
	}
	return union(s.known.get(key), found) // known has all of it when reading ends
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

// fetch adds the verified evidence to read, bundle by bundle, and holds no bundle for longer.
func (s *Store) fetch(ctx context.Context, q Query, read *collector) (found []gate.Evidence, err error) {
	ctx, span := tracer.Start(ctx, "fetch evidence")
	defer span.End()
	defer func() { traceFetch(span, q, found, err) }()
	s.counts.registry.Add(1)
	lasting := q.Policy != nil && s.policyFingerprint(ctx, q.Policy) != "" // otherwise its result isn't cached
	verifier, key, signerErr := s.verifier(ctx, q)
	found = s.known.get(key)
	if len(found) > 0 && s.clusterCache != nil {
		// Another replica may have cached newer evidence, and the registry may be down.
		found = s.loadFromCluster(ctx, q)
	}
	f := fetcher{client: s.client, repository: q.evidenceRepository(), digest: q.Image.Digest, take: func(source string, bundle []byte) {
		_, span := tracer.Start(ctx, "verify bundle")
		defer span.End()
		evidence, err := verifier.Verify(bundle, q.Image.Digest)
		traceVerified(span, source, evidence, err)
		if err != nil {
			return // junk, or by another signer: it neither proves nor forbids
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

// VerifyException returns the verified statements of these signers in an Exception about its
// digest. A bundle that proves nothing is skipped; the error is that of Trust.Verifier.
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

// union returns both lists without duplicates. Evidence of the same source, signer, policy and
// type is the same.
func union(have, more []gate.Evidence) []gate.Evidence {
	all := slices.Clip(have) // cached lists are shared
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
