package evidence

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/registry/registrytest"
)

// shelved is a shelf that gives what it is given.
type shelved struct {
	kept []v1alpha1.KeptAttestation
	key  []byte
}

func (s shelved) Load(context.Context, string, string) ([]v1alpha1.KeptAttestation, error) {
	return s.kept, nil
}

func (s shelved) Key(context.Context) ([]byte, error) { return s.key, nil }

// restarted is a Store that remembers nothing, has no registry, and a shelf.
func (w world) restarted(s shelved) *Store {
	store := NewStore(nil, NewTrust(TrustOptions{}))
	store.UseShelf(s)
	return store
}

// TestWhatWasAdmittedIsKept: small bundles as they are, large ones as receipts; both are
// proof again for a Store that remembers nothing, and neither is once it was edited.
func TestWhatWasAdmittedIsKept(t *testing.T) {
	w := newWorld(t, registrytest.WithReferrers)
	ci := newKey(t)
	w.attest(t, ci, gate.PredicateSignature, map[string]any{})
	w.attest(t, ci, gate.PredicateSPDX, map[string]any{"packages": strings.Repeat("x", maxKeptBundle)})
	signer := inGate("ci", ci)
	found, err := w.fetch(t, signer)
	check(t, err)

	key := bytes.Repeat([]byte{7}, 32)
	keeper := NewStore(w.client, NewTrust(TrustOptions{}))
	keeper.UseShelf(shelved{key: key})
	about := func(digest string, signers ...v1alpha1.Signer) Query {
		return Query{Image: gate.Image{Repository: w.repository, Digest: digest}, Signers: signers}
	}
	kept, err := keeper.Keep(t.Context(), about(w.digest, signer), found)
	check(t, err)
	bundles, receipts := 0, 0
	for _, k := range kept {
		if k.Receipt != nil {
			receipts++
		} else {
			bundles++
		}
	}
	if bundles != 1 || receipts != 1 {
		t.Fatalf("kept are %d bundles and %d receipts, want one of each", bundles, receipts)
	}

	known := func(s shelved, digest string, signers ...v1alpha1.Signer) int {
		return len(w.restarted(s).Known(t.Context(), about(digest, signers...)))
	}
	if got := w.restarted(shelved{kept, key}).Known(t.Context(), about(w.digest, signer)); len(got) != 2 {
		t.Fatalf("after a restart %d are known, want 2", len(got))
	} else if diff := cmp.Diff(found, got, bySource); diff != "" {
		t.Errorf("what is known (-before the restart +after it):\n%s", diff)
	}

	other := signer
	other.Time = v1alpha1.TimeTrustSigner
	for name, got := range map[string]int{
		"of another digest":  known(shelved{kept, key}, digestB, signer),
		"by another key":     known(shelved{kept, key}, w.digest, inGate("ci", newKey(t))),
		"by nobody":          known(shelved{kept, key}, w.digest),
		"of nothing":         known(shelved{nil, key}, w.digest, signer),
		"with bytes swapped": known(shelved{edited(kept, false, func(k *v1alpha1.KeptAttestation) { k.Bundle = []byte("{}") }), nil}, w.digest, signer),
	} {
		if got != 0 {
			t.Errorf("%s %d are known, want none", name, got)
		}
	}
	for name, got := range map[string]int{
		"with another MAC key":              known(shelved{kept, bytes.Repeat([]byte{8}, 32)}, w.digest, signer),
		"without a MAC key":                 known(shelved{kept, nil}, w.digest, signer),
		"with other words about the signer": known(shelved{kept, key}, w.digest, other),
		"with an edited receipt": known(shelved{edited(kept, true, func(k *v1alpha1.KeptAttestation) {
			k.Receipt.Evidence = bytes.Replace(k.Receipt.Evidence, []byte(gate.PredicateSPDX), []byte(gate.PredicateSoak), 1)
		}), key}, w.digest, signer),
		"with another source": known(shelved{edited(kept, true, func(k *v1alpha1.KeptAttestation) { k.Source = digestA }), key}, w.digest, signer),
		"with a cut MAC":      known(shelved{edited(kept, true, func(k *v1alpha1.KeptAttestation) { k.Receipt.MAC = k.Receipt.MAC[:8] }), key}, w.digest, signer),
		"with no MAC":         known(shelved{edited(kept, true, func(k *v1alpha1.KeptAttestation) { k.Receipt.MAC = nil }), key}, w.digest, signer),
	} {
		if got != 1 {
			t.Errorf("%s %d are known, want the bundle alone", name, got)
		}
	}
	forged := edited(kept, true, func(k *v1alpha1.KeptAttestation) {
		k.Receipt.MAC = macOf([]byte("guessed"), w.repository, w.digest, k.Source, k.Receipt.Signer, string(k.Receipt.Evidence))
	})
	if got := known(shelved{forged, key}, w.digest, signer); got != 1 {
		t.Errorf("with a MAC by another key %d are known, want the bundle alone", got)
	}
}

// edited changes what was kept as it is, or what has a receipt.
func edited(kept []v1alpha1.KeptAttestation, receipts bool, change func(*v1alpha1.KeptAttestation)) []v1alpha1.KeptAttestation {
	all := make([]v1alpha1.KeptAttestation, len(kept))
	for i, k := range kept {
		k.DeepCopyInto(&all[i])
		if (k.Receipt != nil) == receipts {
			change(&all[i])
		}
	}
	return all
}

func TestWhatIsKeptIsBounded(t *testing.T) {
	var evidence []gate.Evidence
	for i := range 300 {
		predicateType := gate.PredicateTest
		if i == 299 {
			predicateType = gate.PredicateSignature
		}
		evidence = append(evidence, gate.Evidence{PredicateType: predicateType, Signer: "ci", Source: contentDigest(string(rune(i)))})
	}
	sources := inTurns(evidence)
	if len(sources) != maxKeptCount {
		t.Errorf("%d sources are kept, want %d", len(sources), maxKeptCount)
	}
	if sources[0] != evidence[299].Source && sources[1] != evidence[299].Source {
		t.Error("the only signature isn't among the first")
	}

	kept := make([]v1alpha1.KeptAttestation, 200)
	for i := range kept {
		kept[i] = v1alpha1.KeptAttestation{Source: digestA, Bundle: make([]byte, maxKeptBundle/2)}
	}
	size := 0
	for _, k := range Bounded(kept) {
		size += SizeOf(k)
	}
	if size > maxKept || size < maxKept/2 {
		t.Errorf("%d bytes are kept, want nearly %d", size, maxKept)
	}
}
