package gatestatus

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/audit"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/webhook/policycache"
	"github.com/envladder/envladder/webhook/webhooktest"
)

func TestSummarize(t *testing.T) {
	denied := func(name, by string, codes ...gate.Code) audit.Image {
		v := gate.Verdict{Gate: gate.Ref{Name: by}}
		for _, code := range codes {
			v.Reasons = append(v.Reasons, gate.NewReason(code, "needs 24h, has 6h12m"))
		}
		return audit.Image{Namespace: "shop", Image: name, Objects: []string{"Pod/1", "Pod/2", "Pod/3", "Pod/4", "Pod/5", "Pod/6"}, Verdicts: []gate.Verdict{v}}
	}
	many := audited{}
	for range 60 {
		many.images = append(many.images, denied("web", "shop-prod", gate.NoSoak))
	}
	many.images = append(many.images, denied("recalled", "", gate.Recalled))
	for name, test := range map[string]struct {
		gate      policycache.CachedGate
		found     audited
		condition [2]string
		running   *v1alpha1.RunningStatus
	}{
		"image denied by another Gate": {
			found:     audited{images: []audit.Image{denied("web", "bank-prod", gate.NoSoak)}},
			condition: [2]string{"True", "Allowed"}, running: &v1alpha1.RunningStatus{Images: 1},
		},
		"unreadable object": {
			found:     audited{unreadable: []audit.Unread{{Object: "Pod/x"}}},
			condition: [2]string{"False", "Denied"}, running: &v1alpha1.RunningStatus{Unread: 1},
		},
		"failed audit":     {found: audited{err: errors.New("forbidden")}, condition: [2]string{"Unknown", "AuditFailed"}},
		"undecodable Gate": {gate: policycache.CachedGate{DecodeError: errors.New("a field")}, condition: [2]string{"Unknown", "AuditFailed"}},
		"more images than fit": {
			found: many, condition: [2]string{"False", "Recalled"},
			running: &v1alpha1.RunningStatus{Images: 61, Denied: 61, Recalled: 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			test.gate.Gate.Gate = webhooktest.NewGate("shop-prod", "shop")
			running, condition := summarize(test.gate, map[string]audited{"shop": test.found})
			if got := [2]string{string(condition.Status), condition.Reason}; got != test.condition || condition.Message == "" {
				t.Errorf("condition %v: %q, want %v", got, condition.Message, test.condition)
			}
			if (running == nil) != (test.running == nil) {
				t.Fatalf("running is %+v", running)
			}
			if running == nil {
				return
			}
			if len(running.List) > 50 || len(running.List) > 0 && len(running.List[0].Objects) > 5 {
				t.Errorf("the list has %d images, and %d objects of the first", len(running.List), len(running.List[0].Objects))
			}
			if running.Recalled > 0 && running.List[0].Image != "recalled" {
				t.Errorf("%s is first", running.List[0].Image)
			}
			running.List = nil
			if diff := cmp.Diff(test.running, running); diff != "" {
				t.Errorf("running (-want +got):\n%s", diff)
			}
		})
	}
}
