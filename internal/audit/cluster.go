package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/evidence"
	"github.com/envladder/envladder/internal/verdict"
	"github.com/envladder/envladder/internal/workload"
)

// Cluster reads the objects of a cluster.
type Cluster struct {
	client dynamic.Interface
	mapper meta.RESTMapper
	kinds  *workload.Kinds
}

// NewCluster returns a Cluster, and reads which kinds the cluster has.
func NewCluster(config *rest.Config, kinds *workload.Kinds) (*Cluster, error) {
	config = rest.CopyConfig(config)
	config.Wrap(boundResponses)
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("connecting to the cluster: %w", err)
	}
	discoverer, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("connecting to the cluster: %w", err)
	}
	groups, err := restmapper.GetAPIGroupResources(discoverer)
	if err != nil {
		return nil, fmt.Errorf("listing the cluster's kinds: %w", err)
	}
	return &Cluster{client, restmapper.NewDiscoveryRESTMapper(groups), kinds}, nil
}

// pageSize is the number of objects requested at once, if they have a usual size.
const pageSize = 250

// list returns all objects of a kind in a namespace, or in the cluster where it is empty;
// none of a kind that the cluster doesn't have.
func (c *Cluster) list(ctx context.Context, group, version, kind, namespace string, each func(*unstructured.Unstructured) error) error {
	mapping, err := c.mapper.RESTMapping(schema.GroupKind{Group: group, Kind: kind}, version)
	if meta.IsNoMatchError(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("finding the resource of kind %s: %w", kind, err)
	}
	options := metav1.ListOptions{Limit: pageSize}
	for {
		page, err := c.client.Resource(mapping.Resource).Namespace(namespace).List(ctx, options)
		if errors.Is(err, errTooLarge) && options.Limit > 1 {
			options.Limit = max(options.Limit/8, 1)
			continue
		}
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("listing %s in namespace %q: %w", mapping.Resource.Resource, namespace, err)
		}
		for i := range page.Items {
			if err := each(&page.Items[i]); err != nil {
				return err
			}
		}
		if options.Continue = page.GetContinue(); options.Continue == "" {
			return nil
		}
	}
}

// Gates returns the cluster's Gates, none if it doesn't have the kind. A Gate that can't be
// read is an error: its namespaces would be skipped.
func (c *Cluster) Gates(ctx context.Context) (gates []verdict.Gate, err error) {
	err = c.list(ctx, v1alpha1.GroupVersion.Group, v1alpha1.GroupVersion.Version, "Gate", "", func(u *unstructured.Unstructured) error {
		g, unknown, err := v1alpha1.GateFrom(u.Object)
		if err != nil {
			return fmt.Errorf("reading Gate %q: %w", u.GetName(), err)
		}
		gates = append(gates, verdict.Gate{Gate: g, Unknown: unknown})
		return nil
	})
	return gates, err
}

// ID returns the UID of the cluster's namespace kube-system, by which soaks name the
// cluster.
func (c *Cluster) ID(ctx context.Context) (string, error) {
	namespaces := schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
	system, err := c.client.Resource(namespaces).Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("reading namespace %q, by whose UID soaks name the cluster: %w", metav1.NamespaceSystem, err)
	}
	return string(system.GetUID()), nil
}

// Recalls returns the cluster's Recalls.
func (c *Cluster) Recalls(ctx context.Context) (recalls []v1alpha1.Recall, err error) {
	err = c.list(ctx, v1alpha1.GroupVersion.Group, v1alpha1.GroupVersion.Version, "Recall", "", func(u *unstructured.Unstructured) error {
		recall, err := v1alpha1.RecallFrom(u.Object)
		if err != nil {
			return fmt.Errorf("reading Recall %q: %w", u.GetName(), err)
		}
		recalls = append(recalls, *recall)
		return nil
	})
	return recalls, err
}

// Exceptions returns the cluster's Exceptions. One that can't be read exempts nothing, as on
// admission: it is logged and skipped.
func (c *Cluster) Exceptions(ctx context.Context) (exceptions []v1alpha1.Exception, err error) {
	err = c.list(ctx, v1alpha1.GroupVersion.Group, v1alpha1.GroupVersion.Version, "Exception", "", func(u *unstructured.Unstructured) error {
		exception, err := v1alpha1.ExceptionFrom(u.Object)
		if err != nil {
			slog.WarnContext(ctx, "skipped an Exception that can't be read", "exception", u.GetName(), "error", err)
			return nil
		}
		exceptions = append(exceptions, *exception)
		return nil
	})
	return exceptions, err
}

// Policies returns the cluster's ClusterImagePolicies that Gates name, by their
// names. If no Gate names one, the cluster isn't queried.
func (c *Cluster) Policies(ctx context.Context, gates []verdict.Gate) (map[string][]byte, error) {
	names, policies := verdict.PolicyNames(gates), map[string][]byte{}
	if len(names) == 0 {
		return policies, nil
	}
	// Another version than the stored one would be converted by policy-controller's webhook.
	err := c.list(ctx, "policy.sigstore.dev", "v1alpha1", "ClusterImagePolicy", "", func(u *unstructured.Unstructured) (err error) {
		if slices.Contains(names, u.GetName()) {
			policies[u.GetName()], err = evidence.PolicyDocument(u.Object, u.GetName())
		}
		return err
	})
	return policies, err
}
