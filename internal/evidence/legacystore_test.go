package evidence

import (
	"context"
	"errors"
	"testing"

	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/registry/registrytest"
)

// rooted is a ClusterImagePolicy's word, by a root; there may be none.
type rooted struct{ root *string }

func (rooted) Signed(context.Context, gate.Image, LegacySigner) ([]LegacyClaim, error) {
	return nil, nil
}

func (rooted) Admits(context.Context, []byte, gate.Image) (string, error) { return "", nil }

func (r rooted) Resolve(_ context.Context, document []byte) ([]byte, error) {
	if *r.root == "" {
		return nil, errors.New("there is no root")
	}
	return append([]byte(*r.root), document...), nil
}

// TestPolicyResultIsCachedForSameRoot, memory warm.
func TestPolicyResultIsCachedForSameRoot(t *testing.T) {
	w := newFixture(t, registrytest.WithReferrers)
	root := "first"
	store := NewStore(w.client, NewTrust(TrustOptions{})).WithLegacy(rooted{&root})
	q := w.query()
	q.Policy = &Policy{Name: "corp", Document: []byte("{}")}
	known := func(when string, want int) {
		t.Helper()
		if got := store.Known(t.Context(), q); len(got) != want {
			t.Errorf("%s %d are known, want %d", when, len(got), want)
		}
	}
	fetch := func() {
		t.Helper()
		if found, err := store.Fetch(t.Context(), q); err != nil || len(found) != 1 {
			t.Fatalf("found %+v, error %v; want the policy's word", found, err)
		}
	}
	fetch()
	known("with its root", 1)
	root = "second"
	known("with another root", 0)
	fetch()
	known("with that one asked", 1)
	root = ""
	known("with no root", 0)
	fetch()
	known("with no root to remember it by", 0)
	root = "second"
	known("with its root back", 1)
}
