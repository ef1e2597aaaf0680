package observer

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/envladder/envladder/api/v1alpha1"
)

const (
	// maxStopped is how many notebooks of digests that don't run any more are kept, of
	// each image and Gate in a namespace: enough to look back, and for a rollback to go
	// on where it was.
	maxStopped = 10
	// maxListed bounds a namespace's Soaks that are read at once. Those of one image are
	// few; a thousand are dozens of images.
	maxListed = 1000
)

func (l *loop) list(ctx context.Context, namespace string) ([]v1alpha1.Soak, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	var soaks v1alpha1.SoakList
	if err := l.client.List(ctx, &soaks, client.InNamespace(namespace), client.Limit(maxListed)); err != nil {
		return nil, fmt.Errorf("listing the Soaks of namespace %q: %w", namespace, err)
	}
	return soaks.Items, nil
}

// openOld brings the notebooks of digests that don't run up to date: at the start, and
// after each time that nobody looked. What follows the namespace without a break from
// then on needs no page: it would see them run.
func (l *loop) openOld(ctx context.Context, namespace string, wanted map[trackKey]health, gates []*observedGate, at instant) error {
	if !l.opened[namespace].IsZero() {
		return nil
	}
	soaks, err := l.list(ctx, namespace)
	if err != nil {
		return err
	}
	seen := l.lastPresent(namespace, soaks, at.wall)
	for i := range soaks {
		soak := &soaks[i]
		key := trackKey{namespace, soak.Spec}
		runs := runs(key, wanted)
		stopped := soak.Status.State == v1alpha1.SoakStopped
		switch {
		case l.tracks[key] != nil || soak.Name != soakName(soak.Spec):
		case stopped && (soak.Status.Window == nil || !l.sealer.verify(soak)): // it has no time to tell
		case stopped || !runs:
			t := newTrack(namespace, soak.Spec)
			l.take(t, soak)
			l.inherit(key, t)
			t.ask(gates)
			t.account.stoppedUntil(seen)
			l.closeTrack(ctx, key, t, health{Message: stoppedMessage}, at.observation(""))
		}
	}
	l.opened[namespace] = at.wall
	l.collect(ctx, namespace)
	return nil
}

// runs says whether what a notebook is about is wanted. Whether the time of a chart is,
// the digest's own track says, which may not be open yet.
func runs(key trackKey, wanted map[trackKey]health) bool {
	chart := key.spec.Chart
	key.spec.Chart = ""
	h, runs := wanted[key]
	return runs && (chart == "" || chart == h.chart())
}

// lastPresent is until when an observer surely looked at a namespace: the last page of
// any of its notebooks tells.
func (l *loop) lastPresent(namespace string, soaks []v1alpha1.Soak, now time.Time) time.Time {
	last := l.present[namespace]
	for i := range soaks {
		if w := soaks[i].Status.Window; w != nil && l.sealer.verify(&soaks[i]) {
			if at := seenUntil(w); at.After(last) && !at.After(now) {
				last = at
			}
		}
	}
	return last
}

// seenUntil is the last moment of a window that somebody saw.
func seenUntil(w *v1alpha1.SoakWindow) time.Time {
	if n := len(w.Interruptions); n > 0 {
		if last := w.Interruptions[n-1]; last.To.Equal(&w.ObservedAt) && unseen(last.Reason) {
			return last.From.UTC()
		}
	}
	return w.ObservedAt.UTC()
}

// collect deletes the notebooks that stopped longest ago.
func (l *loop) collect(ctx context.Context, namespace string) {
	soaks, err := l.list(ctx, namespace)
	if err != nil {
		l.log.Error("old Soaks can't be collected; it is tried again", "error", err)
		return
	}
	type image struct{ gate, repository string }
	stopped := map[image][]*v1alpha1.Soak{}
	for i := range soaks {
		if soak := &soaks[i]; soak.Status.State == v1alpha1.SoakStopped {
			of := image{soak.Spec.Gate, soak.Spec.Repository}
			stopped[of] = append(stopped[of], soak)
		}
	}
	for _, old := range stopped {
		slices.SortFunc(old, func(a, b *v1alpha1.Soak) int {
			return cmp.Or(lastSeen(a).Compare(lastSeen(b)), cmp.Compare(a.Name, b.Name))
		})
		for _, soak := range old[:max(len(old)-maxStopped, 0)] {
			l.discard(ctx, soak)
		}
	}
}

func (l *loop) discard(ctx context.Context, soak *v1alpha1.Soak) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	// Not one that has begun to run again since it was listed.
	unchanged := client.Preconditions{UID: &soak.UID, ResourceVersion: &soak.ResourceVersion}
	err := l.client.Delete(ctx, soak, unchanged)
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		l.log.Error("an old Soak can't be deleted; it is tried again", "namespace", soak.Namespace, "soak", soak.Name, "error", err)
	}
}

// lastSeen is when a notebook was written last.
func lastSeen(soak *v1alpha1.Soak) time.Time {
	if w := soak.Status.Window; w != nil {
		return w.ObservedAt.Time
	}
	return soak.CreationTimestamp.Time
}
