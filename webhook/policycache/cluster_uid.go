package policycache

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

// ClusterUID is the UID of the namespace kube-system, which identifies the cluster in
// soaks. It never changes, so it is read once.
type ClusterUID struct {
	api client.Reader
	uid atomic.Pointer[string] // nil until it was read
}

// NewClusterUID returns a ClusterUID that is read from api.
func NewClusterUID(api client.Reader) *ClusterUID { return &ClusterUID{api: api} }

// For returns the cluster's UID if one of these Gates compares it, else nothing: most
// requests don't need the API server for it. With an error, provenHere accepts no soak of
// this cluster.
func (c *ClusterUID) For(ctx context.Context, gates []verdict.Gate) (string, error) {
	if !slices.ContainsFunc(gates, func(g verdict.Gate) bool { return g.Spec.ProvenHere != nil }) {
		return "", nil
	}
	if uid := c.uid.Load(); uid != nil {
		return *uid, nil
	}
	var system metav1.PartialObjectMetadata
	system.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	if err := c.api.Get(ctx, client.ObjectKey{Name: metav1.NamespaceSystem}, &system); err != nil {
		return "", fmt.Errorf("reading namespace %q, whose UID identifies the cluster in soaks: %w", metav1.NamespaceSystem, err)
	}
	uid := string(system.UID)
	c.uid.Store(&uid)
	return uid, nil
}
