package webhook

import (
	"context"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/evidence"
	"github.com/envladder/envladder/internal/printable"
)

// maxCondition bounds a condition's message, in runes; the API takes 32,768.
const maxCondition = 4 << 10

// statusWriter tells the platform team, in each Gate's status, whether it is judged
// by. Every replica writes, and writes the same, so none needs to lead.
type statusWriter struct {
	client client.Client
	trust  *evidence.Trust // nil: signers aren't looked at
}

// addStatusWriter makes the manager keep the status of Gates. It looks at a Gate when
// its spec changes, not when its status does: two versions of the webhook that differ
// about a Gate, during a roll, must not write against each other for ever.
func addStatusWriter(manager ctrl.Manager, trust *evidence.Trust) error {
	err := ctrl.NewControllerManagedBy(manager).
		Named("gate-status").
		For(emptyOf(gateKind), builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WithOptions(controller.Options{SkipNameValidation: new(true)}). // several webhooks in one process have a manager each
		Complete(&statusWriter{client: manager.GetClient(), trust: trust})
	if err != nil {
		return fmt.Errorf("setting up the status of Gates: %w", err)
	}
	return nil
}

// Reconcile writes the conditions of one Gate where they aren't right yet. It reads the
// Gate from the API server, so that it never patches on top of stale status. What signers
// name outside of the Gate comes and goes, so it is looked at again.
func (w *statusWriter) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	var again time.Duration
	err := writeStatus(ctx, w.client, request.Name, func(g guard, status *v1alpha1.GateStatus) bool {
		changed := meta.SetStatusCondition(&status.Conditions, accepted(g))
		if w.trust != nil {
			signers := signersReady(ctx, w.trust, g)
			changed = setSigners(status, signers) || changed
			again = lookAgain[signers.Status]
		}
		changed = changed || status.ObservedGeneration != g.Generation
		status.ObservedGeneration = g.Generation
		return changed
	})
	if apierrors.IsConflict(err) {
		return ctrl.Result{RequeueAfter: time.Second}, nil // another replica was first
	}
	return ctrl.Result{RequeueAfter: again}, err
}

// writeStatus writes a Gate's status where change changes it. A Gate that isn't there any
// more has none.
func writeStatus(ctx context.Context, c client.Client, name string, change func(guard, *v1alpha1.GateStatus) (changed bool)) error {
	live := emptyOf(gateKind)
	if err := c.Get(ctx, client.ObjectKey{Name: name}, live); err != nil {
		return client.IgnoreNotFound(err)
	}
	patched := live.DeepCopy()
	var status v1alpha1.GateStatus
	if raw, ok := patched.Object["status"].(map[string]any); ok {
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(raw, &status); err != nil {
			status = v1alpha1.GateStatus{} // whatever it was, it is ours to write
		}
	}
	if !change(readGate(live), &status) {
		return nil
	}
	raw, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&status)
	if err != nil {
		return fmt.Errorf("encoding the status of Gate %q: %w", name, err)
	}
	patched.Object["status"] = raw
	patch := client.MergeFromWithOptions(live, client.MergeFromWithOptimisticLock{})
	if err := c.Status().Patch(ctx, patched, patch); err != nil {
		return fmt.Errorf("writing the status of Gate %q: %w", name, err)
	}
	return nil
}

// accepted is the condition that says whether the Gate is judged by.
func accepted(g guard) metav1.Condition {
	condition := metav1.Condition{
		Type:               v1alpha1.ConditionAccepted,
		Status:             metav1.ConditionTrue,
		ObservedGeneration: g.Generation,
		Reason:             "Accepted",
		Message:            "images are judged by this Gate",
	}
	faults := g.faults()
	if len(faults) == 0 {
		return condition
	}
	texts := make([]string, len(faults))
	for i, fault := range faults {
		texts[i] = line(fault.Message)
	}
	condition.Status = metav1.ConditionFalse
	condition.Reason = string(faults[0].Code)
	condition.Message = printable.Cut("its namespaces deny: "+strings.Join(texts, "; "), maxCondition)
	return condition
}
