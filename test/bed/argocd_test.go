package bed_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/envladder/envladder/test/bed"
)

func TestArgoCDV3SyncsToBothClusters(t *testing.T) {
	t.Parallel()
	checkSyncToBoth(t, shared)
}

func TestArgoCDV2SyncsToBothClusters(t *testing.T) {
	if testing.Short() {
		t.Skip("starts two more clusters")
	}
	checkSyncToBoth(t, bed.ForTest(t, bed.Parts{
		// Also tests the other way to run controllers.
		Clusters: []bed.ClusterOptions{{Name: bed.Staging}, {Name: bed.Prod, ControllerAccounts: true}},
		ArgoCD:   "v2",
		Gitea:    true,
	}))
}

// checkSyncToBoth deploys an Application to each cluster.
func checkSyncToBoth(t *testing.T, b *bed.Bed) {
	ctx := t.Context()
	url, err := b.Gitea.CreateRepository(ctx, "shop/gitops")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Gitea.Push(ctx, "shop/gitops", "main", "testdata/app", "A Deployment"); err != nil {
		t.Fatal(err)
	}
	for _, cluster := range []string{bed.Staging, bed.Prod} {
		app := "web-" + cluster
		if err := b.ArgoCD.Cluster.Apply(ctx, b.ArgoCD.Namespace, application(app, url, b.ArgoCD.Destination(cluster))); err != nil {
			t.Fatal(err)
		}
		if err := b.ArgoCD.WaitHealthy(ctx, app, time.Minute); err != nil {
			t.Fatal(err)
		}
		if got := len(pods(t, b.Cluster(cluster), "shop-"+app, "web")); got != 2 {
			t.Errorf("cluster %q has %d pods, want 2", cluster, got)
		}
		var answer struct {
			Status struct{ Sync struct{ Status string } }
		}
		if err := b.ArgoCD.API(ctx, http.MethodGet, "applications/"+app, nil, &answer); err != nil {
			t.Fatal(err)
		}
		if answer.Status.Sync.Status != "Synced" {
			t.Errorf("status of %[2]q in the API is %[1]q, want Synced", answer.Status.Sync.Status, app)
		}
	}
}

// application returns an Application.
func application(name, repository, server string) string {
	return fmt.Sprintf(`
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: %[1]s}
spec:
  project: default
  source: {repoURL: %[2]q, targetRevision: main, path: .}
  destination: {server: %[3]q, namespace: shop-%[1]s}
  syncPolicy: {automated: {}, syncOptions: [CreateNamespace=true]}
`, name, repository, server)
}
