package scenario

import (
	"context"
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/envladder/envladder/test/bed"
)

// syncBound is the maximum time of an Application's sync: reconciling, rendering, applying, and
// one retry.
const syncBound = 2 * time.Minute

var applications = schema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1", Resource: "applications"}

// application is the status of an Application, as far as steps need it.
type application struct {
	sync, health string
	// revision is the commit that the status was computed for.
	revision string
	// phase and message are of the last operation, and operationRevision is its commit.
	phase, message, operationRevision string
	conditions                        string
	// finished is when the last operation ended, and sourceType the type of the compared source.
	finished, sourceType string
}

func (a application) String() string {
	return fmt.Sprintf("sync %q health %q revision %.7s operation %q of %.7s: %s %s",
		a.sync, a.health, a.revision, a.phase, a.operationRevision, a.message, a.conditions)
}

// application returns the status of an Application.
func (s *Scenario) application(ctx context.Context, name string) (application, error) {
	object, err := s.bed.Cluster(bed.Staging).Dynamic().Resource(applications).Namespace("argocd").Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return application{}, err
	}
	field := func(path ...string) string {
		value, _, _ := unstructured.NestedString(object.Object, append([]string{"status"}, path...)...)
		return value
	}
	a := application{
		sync: field("sync", "status"), health: field("health", "status"), revision: field("sync", "revision"),
		phase: field("operationState", "phase"), message: field("operationState", "message"),
		operationRevision: field("operationState", "syncResult", "revision"),
		finished:          field("operationState", "finishedAt"), sourceType: field("sourceType"),
	}
	conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	for _, c := range conditions {
		if m, ok := c.(map[string]any); ok {
			a.conditions += fmt.Sprintf("[%v: %v]", m["type"], m["message"])
		}
	}
	return a, nil
}

// refresh makes Argo CD read Git now, as a forge's webhook would.
func (s *Scenario) refresh(ctx context.Context, names ...string) error {
	patch := []byte(`{"metadata":{"annotations":{"argocd.argoproj.io/refresh":"normal"}}}`)
	for _, name := range names {
		_, err := s.bed.Cluster(bed.Staging).Dynamic().Resource(applications).Namespace("argocd").
			Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
		if err != nil {
			return fmt.Errorf("refreshing Application %q: %w", name, err)
		}
	}
	return nil
}

// await waits until a condition of an Application is true. what describes the condition.
func (s *Scenario) await(ctx context.Context, name, what string, condition func(application) bool) error {
	err := bed.Poll(ctx, syncBound, func(ctx context.Context) error {
		a, err := s.application(ctx, name)
		if err != nil {
			return err
		}
		if !condition(a) {
			return fmt.Errorf("%s", a)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("waiting for Application %q to be %s: %w", name, what, err)
	}
	return nil
}

// awaitHealthy waits until an Application is synced to a commit and healthy.
func (s *Scenario) awaitHealthy(ctx context.Context, name, commit string) error {
	return s.await(ctx, name, "Synced and Healthy", func(a application) bool {
		return a.revision == commit && a.sync == "Synced" && a.health == "Healthy"
	})
}

// awaitDenied waits until prod's sync of a commit was denied for all of these reasons. Argo CD 3
// keeps retrying, as the Application specifies; 2.14 stops.
func (s *Scenario) awaitDenied(ctx context.Context, commit string, codes ...string) error {
	return s.await(ctx, appProd, "denied for "+strings.Join(codes, ", "), func(a application) bool {
		if a.operationRevision != commit || a.phase == "Succeeded" {
			return false
		}
		for _, code := range codes {
			if !strings.Contains(a.message, code) {
				return false
			}
		}
		return true
	})
}
