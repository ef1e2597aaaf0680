package audit

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestFinishedJobRunsNothing(t *testing.T) {
	condition := func(kind, status string) map[string]any {
		return map[string]any{"conditions": []any{map[string]any{"type": kind, "status": status}}}
	}
	for name, test := range map[string]struct {
		status map[string]any
		want   bool
	}{
		"it has just begun":  {map[string]any{}, false},
		"it is suspended":    {condition("Suspended", "True"), false},
		"it is complete":     {map[string]any{"completionTime": "2026-11-26T12:00:00Z"}, true},
		"it has failed":      {condition("Failed", "True"), true},
		"it hasn't failed":   {condition("Failed", "False"), false},
		"it is about to end": {condition("FailureTarget", "True"), false},
	} {
		job := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "batch/v1", "kind": "Job", "status": test.status}}
		if got := idle(job); got != test.want {
			t.Errorf("%s: idle is %t", name, got)
		}
	}
}
