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

// Shelf keeps attestations where they outlive the process. Whatever it gives is verified
// again: anybody may have written there. The webhook has one that keeps them in the
// cluster.
type Shelf interface {
	// Load returns what is kept about a digest, none where there is nothing.
	Load(ctx context.Context, repository, digest string) ([]v1alpha1.CachedAttestation, error)
	// Key is the secret that records are made and checked with. It is at least 32 bytes.
	Key(ctx context.Context) ([]byte, error)
}

// Bounds on what is kept about a digest.
const (
	// maxKeptBundle is the largest bundle that is kept as it is. A soak has 4 KiB; what
	// is larger are SBOMs, whose content the gate doesn't look at.
	maxKeptBundle = 64 << 10
	// maxKept bytes about a digest, by their size as JSON: a third of what etcd takes.
	maxKept = 512 << 10
	// maxKeptCount attestations about a digest.
	maxKeptCount = 128
	// shelfTimeout bounds a look at the shelf, which is as near as the API server.
	shelfTimeout = 2 * time.Second
)

// UseShelf has the Store look at a shelf for what it doesn't remember. It is called
// before the Store is used.
func (s *Store) UseShelf(shelf Shelf) { s.shelf = shelf }

// unshelve verifies what the shelf has, and remembers it beside what is known. It isn't
// asked for long: what isn't found there is asked of the registry.
func (s *Store) unshelve(ctx context.Context, q Query) []gate.Evidence {
	ctx, cancel := context.WithTimeout(ctx, shelfTimeout)
	defer cancel()
	kept, err := s.shelf.Load(ctx, q.place(), q.Image.Digest)
	if err != nil || len(kept) == 0 {
		return s.known.get(s.key(ctx, q))
	}
	verifier, key, _ := s.verifier(ctx, q) // whoever can't be verified by proves nothing
	secret, err := s.shelf.Key(ctx)
	if err != nil {
		secret = nil
	}
	known := s.known.get(key)
	found := known
	for _, k := range kept {
		if k.VerificationRecord != nil {
			found = union(found, s.readRecord(ctx, secret, q, k))
			continue
		}
		evidence, _ := verifier.Verify(k.Bundle, q.Image.Digest) // none beside an error
		for i := range evidence {
			evidence[i].Source = k.Source
		}
		found = union(found, evidence)
	}
	if len(found) > len(known) {
		s.counts.shelf.Add(1)
	}
	if err == nil { // else records may be proof the next time
		s.known.put(key, found)
	}
	return found
}

// Keep returns what is to be kept of the evidence that an image was admitted by, the
// newest of each kind and signer first. It reads the bundles again, since none is held
// after it was verified. An error says what couldn't be read; what could is beside it.
func (s *Store) Keep(ctx context.Context, q Query, evidence []gate.Evidence) ([]v1alpha1.CachedAttestation, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	secret, keyErr := s.shelf.Key(ctx)
	bySource := map[string][]gate.Evidence{}
	for _, e := range evidence {
		bySource[e.Source] = append(bySource[e.Source], e)
	}
	sources := inTurns(evidence)

	var mu sync.Mutex
	read := map[string][]v1alpha1.CachedAttestation{}
	f := fetcher{client: s.client, repository: q.place(), digest: q.Image.Digest}
	vouch := func(source string) []v1alpha1.CachedAttestation {
		records, err := s.writeRecords(ctx, secret, q, bySource[source])
		if err != nil {
			f.fail(err)
		}
		return records
	}
	f.take = func(source string, bundle []byte) {
		var kept []v1alpha1.CachedAttestation
		if len(bundle) <= maxKeptBundle {
			kept = []v1alpha1.CachedAttestation{{Source: source, Bundle: bytes.Clone(bundle)}}
		} else {
			kept = vouch(source)
		}
		mu.Lock()
		defer mu.Unlock()
		read[source] = kept
	}
	var candidates []registry.Descriptor
	for _, source := range sources {
		if slices.ContainsFunc(bySource[source], q.bundled) {
			candidates = append(candidates, registry.Descriptor{Digest: source})
		} else {
			read[source] = vouch(source)
		}
	}
	each(ctx, &f, candidates, f.find)
	each(ctx, &f, f.smallestFirst(), f.readBundle)

	var kept []v1alpha1.CachedAttestation
	for _, source := range sources {
		kept = append(kept, read[source]...)
	}
	return Bounded(kept), errors.Join(append(f.errs, keyErr)...)
}

