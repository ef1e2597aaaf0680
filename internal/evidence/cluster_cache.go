package evidence

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/digests"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/registry"
)

// ClusterCache stores attestations where they outlive the process: in the cluster. What it
// returns is verified again, since others may have written there.
type ClusterCache interface {
	// Load returns the stored attestations of a digest, none where there are none.
	Load(ctx context.Context, repository, digest string) ([]v1alpha1.CachedAttestation, error)
	// Key returns the secret that authenticates verification records, of at least 32 bytes.
	Key(ctx context.Context) ([]byte, error)
}

// Bounds on what is stored about a digest.
const (
	// maxCachedBundle is the largest bundle that is stored as it is. A soak has 4 KiB;
	// larger ones are SBOMs, whose content the gate doesn't check.
	maxCachedBundle = 64 << 10
	// maxCachedSize bounds the attestations of a digest, by their size as JSON: a third of
	// what etcd accepts.
	maxCachedSize = 512 << 10
	// maxCachedCount bounds the attestations of a digest.
	maxCachedCount = 128
	// clusterCacheTimeout bounds a read, which takes as long as one from the API server.
	clusterCacheTimeout = 2 * time.Second
)

// UseClusterCache makes the Store read from a cache what it doesn't have in memory. It is
// called before the Store is used.
func (s *Store) UseClusterCache(cache ClusterCache) { s.clusterCache = cache }

// loadFromCluster verifies what the cluster cache has, and adds it to what is in memory. It
// waits only briefly; evidence that it doesn't find is read from the registry.
func (s *Store) loadFromCluster(ctx context.Context, q Query) []gate.Evidence {
	ctx, cancel := context.WithTimeout(ctx, clusterCacheTimeout)
	defer cancel()
	cached, err := s.clusterCache.Load(ctx, q.evidenceRepository(), q.Image.Digest)
	if err != nil || len(cached) == 0 {
		return s.known.get(s.key(ctx, q))
	}
	verifier, key, _ := s.verifier(ctx, q) // a signer that can't be verified proves nothing
	secret, err := s.clusterCache.Key(ctx)
	if err != nil {
		secret = nil
	}
	known := s.known.get(key)
	found := known
	for _, k := range cached {
		if k.VerificationRecord != nil {
			found = union(found, s.readRecord(ctx, secret, q, k))
			continue
		}
		evidence, _ := verifier.Verify(k.Bundle, q.Image.Digest) // an error returns none
		for i := range evidence {
			evidence[i].Source = k.Source
		}
		found = union(found, evidence)
	}
	if len(found) > len(known) {
		s.counts.cluster.Add(1)
	}
	if err == nil { // otherwise records may count the next time
		s.known.put(key, found)
	}
	return found
}

// Cacheable returns the attestations to store of the evidence that an image was admitted
// with, the newest of each kind and signer first. It reads the bundles again, since none is
// held after it was verified. An error reports what couldn't be read; the rest is returned
// with it.
func (s *Store) Cacheable(ctx context.Context, q Query, evidence []gate.Evidence) ([]v1alpha1.CachedAttestation, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	secret, keyErr := s.clusterCache.Key(ctx)
	bySource := map[string][]gate.Evidence{}
	for _, e := range evidence {
		bySource[e.Source] = append(bySource[e.Source], e)
	}
	sources := newestFirst(evidence)

	var mu sync.Mutex
	read := map[string][]v1alpha1.CachedAttestation{}
	f := fetcher{client: s.client, repository: q.evidenceRepository(), digest: q.Image.Digest}
	recordsOf := func(source string) []v1alpha1.CachedAttestation {
		records, err := s.writeRecords(ctx, secret, q, bySource[source])
		if err != nil {
			f.fail(err)
		}
		return records
	}
	f.take = func(source string, bundle []byte) {
		var attestations []v1alpha1.CachedAttestation
		if len(bundle) <= maxCachedBundle {
			attestations = []v1alpha1.CachedAttestation{{Source: source, Bundle: bytes.Clone(bundle)}}
		} else {
			attestations = recordsOf(source)
		}
		mu.Lock()
		defer mu.Unlock()
		read[source] = attestations
	}
	var candidates []registry.Descriptor
	for _, source := range sources {
		if slices.ContainsFunc(bySource[source], q.bundled) {
			candidates = append(candidates, registry.Descriptor{Digest: source})
		} else {
			read[source] = recordsOf(source)
		}
	}
	each(ctx, &f, candidates, f.find)
	each(ctx, &f, f.smallestFirst(), f.readBundle)

	var all []v1alpha1.CachedAttestation
	for _, source := range sources {
		all = append(all, read[source]...)
	}
	return Bounded(all), errors.Join(append(f.errs, keyErr)...)
}

// bundled reports whether evidence comes from a bundle, which can be read again. The
// signatures of cosign 2 and what a ClusterImagePolicy admits don't.
func (q Query) bundled(e gate.Evidence) bool {
	return e.Policy == "" && !slices.ContainsFunc(q.Signers, func(signer v1alpha1.Signer) bool { return signer.Name == e.Signer && signer.Legacy })
}

// Bounded returns as many of a digest's attestations as may be stored, from the first on.
func Bounded(attestations []v1alpha1.CachedAttestation) []v1alpha1.CachedAttestation {
	left := maxCachedSize
	return slices.DeleteFunc(attestations[:min(len(attestations), maxCachedCount)], func(a v1alpha1.CachedAttestation) bool {
		size := SizeOf(a)
		if size > left {
			return true
		}
		left -= size
		return false
	})
}

