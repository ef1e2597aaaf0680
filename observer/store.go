package observer

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/envladder/envladder/api/v1alpha1"
)

// callTime is how long the API server may take over one call.
const callTime = 5 * time.Second

var (
	// errGone is about a Soak that somebody deleted: its measuring begins anew.
	errGone = errors.New("the Soak was deleted")
	// errUsurped is about another observer that writes with the same key: one of the two
	// has lost the lead and doesn't know it yet.
	errUsurped = errors.New("another observer writes this cluster's Soaks: this one ends")
)

// open finds the notebook of what is measured, or makes it.
func (l *loop) open(ctx context.Context, namespace string, spec v1alpha1.SoakSpec) (*track, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	t := newTrack(namespace, spec)
	soak := &v1alpha1.Soak{}
	err := l.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: soakName(spec)}, soak)
	switch {
	case apierrors.IsNotFound(err):
		return t, l.create(ctx, t)
	case err != nil:
		return nil, fmt.Errorf("reading Soak %s/%s: %w", namespace, soakName(spec), err)
	}
	l.take(t, soak)
	return t, l.mendSpec(ctx, t)
}

// take continues a notebook, or begins anew where it isn't the observer's own.
func (l *loop) take(t *track, soak *v1alpha1.Soak) {
	blank := soak.Status.Seal == "" && soak.Status.Window == nil // made, and not yet written
	if soak.Spec == t.spec && l.sealer.verify(soak) {
		t.resume(soak)
		opened := l.opened[t.namespace]
		t.account.watched = !opened.IsZero() && !t.account.ObservedAt.Before(opened)
		return
	}
	t.live = soak
	if blank {
		return
	}
	l.log.Warn("discarded a notebook that this observer's key didn't seal: the digest is measured anew", "namespace", t.namespace, "soak", soak.Name)
	l.recorder.Event(soak, corev1.EventTypeWarning, "Discarded", "the figures aren't those that the observer wrote (an edit, or another key): the digest is measured anew")
}

func (l *loop) create(ctx context.Context, t *track) error {
	soak := &v1alpha1.Soak{ObjectMeta: metav1.ObjectMeta{Namespace: t.namespace, Name: soakName(t.spec)}, Spec: t.spec}
	if err := l.client.Create(ctx, soak); err != nil {
		return fmt.Errorf("creating Soak %s/%s: %w", soak.Namespace, soak.Name, err)
	}
	t.live = soak
	return nil
}

// mendSpec takes back an edit of the spec.
func (l *loop) mendSpec(ctx context.Context, t *track) error {
	if t.live.Spec == t.spec {
		return nil
	}
	mended := t.live.DeepCopy()
	mended.Spec = t.spec
	if err := l.client.Update(ctx, mended); err != nil {
		return fmt.Errorf("mending Soak %s/%s: %w", mended.Namespace, mended.Name, err)
	}
	t.live = mended
	return nil
}

// write brings the notebook up to date. An edit by somebody else is overwritten.
func (l *loop) write(ctx context.Context, t *track) error {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	const attempts = 3 // who edits as fast as that waits for the next observation
	var err error
	for range attempts {
		if err = l.writeOnce(ctx, t); !apierrors.IsConflict(err) {
			break
		}
		if err := l.refresh(ctx, t); err != nil {
			return err
		}
	}
	switch {
	case apierrors.IsNotFound(err):
		return errGone
	case err != nil:
		return fmt.Errorf("writing Soak %s/%s: %w", t.namespace, soakName(t.spec), err)
	}
	return nil
}

func (l *loop) writeOnce(ctx context.Context, t *track) error {
	status := t.status(l.self)
	if t.written(&status) {
		return nil
	}
	next := t.live.DeepCopy()
	next.Status = status
	seal, err := l.sealer.seal(next)
	if err != nil {
		return err
	}
	next.Status.Seal = seal
	if err := l.client.Status().Update(ctx, next); err != nil {
		return err
	}
	t.live = next
	return nil
}

// refresh reads the Soak that somebody else wrote.
func (l *loop) refresh(ctx context.Context, t *track) error {
	soak, err := l.reread(ctx, t)
	if err != nil {
		return err
	}
	l.log.Warn("a Soak was edited: the edit is overwritten", "namespace", soak.Namespace, "soak", soak.Name)
	t.live = soak
	return l.mendSpec(ctx, t)
}

// reread is a track's Soak as the cluster has it now: still the same, and this
// observer's to write.
func (l *loop) reread(ctx context.Context, t *track) (*v1alpha1.Soak, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	soak := &v1alpha1.Soak{}
	err := l.client.Get(ctx, client.ObjectKeyFromObject(t.live), soak)
	switch {
	case apierrors.IsNotFound(err):
		return nil, errGone
	case err != nil:
		return nil, fmt.Errorf("reading Soak %s/%s: %w", t.namespace, t.live.Name, err)
	case soak.UID != t.live.UID:
		return nil, errGone
	case l.usurped(t, soak):
		return nil, errUsurped
	}
	return soak, nil
}

// usurped says whether a later page than ours was written by another observer that has
// the key. An earlier one may be an old page that somebody put back.
func (l *loop) usurped(t *track, soak *v1alpha1.Soak) bool {
	by, theirs, ours := soak.Status.Observer, soak.Status.Window, t.live.Status.Window
	if by == nil || by.Instance == l.self.Instance || !l.sealer.verify(soak) {
		return false
	}
	return theirs != nil && (ours == nil || theirs.ObservedAt.After(ours.ObservedAt.Time))
}
