package gatestatus

import (
	"context"
	"errors"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/evidence"
	"github.com/envladder/envladder/internal/printable"
	"github.com/envladder/envladder/webhook/policycache"
)

// signerInterval is the time after which a Gate's signers are checked again: soon after
// a failure.
var signerInterval = map[metav1.ConditionStatus]time.Duration{
	metav1.ConditionTrue:    10 * time.Minute,
	metav1.ConditionFalse:   time.Minute,
	metav1.ConditionUnknown: 10 * time.Minute,
}

// signersTimeout bounds a check of a Gate's signers: all of them are queried at once, a KMS
// for five seconds.
const signersTimeout = 10 * time.Second

// signersReady returns the condition that reports whether signatures of the Gate's signers
// can be verified: whether the trusted roots that they name exist, and their KMSs answer.
// Requirements that only an unavailable signer satisfies are denied; others aren't
// affected.
func signersReady(ctx context.Context, trust *evidence.Trust, g policycache.CachedGate) metav1.Condition {
	condition := metav1.Condition{Type: v1alpha1.ConditionSignersReady, ObservedGeneration: g.Generation}
	if len(g.Problems()) > 0 {
		condition.Status, condition.Reason, condition.Message = metav1.ConditionUnknown, "NotAccepted", "the Gate isn't accepted"
		return condition
	}
	ctx, cancel := context.WithTimeout(ctx, signersTimeout)
	defer cancel()
	_, err := trust.Verifier(ctx, g.Spec.Signers)
	if err == nil {
		condition.Status, condition.Reason, condition.Message = metav1.ConditionTrue, "Ready", "signatures of all signers can be verified"
		return condition
	}
	names, causes := signerErrors(err)
	condition.Status, condition.Reason = metav1.ConditionFalse, "SignerUnavailable"
	condition.Message = printable.Cut(cannotVerify+strings.Join(names, ", ")+consequence+strings.Join(causes, "; "), maxCondition)
	return condition
}

// The message names the signers before the causes, which a KMS may word differently each
// time.
const (
	cannotVerify = "cannot verify signatures from: "
	consequence  = "; requirements that only they satisfy are denied: "
)

// signerErrors returns the names of the signers in an error of Trust.Verifier, and the
// cause for each.
func signerErrors(err error) (names, causes []string) {
	for _, single := range flatten(err) {
		name := "?"
		if signer, ok := errors.AsType[*evidence.SignerError](single); ok {
			name = signer.Signer
		}
		names, causes = append(names, name), append(causes, line(single.Error()))
	}
	return names, causes
}

func flatten(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}

// setSigners sets the condition, and reports whether that changed it. A different wording
// of causes for the same signers is no change.
func setSigners(status *v1alpha1.GateStatus, condition metav1.Condition) (changed bool) {
	old := meta.FindStatusCondition(status.Conditions, condition.Type)
	signers, _, unavailable := strings.Cut(condition.Message, consequence)
	if old != nil && unavailable && old.Status == condition.Status && strings.HasPrefix(old.Message, signers+consequence) {
		condition.Message = old.Message
	}
	return meta.SetStatusCondition(&status.Conditions, condition)
}
