package gatestatus

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/envladder/envladder/api/v1alpha1"
)

func TestSetSigners(t *testing.T) {
	condition := func(message string) metav1.Condition {
		return metav1.Condition{Type: v1alpha1.ConditionSignersReady, Status: metav1.ConditionFalse, Reason: "SignerUnavailable", ObservedGeneration: 1, Message: message, LastTransitionTime: metav1.NewTime(time.Now())}
	}
	var status v1alpha1.GateStatus
	for _, step := range []struct {
		name    string
		message string
		changed bool
	}{
		{"first condition", cannotVerify + "kms" + consequence + "request 1 failed", true},
		{"same signer, cause worded differently", cannotVerify + "kms" + consequence + "request 2 failed", false},
		{"one more signer", cannotVerify + "kms, ci" + consequence + "request 3 failed", true},
		{"all signers ready", "signatures of all signers can be verified", true},
		{"all signers still ready", "signatures of all signers can be verified", false},
	} {
		next := condition(step.message)
		if !strings.HasPrefix(step.message, cannotVerify) {
			next.Status = metav1.ConditionTrue
		}
		if changed := setSigners(&status, next); changed != step.changed {
			t.Errorf("%s: changed is %t, want %t", step.name, changed, step.changed)
		}
	}
}
