package bed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
)

// connect creates the administrator's kubeconfig and clients.
func (c *Cluster) connect() (err error) {
	// The API server itself binds the group to cluster-admin.
	if c.Kubeconfig, err = c.UserKubeconfig("admin", "system:masters"); err != nil {
		return err
	}
	if c.config, err = clientcmd.BuildConfigFromFlags("", c.Kubeconfig); err != nil {
		return fmt.Errorf("reading kubeconfig: %w", err)
	}
	// Tests shouldn't wait for client-side rate limits.
	c.config.QPS = -1
	c.config.WarningHandler = rest.NoWarnings{}
	if c.typed, err = kubernetes.NewForConfig(c.config); err != nil {
		return fmt.Errorf("creating a client: %w", err)
	}
	if c.dynamic, err = dynamic.NewForConfig(c.config); err != nil {
		return fmt.Errorf("creating a client: %w", err)
	}
	c.mapper = restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(c.typed.Discovery()))
	return nil
}

// RESTConfig returns a copy of the administrator's configuration.
func (c *Cluster) RESTConfig() *rest.Config { return rest.CopyConfig(c.config) }

// Client returns the administrator's client.
func (c *Cluster) Client() kubernetes.Interface { return c.typed }

// Dynamic returns the administrator's client for any kind of object.
func (c *Cluster) Dynamic() dynamic.Interface { return c.dynamic }

// Kubectl runs kubectl as administrator and returns its standard output. The error includes
// standard error.
func (c *Cluster) Kubectl(ctx context.Context, args ...string) (string, error) {
	return c.KubectlAs(ctx, c.Kubeconfig, args...)
}

// KubectlAs runs kubectl with another kubeconfig.
func (c *Cluster) KubectlAs(ctx context.Context, kubeconfig string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, c.kubectl, args...)
	cmd.Env = append(c.bed.env(), "KUBECONFIG="+kubeconfig)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("running kubectl %q: %w: %s", args, err, bytes.TrimSpace(errOut.Bytes()))
	}
	return out.String(), nil
}

// Apply applies YAML documents server-side as administrator. Objects without a namespace are
// applied in namespace. It waits until CRDs among them are served.
func (c *Cluster) Apply(ctx context.Context, namespace string, manifests ...string) error {
	for _, manifest := range manifests {
		objects, err := decode([]byte(manifest))
		if err != nil {
			return err
		}
		for _, object := range objects {
			if err := c.applyOne(ctx, namespace, object); err != nil {
				return err
			}
		}
	}
	return nil
}

// applyOne applies an object.
func (c *Cluster) applyOne(ctx context.Context, namespace string, object *unstructured.Unstructured) error {
	client, err := c.clientFor(ctx, namespace, object)
	if err != nil {
		return fmt.Errorf("applying %s %q: %w", object.GetKind(), object.GetName(), err)
	}
	_, err = client.Apply(ctx, object.GetName(), object, metav1.ApplyOptions{FieldManager: "bed", Force: true})
	if err != nil {
		return fmt.Errorf("applying %s %q: %w", object.GetKind(), object.GetName(), err)
	}
	if object.GetKind() == "CustomResourceDefinition" {
		return c.waitCRD(ctx, client, object.GetName())
	}
	return nil
}

// clientFor returns a client for an object's kind. It retries, since the kinds of a new CRD are
// discovered with a delay.
func (c *Cluster) clientFor(ctx context.Context, namespace string, object *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	c.mapping.Lock()
	defer c.mapping.Unlock()
	kind := object.GroupVersionKind()
	var mapping *meta.RESTMapping
	err := Poll(ctx, 10*time.Second, func(context.Context) (err error) {
		mapping, err = c.mapper.RESTMapping(kind.GroupKind(), kind.Version)
		if meta.IsNoMatchError(err) {
			c.mapper.Reset()
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if mapping.Scope.Name() == meta.RESTScopeNameRoot {
		return c.dynamic.Resource(mapping.Resource), nil
	}
	if object.GetNamespace() != "" {
		namespace = object.GetNamespace()
	}
	if namespace == "" {
		namespace = metav1.NamespaceDefault
	}
	return c.dynamic.Resource(mapping.Resource).Namespace(namespace), nil
}

// waitCRD waits until a CRD is established.
func (c *Cluster) waitCRD(ctx context.Context, client dynamic.ResourceInterface, name string) error {
	return Poll(ctx, 20*time.Second, func(ctx context.Context) error {
		crd, err := client.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		conditions, _, _ := unstructured.NestedSlice(crd.Object, "status", "conditions")
		for _, item := range conditions {
			condition, _ := item.(map[string]any)
			if condition["type"] == "Established" && condition["status"] == "True" {
				return nil
			}
		}
		return fmt.Errorf("waiting for CRD %q: not established", name)
	})
}

// decode parses YAML documents and skips empty ones.
func decode(manifest []byte) ([]*unstructured.Unstructured, error) {
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(manifest), 4096)
	var objects []*unstructured.Unstructured
	for {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(&object.Object)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, fmt.Errorf("decoding manifest: %w", err)
		}
		if len(object.Object) > 0 {
			objects = append(objects, object)
		}
	}
}

// Namespace creates a namespace. If controllers run, it waits for the default ServiceAccount,
// without which pods are rejected.
func (c *Cluster) Namespace(ctx context.Context, name string) error {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if _, err := c.typed.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("creating namespace %q: %w", name, err)
	}
	if c.options.APIServerOnly {
		return nil
	}
	return c.waitServiceAccount(ctx, name)
}

// waitServiceAccount waits for the default ServiceAccount of a namespace.
func (c *Cluster) waitServiceAccount(ctx context.Context, namespace string) error {
	return Poll(ctx, 30*time.Second, func(ctx context.Context) error {
		_, err := c.typed.CoreV1().ServiceAccounts(namespace).Get(ctx, "default", metav1.GetOptions{})
		return err
	})
}
