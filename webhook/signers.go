package webhook

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/evidence"
	"github.com/envladder/envladder/internal/printable"
)

// lookAgain is when a Gate's signers are looked at again: soon where somebody mends them.
var lookAgain = map[metav1.ConditionStatus]time.Duration{
	metav1.ConditionTrue:    10 * time.Minute,
	metav1.ConditionFalse:   time.Minute,
	metav1.ConditionUnknown: 10 * time.Minute,
}

// signersTime bounds a look at a Gate's signers: the trust asks all of them at once, a
// KMS for five seconds.
const signersTime = 10 * time.Second

// signersReady is the condition that says whether the Gate's signers can be verified by:
// whether the trusted roots that they name are there, and their KMSs answer. Where they
// can't, what they alone prove is denied; other requirements aren't touched.
func signersReady(ctx context.Context, trust *evidence.Trust, g guard) metav1.Condition {
	condition := metav1.Condition{Type: v1alpha1.ConditionSignersReady, ObservedGeneration: g.Generation}
	if len(g.faults()) > 0 {
		condition.Status, condition.Reason, condition.Message = metav1.ConditionUnknown, "NotAccepted", "the Gate isn't accepted"
		return condition
	}
	ctx, cancel := context.WithTimeout(ctx, signersTime)
	defer cancel()
	_, err := trust.Verifier(ctx, g.Spec.Signers)
	if err == nil {
		condition.Status, condition.Reason, condition.Message = metav1.ConditionTrue, "Ready", "all signers can be verified by"
		return condition
	}
	names, whys := signerFaults(err)
	condition.Status, condition.Reason = metav1.ConditionFalse, "SignerUnavailable"
	condition.Message = printable.Cut(fmt.Sprintf("%s%s%s%s", cantVerify, strings.Join(names, ", "), soDenied, strings.Join(whys, "; ")), maxCondition)
	return condition
}

// The message has who it is about in front of why, which a KMS may word anew each time.
const (
	cantVerify = "signers that can't be verified by: "
	soDenied   = "; what they alone prove is denied: "
)

// signerFaults are the names in an error of Trust.Verifier, and what is wrong with each.
func signerFaults(err error) (names, whys []string) {
	for _, one := range flatten(err) {
		name := "?"
		if signer, ok := errors.AsType[*evidence.SignerError](one); ok {
			name = signer.Signer
		}
		names, whys = append(names, name), append(whys, line(one.Error()))
	}
	return names, whys
}

func flatten(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}

// setSigners brings the condition up to date, and says whether it wasn't. Other words for
// the same signers' faults are no news.
func setSigners(status *v1alpha1.GateStatus, condition metav1.Condition) (changed bool) {
	old := meta.FindStatusCondition(status.Conditions, condition.Type)
	about, _, denied := strings.Cut(condition.Message, soDenied)
	if old != nil && denied && old.Status == condition.Status && strings.HasPrefix(old.Message, about+soDenied) {
		condition.Message = old.Message
	}
	return meta.SetStatusCondition(&status.Conditions, condition)
}