// bundled says whether evidence is of a bundle that can be read again. What cosign 2
// wrote, and a ClusterImagePolicy's word, aren't.
func (q Query) bundled(e gate.Evidence) bool {
	return e.Policy == "" && !slices.ContainsFunc(q.Signers, func(signer v1alpha1.Signer) bool { return signer.Name == e.Signer && signer.Legacy })
}

// Bounded is as much of what is kept about one digest as may be, from the first on.
func Bounded(kept []v1alpha1.CachedAttestation) []v1alpha1.CachedAttestation {
	left := maxKept
	return slices.DeleteFunc(kept[:min(len(kept), maxKeptCount)], func(k v1alpha1.CachedAttestation) bool {
		size := SizeOf(k)
		if size > left {
			return true
		}
		left -= size
		return false
	})
}

// SizeOf an attestation as JSON.
func SizeOf(kept v1alpha1.CachedAttestation) int {
	encoded, err := json.Marshal(kept)
	if err != nil {
		panic(fmt.Sprintf("encoding plain values: %v", err)) // the type holds bytes and strings alone
	}
	return len(encoded)
}

// inTurns are the sources of evidence, each once: the newest of each kind and signer,
// then the second newest. What is kept is cut short somewhere, and one kind mustn't keep
// the others out.
func inTurns(evidence []gate.Evidence) []string {
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
	return sources[:min(len(sources), maxKeptCount)]
}

// timeOf orders evidence of one kind, and decides nothing else.
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

// errForgotten is about evidence that isn't vouched for.
var errForgotten = errors.New("some of it isn't known any more: what its signers name has changed, or memory was full")

// writeRecords are the webhook's word about what it has verified, one for each signer or
// policy; none without a secret. It vouches for no more than what is known: by what its
// signers named when it was verified, and not by what they have come to name since.
func (s *Store) writeRecords(ctx context.Context, secret []byte, q Query, evidence []gate.Evidence) (kept []v1alpha1.CachedAttestation, err error) {
	for _, e := range evidence {
		by := s.vouchedBy(ctx, q, e)
		encoded, encodeErr := json.Marshal(e) //nolint:musttag // read by readRecord alone
		switch {
		case len(secret) == 0 || by == "" || encodeErr != nil || len(encoded) > maxKeptBundle:
			continue
		case !contains(s.known.get(s.key(ctx, q)), e): // asked last: by isn't of a later root
			err = errForgotten
			continue
		}
		source := digests.Sum(encoded) // not all evidence has a manifest of its own
		kept = append(kept, v1alpha1.CachedAttestation{Source: source, VerificationRecord: &v1alpha1.VerificationRecord{
			Signer: by, Evidence: encoded, MAC: macOf(secret, q.place(), q.Image.Digest, source, by, string(encoded)),
		}})
	}
	return kept, err
}

// readRecord is what a verification record says, for the signer or policy that it was made for.
func (s *Store) readRecord(ctx context.Context, secret []byte, q Query, kept v1alpha1.CachedAttestation) []gate.Evidence {
	r := kept.VerificationRecord
	if len(secret) == 0 || !hmac.Equal(r.MAC, macOf(secret, q.place(), q.Image.Digest, kept.Source, r.Signer, string(r.Evidence))) {
		return nil
	}
	var e gate.Evidence
	if err := json.Unmarshal(r.Evidence, &e); err != nil { //nolint:musttag // written by writeRecords alone
		return nil
	}
	if by := s.vouchedBy(ctx, q, e); by == "" || by != r.Signer {
		return nil
	}
	return []gate.Evidence{e}
}

// vouchedBy changes with all that evidence was verified by: its signer, or the policy that
// lets by, with what they name. It is empty where the Gate has no such one any more.
func (s *Store) vouchedBy(ctx context.Context, q Query, e gate.Evidence) string {
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

// policyFingerprint changes with a policy and with what it names outside of itself; it is
// empty where that can't be found.
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

// macOf has the length of each part before it, so that none can be taken for another.
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