// SizeOf returns the size of an attestation as JSON.
func SizeOf(attestation v1alpha1.CachedAttestation) int {
	encoded, err := json.Marshal(attestation)
	if err != nil {
		panic(fmt.Sprintf("encoding plain values: %v", err)) // the type holds bytes and strings alone
	}
	return len(encoded)
}

// newestFirst returns the sources of evidence, each once: the newest of each kind and
// signer, then the second newest. The list is cut at a bound, and one kind must not crowd
// out the others.
func newestFirst(evidence []gate.Evidence) []string {
	kinds := map[string][]gate.Evidence{}
	var order []string
	for _, e := range evidence {
		kind := e.PredicateType + " " + e.Signer + " " + e.Identity
		if len(kinds[kind]) == 0 {
			order = append(order, kind)
		}
		kinds[kind] = append(kinds[kind], e)
	}
	slices.Sort(order)
	for _, all := range kinds {
		slices.SortFunc(all, func(a, b gate.Evidence) int {
			return cmp.Or(timeOf(b).Compare(timeOf(a)), cmp.Compare(a.Source, b.Source))
		})
	}
	var sources []string
	for turn := range evidence {
		for _, kind := range order {
			if turn < len(kinds[kind]) && !slices.Contains(sources, kinds[kind][turn].Source) {
				sources = append(sources, kinds[kind][turn].Source)
			}
		}
	}
	return sources[:min(len(sources), maxCachedCount)]
}

// timeOf returns a time that orders evidence of one kind. Nothing else depends on it.
func timeOf(e gate.Evidence) time.Time {
	switch {
	case !e.Signed.IsZero():
		return e.Signed
	case e.Soak != nil && e.Soak.Window.FinishedAt != nil:
		return *e.Soak.Window.FinishedAt
	default:
		return time.Time{}
	}
}

// errForgotten reports evidence for which no record is written.
var errForgotten = errors.New("some evidence is no longer in memory: its signers' keys or roots have changed, or memory was full")

// writeRecords returns the verification records of what was verified, one for each signer
// or policy; none without a secret. It records only what is still in memory, under the keys
// and roots that it was verified with, and not under those that the signers name now.
func (s *Store) writeRecords(ctx context.Context, secret []byte, q Query, evidence []gate.Evidence) (records []v1alpha1.CachedAttestation, err error) {
	for _, e := range evidence {
		by := s.verifiedBy(ctx, q, e)
		encoded, encodeErr := json.Marshal(e) //nolint:musttag // read by readRecord alone
		switch {
		case len(secret) == 0 || by == "" || encodeErr != nil || len(encoded) > maxCachedBundle:
			continue
		case !contains(s.known.get(s.key(ctx, q)), e): // checked last, so that by isn't that of a later root
			err = errForgotten
			continue
		}
		source := digests.Sum(encoded) // not all evidence has a manifest of its own
		records = append(records, v1alpha1.CachedAttestation{Source: source, VerificationRecord: &v1alpha1.VerificationRecord{
			Signer: by, Evidence: encoded, MAC: macOf(secret, q.evidenceRepository(), q.Image.Digest, source, by, string(encoded)),
		}})
	}
	return records, err
}

// readRecord returns the evidence in a verification record, if the signer or policy that it
// was made for is still the same.
func (s *Store) readRecord(ctx context.Context, secret []byte, q Query, cached v1alpha1.CachedAttestation) []gate.Evidence {
	r := cached.VerificationRecord
	if len(secret) == 0 || !hmac.Equal(r.MAC, macOf(secret, q.evidenceRepository(), q.Image.Digest, cached.Source, r.Signer, string(r.Evidence))) {
		return nil
	}
	var e gate.Evidence
	if err := json.Unmarshal(r.Evidence, &e); err != nil { //nolint:musttag // written by writeRecords alone
		return nil
	}
	if by := s.verifiedBy(ctx, q, e); by == "" || by != r.Signer {
		return nil
	}
	return []gate.Evidence{e}
}

// verifiedBy returns a fingerprint of what evidence was verified with: its signer, or the
// policy that admits it, and what they name. It is empty where the Gate no longer has them.
func (s *Store) verifiedBy(ctx context.Context, q Query, e gate.Evidence) string {
	if e.Policy == "" {
		i := slices.IndexFunc(q.Signers, func(s v1alpha1.Signer) bool { return s.Name == e.Signer })
		if i < 0 {
			return ""
		}
		return s.trust.fingerprint(ctx, q.Signers[i:i+1])
	}
	if q.Policy == nil || q.Policy.Name != e.Policy || e.Malformed != "" {
		return ""
	}
	return s.policyFingerprint(ctx, q.Policy)
}

// policyFingerprint returns a fingerprint of a policy and of what it refers to. It is empty
// where that can't be found.
func (s *Store) policyFingerprint(ctx context.Context, policy *Policy) string {
	if s.legacy == nil || len(policy.Document) == 0 {
		return ""
	}
	resolved, err := s.legacy.Resolve(ctx, policy.Document)
	if err != nil {
		return ""
	}
	return digests.Sum(append([]byte("ClusterImagePolicy "+policy.Name+" "), resolved...))
}

// macOf returns the authentication code of parts, each with its length before it, so that
// none can be taken for another.
func macOf(secret []byte, parts ...string) []byte {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("envladder verification record v1"))
	for _, part := range parts {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		mac.Write(length[:])
		mac.Write([]byte(part))
	}
	return mac.Sum(nil)
}
