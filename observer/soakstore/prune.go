package soakstore

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/observer/window"
)

const (
	// MaxStopped is how many Soaks of digests that don't run are kept for each image and
	// Gate in a namespace: enough history, and enough for a rollback to resume its time.
	MaxStopped = 10
	// maxListed bounds a list of a namespace's Soaks. An image has a few; a thousand are
	// dozens of images.
	maxListed = 1000
)

// List returns the Soaks of a namespace.
func (s *Store) List(ctx context.Context, namespace string) ([]v1alpha1.Soak, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var soaks v1alpha1.SoakList
	if err := s.client.List(ctx, &soaks, client.InNamespace(namespace), client.Limit(maxListed)); err != nil {
		return nil, fmt.Errorf("listing the Soaks of namespace %q: %w", namespace, err)
	}
	return soaks.Items, nil
}

// Sealed reports whether a Soak's figures are the observer's own.
func (s *Store) Sealed(soak *v1alpha1.Soak) bool { return s.sealer.verify(soak) }

// LastObserved returns the last moment before now at which an observer provably watched
// the namespace of some Soaks, or the zero time.
func (s *Store) LastObserved(soaks []v1alpha1.Soak, now time.Time) time.Time {
	var last time.Time
	for i := range soaks {
		if w := soaks[i].Status.Window; w != nil && s.sealer.verify(&soaks[i]) {
			if at := observedUntil(w); at.After(last) && !at.After(now) {
				last = at
			}
		}
	}
	return last
}

// observedUntil returns the last moment of a window that an observer saw.
func observedUntil(w *v1alpha1.SoakWindow) time.Time {
	if n := len(w.Interruptions); n > 0 {
		if last := w.Interruptions[n-1]; last.To.Equal(&w.ObservedAt) && window.IsUnobserved(last.Reason) {
			return last.From.UTC()
		}
	}
	return w.ObservedAt.UTC()
}

// Prune deletes the Soaks of a namespace that stopped longest ago, beyond MaxStopped.
func (s *Store) Prune(ctx context.Context, namespace string) {
	soaks, err := s.List(ctx, namespace)
	if err != nil {
		s.log.Error("deleting old Soaks failed; retrying later", "error", err)
		return
	}
	type image struct{ gate, repository string }
	stopped := map[image][]*v1alpha1.Soak{}
	for i := range soaks {
		if soak := &soaks[i]; soak.Status.State == v1alpha1.SoakStopped {
			key := image{soak.Spec.Gate, soak.Spec.Repository}
			stopped[key] = append(stopped[key], soak)
		}
	}
	for _, ofImage := range stopped {
		slices.SortFunc(ofImage, func(a, b *v1alpha1.Soak) int {
			return cmp.Or(lastWritten(a).Compare(lastWritten(b)), cmp.Compare(a.Name, b.Name))
		})
		for _, soak := range ofImage[:max(len(ofImage)-MaxStopped, 0)] {
			s.delete(ctx, soak)
		}
	}
}

func (s *Store) delete(ctx context.Context, soak *v1alpha1.Soak) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	// The precondition spares a Soak whose digest runs again since it was listed.
	unchanged := client.Preconditions{UID: &soak.UID, ResourceVersion: &soak.ResourceVersion}
	err := s.client.Delete(ctx, soak, unchanged)
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		s.log.Error("deleting an old Soak failed; retrying later", "namespace", soak.Namespace, "soak", soak.Name, "error", err)
	}
}

// lastWritten returns the time up to which a Soak was measured.
func lastWritten(soak *v1alpha1.Soak) time.Time {
	if w := soak.Status.Window; w != nil {
		return w.ObservedAt.Time
	}
	return soak.CreationTimestamp.Time
}
