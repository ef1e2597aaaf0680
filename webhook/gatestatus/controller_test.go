package gatestatus

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/envladder/envladder/webhook/policycache"
	"github.com/envladder/envladder/webhook/webhooktest"
)

func TestAccepted(t *testing.T) {
	for name, test := range webhooktest.UnacceptedGates() {
		t.Run(name, func(t *testing.T) {
			condition := accepted(policycache.ReadGate(test.Gate))
			if condition.Status != metav1.ConditionFalse || condition.Reason != string(test.Code) {
				t.Errorf("the condition is %+v, want False, %s", condition, test.Code)
			}
		})
	}
	t.Run("accepted Gate", func(t *testing.T) {
		condition := accepted(policycache.ReadGate(webhooktest.Unstructured(webhooktest.MinimalGate(), "Gate")))
		if condition.Status != metav1.ConditionTrue {
			t.Errorf("the condition is %+v, want True", condition)
		}
	})
}
