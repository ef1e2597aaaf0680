package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// The policies of the chart.
const (
	clusterPolicy   = "envladder-guard"
	namespacePolicy = "envladder-guard-namespace"
)

// guardedCluster is an API server with a manifest of envladder and the objects of
// testdata/guarded.yaml. RBAC allows everything to every user.
type guardedCluster struct {
	config  *rest.Config
	samples map[schema.GroupResource][]*sample
}

// sample is an object of a resource.
type sample struct {
	resource schema.GroupVersionResource
	object   *unstructured.Unstructured
}

// account is a user with groups.
type account struct {
	user   string
	groups []string
}

// serviceAccount returns the account of a service account.
func serviceAccount(namespace, name string) account {
	return account{
		"system:serviceaccount:" + namespace + ":" + name,
		[]string{"system:serviceaccounts", "system:serviceaccounts:" + namespace},
	}
}

var (
	// argoCD is the account with which Argo CD deploys everything.
	argoCD = serviceAccount("argocd", "argocd-application-controller")
	ana    = account{"ana", []string{"system:masters"}}
)

// requester sends requests as one account.
type requester struct {
	dynamic.Interface

	core rest.Interface
}

// requesterFor returns a requester for an account.
func (c *guardedCluster) requesterFor(t *testing.T, a account) requester {
	t.Helper()
	config := rest.CopyConfig(c.config)
	config.QPS = -1
	config.WarningHandler = rest.NoWarnings{}
	if a.user != "" {
		config.Impersonate = rest.ImpersonationConfig{UserName: a.user, Groups: append([]string{"system:authenticated"}, a.groups...)}
	}
	resources, err := dynamic.NewForConfig(config)
	clients, errClients := kubernetes.NewForConfig(config)
	if err := errors.Join(err, errClients); err != nil {
		t.Fatal(err)
	}
	return requester{resources, clients.CoreV1().RESTClient()}
}

// client returns a client for the resource of a sample.
func (c requester) client(s *sample) dynamic.ResourceInterface {
	return c.Resource(s.resource).Namespace(s.object.GetNamespace())
}

// startGuarded starts an API server, applies CRDs and the manifests, and waits until both
// policies are in force.
func startGuarded(t *testing.T, manifests []*unstructured.Unstructured) *guardedCluster {
	t.Helper()
	config := startAPIServer(t, &envtest.Environment{CRDDirectoryPaths: []string{"../../manifests/crds"}, ErrorIfCRDPathMissing: true})
	c := &guardedCluster{config, map[schema.GroupResource][]*sample{}}
	for _, object := range manifests {
		c.create(t, object)
	}
	c.create(t, parse(t, `{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: everyone}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}, subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: "system:authenticated"}]}`)[0])
	data, err := os.ReadFile("testdata/guarded.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range parse(t, string(data)) {
		s := c.create(t, object)
		c.samples[s.resource.GroupResource()] = append(c.samples[s.resource.GroupResource()], s)
	}
	c.await(t)
	return c
}

// create creates an object as an admin unless it exists, and returns a sample for creating it
// again.
func (c *guardedCluster) create(t *testing.T, object *unstructured.Unstructured) *sample {
	t.Helper()
	s := &sample{object: object}
	admin := c.requesterFor(t, account{})
	bare := len(object.Object) == 3 // apiVersion, kind and metadata
	var last error
	// Retries, since the CRD may not be served yet.
	if err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, 30*time.Second, true, func(context.Context) (bool, error) {
		s.resource, last = c.resourceOf(object)
		return last == nil, nil
	}); err != nil {
		t.Fatalf("finding the resource of %s %q: %v", object.GetKind(), object.GetName(), last)
	}
	_, err := admin.client(s).Create(t.Context(), object, metav1.CreateOptions{FieldValidation: "Strict"})
	if bare && (apierrors.IsAlreadyExists(err) || apierrors.IsInvalid(err)) {
		s.object, err = admin.client(s).Get(t.Context(), object.GetName(), metav1.GetOptions{})
	}
	if err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatalf("creating %s %q: %v", object.GetKind(), object.GetName(), err)
	}
	s.object = s.object.DeepCopy()
	for _, field := range []string{"resourceVersion", "uid", "creationTimestamp", "managedFields", "generation"} {
		unstructured.RemoveNestedField(s.object.Object, "metadata", field)
	}
	return s
}

// resourceOf returns the resource of an object.
func (c *guardedCluster) resourceOf(object *unstructured.Unstructured) (schema.GroupVersionResource, error) {
	finder, err := discovery.NewDiscoveryClientForConfig(c.config)
	if err != nil {
		return schema.GroupVersionResource{}, err
	}
	groups, err := restmapper.GetAPIGroupResources(finder)
	if err != nil {
		return schema.GroupVersionResource{}, err
	}
	kind := object.GroupVersionKind()
	mapping, err := restmapper.NewDiscoveryRESTMapper(groups).RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return schema.GroupVersionResource{}, err
	}
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace && object.GetNamespace() == "" {
		return schema.GroupVersionResource{}, fmt.Errorf("%s %q has no namespace", kind.Kind, object.GetName())
	}
	return mapping.Resource, nil
}

