package bed

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
)

// applications is the resource of Argo CD's Applications.
var applications = schema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1", Resource: "applications"}

// applications returns a client for Applications.
func (a *ArgoCD) applications() dynamic.ResourceInterface {
	return a.Cluster.Dynamic().Resource(applications).Namespace(a.Namespace)
}

// Application returns the current state of an Application.
func (a *ArgoCD) Application(ctx context.Context, name string) (*unstructured.Unstructured, error) {
	app, err := a.applications().Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("getting application %q: %w", name, err)
	}
	return app, nil
}

// Refresh makes Argo CD read the Application's source now. With hard, Argo CD discards cached
// manifests.
func (a *ArgoCD) Refresh(ctx context.Context, name string, hard bool) error {
	how := "normal"
	if hard {
		how = "hard"
	}
	patch := fmt.Sprintf(`{"metadata":{"annotations":{"argocd.argoproj.io/refresh":%q}}}`, how)
	return a.patch(ctx, name, patch)
}

// Sync starts a sync to the newest revision, as the API does.
func (a *ArgoCD) Sync(ctx context.Context, name string) error {
	return a.patch(ctx, name, `{"operation":{"initiatedBy":{"username":"bed"},"sync":{"syncStrategy":{"hook":{}}}}}`)
}

// patch patches an Application.
func (a *ArgoCD) patch(ctx context.Context, name, patch string) error {
	_, err := a.applications().Patch(ctx, name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	if err != nil {
		return fmt.Errorf("patching application %q: %w", name, err)
	}
	return nil
}

// Wait polls an Application until check returns nil. The error includes the Application's
// status.
func (a *ArgoCD) Wait(ctx context.Context, name string, bound time.Duration, check func(*unstructured.Unstructured) error) error {
	var last *unstructured.Unstructured
	err := Poll(ctx, bound, func(ctx context.Context) error {
		app, err := a.Application(ctx, name)
		if err != nil {
			return err
		}
		last = app
		return check(app)
	})
	if err != nil {
		return fmt.Errorf("waiting for application %q: %w\n%s", name, err, summary(last))
	}
	return nil
}

// WaitHealthy waits until an Application is Synced and Healthy.
func (a *ArgoCD) WaitHealthy(ctx context.Context, name string, bound time.Duration) error {
	return a.Wait(ctx, name, bound, func(app *unstructured.Unstructured) error {
		sync, _, _ := unstructured.NestedString(app.Object, "status", "sync", "status")
		health, _, _ := unstructured.NestedString(app.Object, "status", "health", "status")
		if sync != "Synced" || health != "Healthy" {
			return fmt.Errorf("status is %q and %q", sync, health)
		}
		return nil
	})
}

// summary returns the status of an Application for an error message.
func summary(app *unstructured.Unstructured) string {
	if app == nil {
		return "it was never seen"
	}
	out := map[string]any{}
	for _, field := range []string{"conditions", "operationState", "sync", "health"} {
		if value, ok, _ := unstructured.NestedFieldCopy(app.Object, "status", field); ok {
			out[field] = value
		}
	}
	data, err := json.MarshalIndent(out, "", "  ")
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// clusterSecret returns the Secret that registers a cluster in Argo CD.
func clusterSecret(c *Cluster, token string) string {
	config := fmt.Sprintf(`{"bearerToken":%q,"tlsClientConfig":{"caData":%q}}`,
		token, c.CA.Base64())
	return fmt.Sprintf(`
apiVersion: v1
kind: Secret
metadata:
  name: cluster-%[1]s
  labels: {argocd.argoproj.io/secret-type: cluster}
stringData:
  name: %[1]s
  server: %[2]s
  config: '%[3]s'
`, c.Name, c.URL, config)
}
