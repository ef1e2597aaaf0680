package evidence

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/registry/registrytest"
)

// fakeClusterCache is a cache that gives what it is given.
type fakeClusterCache struct {
	kept []v1alpha1.CachedAttestation
	key  []byte
	err  error // of the key
}

func (s fakeClusterCache) Load(context.Context, string, string) ([]v1alpha1.CachedAttestation, error) {
	return s.kept, nil
}

func (s fakeClusterCache) Key(context.Context) ([]byte, error) { return s.key, s.err }

// restarted returns a Store with an empty memory, no registry, and a cluster cache.
func (w fixture) restarted(s fakeClusterCache) *Store {
	store := NewStore(nil, NewTrust(TrustOptions{}))
	store.UseClusterCache(s)
	return store
}

// TestClusterCacheStoresAdmittedImages: small bundles as they are, large ones as records; both are
// proof again for a Store that remembers nothing, and neither is once it was edited.
func TestClusterCacheStoresAdmittedImages(t *testing.T) {
	w := newFixture(t, registrytest.WithReferrers)
	ci := newKey(t)
	w.attest(t, ci, gate.PredicateSignature, map[string]any{})
	w.attest(t, ci, gate.PredicateSPDX, map[string]any{"packages": strings.Repeat("x", maxCachedBundle)})
	signer := inGate("ci", ci)
	found, err := w.fetch(t, signer)
	check(t, err)

	key := bytes.Repeat([]byte{7}, 32)
	keeper := w.store
	keeper.UseClusterCache(fakeClusterCache{key: key})
	about := func(digest string, signers ...v1alpha1.Signer) Query {
		return Query{Image: gate.Image{Repository: w.repository, Digest: digest}, Signers: signers}
	}
	kept, err := keeper.Cacheable(t.Context(), about(w.digest, signer), found)
	check(t, err)
	bundles, records := 0, 0
	for _, k := range kept {
		if k.VerificationRecord != nil {
			records++
		} else {
			bundles++
		}
	}
	if bundles != 1 || records != 1 {
		t.Fatalf("kept are %d bundles and %d records, want one of each", bundles, records)
	}

	known := func(s fakeClusterCache, digest string, signers ...v1alpha1.Signer) int {
		return len(w.restarted(s).Known(t.Context(), about(digest, signers...)))
	}
	if got := w.restarted(fakeClusterCache{kept: kept, key: key}).Known(t.Context(), about(w.digest, signer)); len(got) != 2 {
		t.Fatalf("after a restart %d are known, want 2", len(got))
	} else if diff := cmp.Diff(found, got, bySource); diff != "" {
		t.Errorf("what is known (-before the restart +after it):\n%s", diff)
	}

	other := signer
	other.Time = v1alpha1.TimeTrustSigner
	for name, got := range map[string]int{
		"of another digest":  known(fakeClusterCache{kept: kept, key: key}, digestB, signer),
		"by another key":     known(fakeClusterCache{kept: kept, key: key}, w.digest, inGate("ci", newKey(t))),
		"by no signer":       known(fakeClusterCache{kept: kept, key: key}, w.digest),
		"of nothing":         known(fakeClusterCache{key: key}, w.digest, signer),
		"with bytes swapped": known(fakeClusterCache{kept: edited(kept, false, func(k *v1alpha1.CachedAttestation) { k.Bundle = []byte("{}") })}, w.digest, signer),
	} {
		if got != 0 {
			t.Errorf("%s %d are known, want none", name, got)
		}
	}
	for name, got := range map[string]int{
		"with another MAC key":               known(fakeClusterCache{kept: kept, key: bytes.Repeat([]byte{8}, 32)}, w.digest, signer),
		"without a MAC key":                  known(fakeClusterCache{kept: kept}, w.digest, signer),
		"with other claims about the signer": known(fakeClusterCache{kept: kept, key: key}, w.digest, other),
		"with an edited verification record": known(fakeClusterCache{key: key, kept: edited(kept, true, func(k *v1alpha1.CachedAttestation) {
			k.VerificationRecord.Evidence = bytes.Replace(k.VerificationRecord.Evidence, []byte(gate.PredicateSPDX), []byte(gate.PredicateSoak), 1)
		})}, w.digest, signer),
		"with another source": known(fakeClusterCache{kept: edited(kept, true, func(k *v1alpha1.CachedAttestation) { k.Source = digestA }), key: key}, w.digest, signer),
		"with a cut MAC":      known(fakeClusterCache{kept: edited(kept, true, func(k *v1alpha1.CachedAttestation) { k.VerificationRecord.MAC = k.VerificationRecord.MAC[:8] }), key: key}, w.digest, signer),
		"with no MAC":         known(fakeClusterCache{kept: edited(kept, true, func(k *v1alpha1.CachedAttestation) { k.VerificationRecord.MAC = nil }), key: key}, w.digest, signer),
	} {
		if got != 1 {
			t.Errorf("%s %d are known, want the bundle alone", name, got)
		}
	}
	forged := edited(kept, true, func(k *v1alpha1.CachedAttestation) {
		k.VerificationRecord.MAC = macOf([]byte("guessed"), w.repository, w.digest, k.Source, k.VerificationRecord.Signer, string(k.VerificationRecord.Evidence))
	})
	if got := known(fakeClusterCache{kept: forged, key: key}, w.digest, signer); got != 1 {
		t.Errorf("with a MAC by another key %d are known, want the bundle alone", got)
	}
}

