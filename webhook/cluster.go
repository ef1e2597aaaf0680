package webhook

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/envladder/envladder/internal/verdict"
)

// clusterID finds out which cluster the webhook runs in: the UID of the namespace
// kube-system, by which soaks name it. It never changes, so it is read once.
type clusterID struct {
	api client.Reader
	uid atomic.Pointer[string] // nil until it was read
}

// of returns the cluster's UID where one of these Gates compares it, else nothing: most
// requests need no look at the API server. With an error provenHere counts no soak of this
// cluster.
func (c *clusterID) of(ctx context.Context, gates []verdict.Gate) (string, error) {
	if !slices.ContainsFunc(gates, func(g verdict.Gate) bool { return g.Spec.ProvenHere != nil }) {
		return "", nil
	}
	if uid := c.uid.Load(); uid != nil {
		return *uid, nil
	}
	var system metav1.PartialObjectMetadata
	system.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	if err := c.api.Get(ctx, client.ObjectKey{Name: metav1.NamespaceSystem}, &system); err != nil {
		return "", fmt.Errorf("reading namespace %q, by whose UID soaks name the cluster: %w", metav1.NamespaceSystem, err)
	}
	uid := string(system.UID)
	c.uid.Store(&uid)
	return uid, nil
}
