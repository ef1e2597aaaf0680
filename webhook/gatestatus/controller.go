package gatestatus

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
	"github.com/envladder/envladder/webhook/policycache"
)

const (
	// maxCondition bounds a condition's message, in characters; the API accepts 32,768.
	maxCondition = 4 << 10
	// maxLine bounds the text from an error in a message, in characters.
	maxLine = 1 << 10
)

// reconciler writes the conditions Accepted and SignersReady of Gates. Every replica
// writes, and writes the same, so none needs to lead.
type reconciler struct {
	client client.Client
	trust  *evidence.Trust // nil: SignersReady isn't written
}

// AddController adds a controller to the manager that writes the conditions Accepted and,
// unless trust is nil, SignersReady of Gates. It reconciles a Gate when its spec changes,
// not when its status does: two versions of the webhook that disagree about a Gate, during
// a rollout, must not overwrite each other without end.
func AddController(manager ctrl.Manager, trust *evidence.Trust) error {
	err := ctrl.NewControllerManagedBy(manager).
		Named("gate-status").
		For(policycache.NewObject(policycache.GateKind), builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WithOptions(controller.Options{SkipNameValidation: new(true)}). // several webhooks in one process have a manager each
		Complete(&reconciler{client: manager.GetClient(), trust: trust})
	if err != nil {
		return fmt.Errorf("setting up the status of Gates: %w", err)
	}
	return nil
}

// Reconcile brings the conditions of one Gate up to date. It reads the Gate from the API
// server, so that it never patches a stale status. Signers depend on files and services
// outside of the Gate, so the Gate is requeued.
func (r *reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	var requeueAfter time.Duration
	err := updateStatus(ctx, r.client, request.Name, func(g policycache.CachedGate, status *v1alpha1.GateStatus) bool {
		changed := meta.SetStatusCondition(&status.Conditions, accepted(g))
		if r.trust != nil {
			signers := signersReady(ctx, r.trust, g)
			changed = setSigners(status, signers) || changed
			requeueAfter = signerInterval[signers.Status]
		}
		changed = changed || status.ObservedGeneration != g.Generation
		status.ObservedGeneration = g.Generation
		return changed
	})
	if apierrors.IsConflict(err) {
		return ctrl.Result{RequeueAfter: time.Second}, nil // another replica was first
	}
	return ctrl.Result{RequeueAfter: requeueAfter}, err
}

// updateStatus writes a Gate's status if change changes it. It does nothing if the Gate
// doesn't exist any more.
func updateStatus(ctx context.Context, c client.Client, name string, change func(policycache.CachedGate, *v1alpha1.GateStatus) (changed bool)) error {
	live := policycache.NewObject(policycache.GateKind)
	if err := c.Get(ctx, client.ObjectKey{Name: name}, live); err != nil {
		return client.IgnoreNotFound(err)
	}
	patched := live.DeepCopy()
	var status v1alpha1.GateStatus
	if raw, ok := patched.Object["status"].(map[string]any); ok {
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(raw, &status); err != nil {
			status = v1alpha1.GateStatus{} // whatever it was, it is the webhook's to write
		}
	}
	if !change(policycache.ReadGate(live), &status) {
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

// accepted returns the condition that reports whether images are judged by the Gate.
func accepted(g policycache.CachedGate) metav1.Condition {
	condition := metav1.Condition{
		Type:               v1alpha1.ConditionAccepted,
		Status:             metav1.ConditionTrue,
		ObservedGeneration: g.Generation,
		Reason:             "Accepted",
		Message:            "images are judged by this Gate",
	}
	problems := g.Problems()
	if len(problems) == 0 {
		return condition
	}
	texts := make([]string, len(problems))
	for i, problem := range problems {
		texts[i] = line(problem.Message)
	}
	condition.Status = metav1.ConditionFalse
	condition.Reason = string(problems[0].Code)
	condition.Message = printable.Cut("its namespaces deny: "+strings.Join(texts, "; "), maxCondition)
	return condition
}

// line returns untrusted text as one clean line.
func line(text string) string { return printable.Line(text, maxLine) }