// cachingStore returns a Store with a cluster cache, which trusts these roots.
func (w fixture) cachingStore(s *fakeClusterCache, trust *Trust) *Store {
	store := NewStore(w.client, trust)
	store.UseClusterCache(s)
	return store
}

// later has a Trust read its roots again.
func later(trust *Trust, by time.Duration) {
	now := trust.now().Add(by)
	trust.now = func() time.Time { return now }
}

// TestClusterCacheForgetsRemovedRoot, though it was first found while the cache
// was read.
func TestClusterCacheForgetsRemovedRoot(t *testing.T) {
	s, w := newSigstore(t), newFixture(t, registrytest.WithReferrers)
	w.server.Stop()
	w.digest = digestA
	signer := keyless("ci", release)
	bundle := bundleOf(t, s.attested(t, release, soon(), about(gate.PredicateSignature, "{}", digestA)))
	cache := &fakeClusterCache{kept: []v1alpha1.CachedAttestation{{Source: digestB, Bundle: bundle}}}
	store := w.cachingStore(cache, s.trust())
	if got := store.Known(t.Context(), w.query(signer)); len(got) != 1 {
		t.Fatalf("known are %+v, want what is kept", got)
	}

	check(t, os.Remove(filepath.Join(s.folder, "corp.json")))
	later(store.trust, rootLife+time.Second)
	if got := store.Known(t.Context(), w.query(signer)); len(got) != 0 {
		t.Errorf("known without the root are %+v", got)
	}
	if got, err := store.Fetch(t.Context(), w.query(signer)); len(got) != 0 || err == nil {
		t.Errorf("found without the root are %+v, error %v", got, err)
	}
}

// TestClusterCacheIsBoundToRoot: what was admitted waits to be kept,
// and the root may be another one by then.
func TestClusterCacheIsBoundToRoot(t *testing.T) {
	s, other := newSigstore(t), newSigstore(t)
	w, key := newFixture(t, registrytest.WithReferrers), newKey(t)
	large := about(gate.PredicateSPDX, `{"packages":"`+strings.Repeat("x", maxCachedBundle)+`"}`, w.digest)
	w.server.Attach(t, "shop/web", w.digest, bundleType, stamped(t, s, signed(t, key, large)), nil)
	signer := inGate("ci", key)
	signer.Timestamp = "corp"
	cache := &fakeClusterCache{key: bytes.Repeat([]byte{7}, 32)}
	store := w.cachingStore(cache, s.trust())
	found, err := store.Fetch(t.Context(), w.query(signer))
	check(t, err)
	if len(found) != 1 || found[0].Signed.IsZero() {
		t.Fatalf("found %+v, want one with a time", found)
	}

	folder := s.folder
	other.folder = folder
	other.mount(t, "corp", everything)
	later(store.trust, rootLife+time.Second)
	cache.kept, err = store.Cacheable(t.Context(), w.query(signer), found)
	if !errors.Is(err, errForgotten) {
		t.Errorf("keeping it: %v, want errForgotten", err)
	}
	restarted := w.cachingStore(cache, NewTrust(TrustOptions{Roots: folder}))
	if got := restarted.Known(t.Context(), w.query(signer)); len(got) != 0 {
		t.Errorf("known by the later root are %+v", got)
	}
}

