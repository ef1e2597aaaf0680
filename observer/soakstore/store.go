package soakstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/record"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/envladder/envladder/api/v1alpha1"
)

// callTimeout bounds one call to the API server.
const callTimeout = 5 * time.Second

var (
	// ErrDeleted is returned for a Soak that was deleted: its digest is measured again
	// from the start.
	ErrDeleted = errors.New("the Soak was deleted")
	// ErrSuperseded is returned where another observer writes with the same key: one of
	// the two has lost the lease and doesn't know it yet.
	ErrSuperseded = errors.New("another observer writes this cluster's Soaks: stopping this one")
)

// Key is what is measured, and where.
type Key struct {
	Namespace string
	Spec      v1alpha1.SoakSpec
}

// Record is one Soak, as the store last read or wrote it.
type Record struct {
	Key

	Soak *v1alpha1.Soak
}

// Store reads and writes Soaks.
type Store struct {
	client   client.Client // reads the API server, not a cache
	sealer   sealer
	instance string
	recorder record.EventRecorder
	log      *slog.Logger
}

// New returns a store for one start of the observer, which instance names. Soaks are
// sealed with a key that is derived from secret.
func New(c client.Client, secret []byte, instance string, recorder record.EventRecorder, log *slog.Logger) *Store {
	return &Store{client: c, sealer: newSealer(secret), instance: instance, recorder: recorder, log: log}
}

// Open reads or creates the Soak of what is measured. resumable reports whether its
// figures are the observer's own.
func (s *Store) Open(ctx context.Context, key Key) (r Record, resumable bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	r = Record{Key: key}
	soak := &v1alpha1.Soak{}
	err = s.client.Get(ctx, client.ObjectKey{Namespace: key.Namespace, Name: Name(key.Spec)}, soak)
	switch {
	case apierrors.IsNotFound(err):
		return r, false, s.create(ctx, &r)
	case err != nil:
		return r, false, fmt.Errorf("reading Soak %s/%s: %w", key.Namespace, Name(key.Spec), err)
	}
	resumable = s.Resumable(key, soak)
	r.Soak = soak
	return r, resumable, s.restoreSpec(ctx, &r)
}

// Resumable reports whether a Soak's figures are the observer's own. Figures of anyone
// else are discarded with an event.
func (s *Store) Resumable(key Key, soak *v1alpha1.Soak) bool {
	if soak.Spec == key.Spec && s.sealer.verify(soak) {
		return true
	}
	if soak.Status.Seal == "" && soak.Status.Window == nil {
		return false // created, and not written yet
	}
	s.log.Warn("discarded a Soak's figures: its seal doesn't verify; measuring again from the start", "namespace", key.Namespace, "soak", soak.Name)
	s.recorder.Event(soak, corev1.EventTypeWarning, "Discarded", "the seal doesn't verify (an edit, or another key): the digest is measured again from the start")
	return false
}

func (s *Store) create(ctx context.Context, r *Record) error {
	soak := &v1alpha1.Soak{ObjectMeta: metav1.ObjectMeta{Namespace: r.Namespace, Name: Name(r.Spec)}, Spec: r.Spec}
	if err := s.client.Create(ctx, soak); err != nil {
		return fmt.Errorf("creating Soak %s/%s: %w", soak.Namespace, soak.Name, err)
	}
	r.Soak = soak
	return nil
}

// restoreSpec reverts an edit of the spec.
func (s *Store) restoreSpec(ctx context.Context, r *Record) error {
	if r.Soak.Spec == r.Spec {
		return nil
	}
	restored := r.Soak.DeepCopy()
	restored.Spec = r.Spec
	if err := s.client.Update(ctx, restored); err != nil {
		return fmt.Errorf("restoring the spec of Soak %s/%s: %w", restored.Namespace, restored.Name, err)
	}
	r.Soak = restored
	return nil
}

// Write brings the Soak up to date. It overwrites the edits of others.
func (s *Store) Write(ctx context.Context, r *Record, status v1alpha1.SoakStatus) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	const attempts = 3 // a faster editor is overwritten at the next observation
	var err error
	for range attempts {
		if err = s.tryWrite(ctx, r, status); !apierrors.IsConflict(err) {
			break
		}
		if err := s.refresh(ctx, r); err != nil {
			return err
		}
	}
	switch {
	case apierrors.IsNotFound(err):
		return ErrDeleted
	case err != nil:
		return fmt.Errorf("writing Soak %s/%s: %w", r.Namespace, Name(r.Spec), err)
	}
	return nil
}

func (s *Store) tryWrite(ctx context.Context, r *Record, status v1alpha1.SoakStatus) error {
	status.Seal = r.Soak.Status.Seal
	status.Conditions = mergeConditions(r.Soak.Status.Conditions, status.Conditions)
	if equality.Semantic.DeepEqual(r.Soak.Status, status) {
		return nil
	}
	next := r.Soak.DeepCopy()
	next.Status = status
	seal, err := s.sealer.seal(next)
	if err != nil {
		return err
	}
	next.Status.Seal = seal
	if err := s.client.Status().Update(ctx, next); err != nil {
		return err
	}
	r.Soak = next
	return nil
}

// mergeConditions returns the live conditions with those that are set.
func mergeConditions(live, set []metav1.Condition) []metav1.Condition {
	var merged []metav1.Condition
	for _, c := range live {
		merged = append(merged, *c.DeepCopy())
	}
	for _, c := range set {
		meta.SetStatusCondition(&merged, c)
	}
	return merged
}

// refresh reads a Soak that someone else wrote.
func (s *Store) refresh(ctx context.Context, r *Record) error {
	soak, err := s.Read(ctx, *r)
	if err != nil {
		return err
	}
	s.log.Warn("overwriting an edit of a Soak", "namespace", soak.Namespace, "soak", soak.Name)
	r.Soak = soak
	return s.restoreSpec(ctx, r)
}

// Read returns the Soak as the cluster has it now. It fails with ErrDeleted where it is
// another object, and with ErrSuperseded where another observer writes it.
func (s *Store) Read(ctx context.Context, r Record) (*v1alpha1.Soak, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	soak := &v1alpha1.Soak{}
	err := s.client.Get(ctx, client.ObjectKeyFromObject(r.Soak), soak)
	switch {
	case apierrors.IsNotFound(err):
		return nil, ErrDeleted
	case err != nil:
		return nil, fmt.Errorf("reading Soak %s/%s: %w", r.Namespace, r.Soak.Name, err)
	case soak.UID != r.Soak.UID:
		return nil, ErrDeleted
	case s.superseded(r, soak):
		return nil, ErrSuperseded
	}
	return soak, nil
}

// superseded reports whether another observer with the key wrote a later status than
// ours. An earlier one may be an old status that someone restored.
func (s *Store) superseded(r Record, soak *v1alpha1.Soak) bool {
	observer, theirs, ours := soak.Status.Observer, soak.Status.Window, r.Soak.Status.Window
	if observer == nil || observer.Instance == s.instance || !s.sealer.verify(soak) {
		return false
	}
	return theirs != nil && (ours == nil || theirs.ObservedAt.After(ours.ObservedAt.Time))
}