// await waits until both policies deny: API servers read policies and roles with a delay.
func (c *guardedCluster) await(t *testing.T) {
	t.Helper()
	for policy, resource := range map[string]string{clusterPolicy: "gates", namespacePolicy: "secrets"} {
		s := c.sample(t, guardRule{Group: map[string]string{"gates": "envladder.dev"}[resource]}, resource)[0]
		var last error
		if err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, 30*time.Second, true, func(context.Context) (bool, error) {
			last = attempts(t, s, "")["CREATE"](c.requesterFor(t, argoCD))
			return deniedBy(last, policy), nil
		}); err != nil {
			t.Fatalf("waiting until policy %q is in force: %v (last: %v)", policy, err, last)
		}
	}
}

// sample returns the objects for testing a resource.
func (c *guardedCluster) sample(t *testing.T, rule guardRule, resource string) []*sample {
	t.Helper()
	name, _, _ := strings.Cut(resource, "/")
	samples := c.samples[schema.GroupResource{Group: rule.Group, Resource: name}]
	if len(samples) == 0 {
		t.Fatalf("testdata/guarded.yaml has no object of resource %q of group %q", name, rule.Group)
	}
	return samples
}

// deniedBy reports whether err is a denial by the policy.
func deniedBy(err error, policy string) bool {
	return err != nil && strings.Contains(err.Error(), "ValidatingAdmissionPolicy '"+policy+"'") && strings.Contains(err.Error(), "may not")
}

// parse returns the documents of a YAML text.
func parse(t *testing.T, text string) []*unstructured.Unstructured {
	t.Helper()
	var objects []*unstructured.Unstructured
	decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader([]byte(text)), 4096)
	for {
		var object unstructured.Unstructured
		err := decoder.Decode(&object.Object)
		switch {
		case errors.Is(err, io.EOF):
			return objects
		case err != nil:
			t.Fatal(err)
		case len(object.Object) > 0:
			objects = append(objects, &object)
		}
	}
}

// patches are patches that change what a policy checks, for resources where a label isn't
// checked.
var patches = map[string]struct{ kind, text string }{
	"clusterimagepolicies":     {"merge", `{"spec":{"authorities":[{"static":{"action":"pass"}}]}}`},
	"trustroots":               {"merge", `{"spec":{"remote":{"mirror":"https://tuf.example.net"}}}`},
	"pods/status":              {"merge", `{"status":{"message":"changed"}}`},
	"pods/resize":              {"strategic-merge", `{"spec":{"containers":[{"name":"web","resources":{"requests":{"cpu":"150m"}}}]}}`},
	"pods/ephemeralcontainers": {"strategic-merge", `{"spec":{"ephemeralContainers":[{"name":"debug","image":"registry.example.com/debug"}]}}`},
	"scale":                    {"merge", `{"spec":{"replicas":0}}`},
}

// patchOf returns a patch for a resource.
func patchOf(resource string) (types.PatchType, []byte) {
	for _, name := range []string{resource, path.Base(resource)} {
		if p, ok := patches[name]; ok {
			return types.PatchType("application/" + p.kind + "-patch+json"), []byte(p.text)
		}
	}
	return types.MergePatchType, []byte(`{"metadata":{"labels":{"changed":"true"}}}`)
}

// attempts returns the requests that can be made with a resource, by their operations, as
// dry runs. The subresource is empty or begins with a slash.
func attempts(t *testing.T, s *sample, subresource string) map[string]func(requester) error {
	t.Helper()
	ctx, name := t.Context(), s.object.GetName()
	dry := []string{metav1.DryRunAll}
	patchType, patch := patchOf(s.resource.Resource + subresource)
	sub := strings.TrimPrefix(subresource, "/")
	switch sub {
	case "":
		all := map[string]func(requester) error{
			"CREATE": func(c requester) error {
				_, err := c.client(s).Create(ctx, s.object, metav1.CreateOptions{DryRun: dry})
				if apierrors.IsAlreadyExists(err) {
					return nil // after admission
				}
				return err
			},
			"UPDATE": func(c requester) error {
				_, err := c.client(s).Patch(ctx, name, patchType, patch, metav1.PatchOptions{DryRun: dry})
				return err
			},
			"DELETE": func(c requester) error { return c.client(s).Delete(ctx, name, metav1.DeleteOptions{DryRun: dry}) },
		}
		if s.object.GetKind() != "Namespace" { // which can't be deleted together
			all["DELETE collection"] = func(c requester) error {
				return c.client(s).DeleteCollection(ctx, metav1.DeleteOptions{DryRun: dry}, metav1.ListOptions{})
			}
		}
		return all
	case "exec", "attach", "portforward", "proxy":
		return map[string]func(requester) error{"CONNECT": func(c requester) error {
			return c.core.Post().Namespace(s.object.GetNamespace()).Resource(s.resource.Resource).Name(name).SubResource(sub).
				Param("command", "true").Do(ctx).Error()
		}}
	case "token":
		return map[string]func(requester) error{"CREATE": func(c requester) error {
			request := parse(t, `{apiVersion: authentication.k8s.io/v1, kind: TokenRequest, metadata: {name: `+name+`}, spec: {audiences: [a]}}`)[0]
			_, err := c.client(s).Create(ctx, request, metav1.CreateOptions{DryRun: dry}, sub)
			return err
		}}
	case "finalize":
		return map[string]func(requester) error{"UPDATE": func(c requester) error {
			_, err := c.client(s).Update(ctx, s.object, metav1.UpdateOptions{DryRun: dry}, sub)
			return err
		}}
	default:
		return map[string]func(requester) error{"UPDATE": func(c requester) error {
			_, err := c.client(s).Patch(ctx, name, patchType, patch, metav1.PatchOptions{DryRun: dry}, sub)
			return err
		}}
	}
}