// TestClusterCacheIsReadIfMemoryIsIncomplete: another replica may have admitted what this
// one has seen a part of, before the registry went down.
func TestClusterCacheIsReadIfMemoryIsIncomplete(t *testing.T) {
	w, ci := newFixture(t, registrytest.WithReferrers), newKey(t)
	cache := &fakeClusterCache{key: bytes.Repeat([]byte{7}, 32)}
	here, there := w.cachingStore(cache, NewTrust(TrustOptions{})), w.cachingStore(cache, NewTrust(TrustOptions{}))
	q := w.query(inGate("ci", ci))
	w.attest(t, ci, gate.PredicateSignature, map[string]any{})
	if found, err := here.Fetch(t.Context(), q); err != nil || len(found) != 1 {
		t.Fatalf("found %+v, %v", found, err)
	}
	w.attest(t, ci, gate.PredicateSoak, json.RawMessage(aSoak))
	found, err := there.Fetch(t.Context(), q)
	check(t, err)
	cache.kept, err = there.Cacheable(t.Context(), q, found)
	check(t, err)

	w.server.Stop()
	if got, err := here.Fetch(t.Context(), q); len(got) != 2 || err == nil {
		t.Errorf("with the registry down %+v is found (error %v), want what the other one has kept too", got, err)
	}
	if got := here.Known(t.Context(), q); len(got) != 2 {
		t.Errorf("after that %d are known, want 2", len(got))
	}
}

// TestClusterCacheRetriesUnreadableKey: the API server may be slow for once, and
// the registry down for long.
func TestClusterCacheRetriesUnreadableKey(t *testing.T) {
	w, ci := newFixture(t, registrytest.WithReferrers), newKey(t)
	w.attest(t, ci, gate.PredicateSignature, map[string]any{})
	w.attest(t, ci, gate.PredicateSPDX, map[string]any{"packages": strings.Repeat("x", maxCachedBundle)})
	q := w.query(inGate("ci", ci))
	cache := &fakeClusterCache{key: bytes.Repeat([]byte{7}, 32)}
	before := w.cachingStore(cache, NewTrust(TrustOptions{}))
	found, err := before.Fetch(t.Context(), q)
	check(t, err)
	cache.kept, err = before.Cacheable(t.Context(), q, found)
	check(t, err)

	w.server.Stop()
	restarted := w.cachingStore(cache, NewTrust(TrustOptions{}))
	cache.err = errors.New("the API server is slow")
	if got := restarted.Known(t.Context(), q); len(got) != 1 {
		t.Fatalf("known are %+v, want the bundle alone", got)
	}
	cache.err = nil
	if got := restarted.Known(t.Context(), q); len(got) != 2 {
		t.Errorf("once the key can be read %d are known, want 2", len(got))
	}
}

// edited changes what was kept as it is, or what has a verification record.
func edited(kept []v1alpha1.CachedAttestation, records bool, change func(*v1alpha1.CachedAttestation)) []v1alpha1.CachedAttestation {
	all := make([]v1alpha1.CachedAttestation, len(kept))
	for i, k := range kept {
		k.DeepCopyInto(&all[i])
		if (k.VerificationRecord != nil) == records {
			change(&all[i])
		}
	}
	return all
}

func TestClusterCacheIsBounded(t *testing.T) {
	var evidence []gate.Evidence
	for i := range 300 {
		predicateType := gate.PredicateTest
		if i == 299 {
			predicateType = gate.PredicateSignature
		}
		evidence = append(evidence, gate.Evidence{PredicateType: predicateType, Signer: "ci", Source: contentDigest(string(rune(i)))})
	}
	sources := newestFirst(evidence)
	if len(sources) != maxCachedCount {
		t.Errorf("%d sources are kept, want %d", len(sources), maxCachedCount)
	}
	if sources[0] != evidence[299].Source && sources[1] != evidence[299].Source {
		t.Error("the only signature isn't among the first")
	}

	kept := make([]v1alpha1.CachedAttestation, 200)
	for i := range kept {
		kept[i] = v1alpha1.CachedAttestation{Source: digestA, Bundle: make([]byte, maxCachedBundle/2)}
	}
	size := 0
	for _, k := range Bounded(kept) {
		size += SizeOf(k)
	}
	if size > maxCachedSize || size < maxCachedSize/2 {
		t.Errorf("%d bytes are kept, want nearly %d", size, maxCachedSize)
	}
}
