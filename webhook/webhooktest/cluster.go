package webhooktest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	apiruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/envladder/envladder/api/v1alpha1"
)

// Names that the manifests give.
var (
	// TLSSecret stores the webhook's certificate.
	TLSSecret = types.NamespacedName{Namespace: "envladder", Name: "envladder-webhook-tls"}
	// CacheSecret stores the key of the evidence cache.
	CacheSecret = types.NamespacedName{Namespace: "envladder", Name: "envladder-webhook-evidence-cache"}
)

// Bypass is a user whose requests the API server doesn't send to the webhook.
const Bypass = "bypass"

// Cluster is a real API server.
type Cluster struct {
	Admin  *rest.Config
	Client client.Client // of Admin
}

// NewCluster returns a Cluster with this configuration of an admin.
func NewCluster(admin *rest.Config) (*Cluster, error) {
	admin.QPS = -1
	c, err := client.New(admin, client.Options{Scheme: Scheme()})
	return &Cluster{Admin: admin, Client: c}, err
}

// Environment returns an API server that isn't started yet, with the CRDs of the manifests.
func Environment() *envtest.Environment {
	return &envtest.Environment{CRDDirectoryPaths: []string{manifest("crds")}, ErrorIfCRDPathMissing: true}
}

// manifest returns the path of a file in manifests/, wherever the test runs.
func manifest(name string) string {
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		panic("the path of the source is unknown")
	}
	return filepath.Join(filepath.Dir(file), "..", "..", "manifests", name)
}

// Scheme returns the types of Kubernetes and of envladder's API.
func Scheme() *apiruntime.Scheme {
	s := apiruntime.NewScheme()
	for _, add := range []func(*apiruntime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(s); err != nil {
			panic(err)
		}
	}
	return s
}

// WebhookAccount returns the configuration of the webhook's account, with the rights that
// the manifests give it.
func (c *Cluster) WebhookAccount() *rest.Config {
	cluster := rest.CopyConfig(c.Admin)
	cluster.Impersonate = rest.ImpersonationConfig{
		UserName: "system:serviceaccount:envladder:envladder-webhook",
		Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:envladder", "system:authenticated"},
	}
	return cluster
}

// ApplyManifests creates the objects of manifests/webhook.yaml, and returns the webhook
// configuration, which it doesn't create.
func (c *Cluster) ApplyManifests() (*admissionregistrationv1.ValidatingWebhookConfiguration, error) {
	var configuration *admissionregistrationv1.ValidatingWebhookConfiguration
	err := readManifests(func(u *unstructured.Unstructured) (err error) {
		if u.GetKind() == configurationKind {
			configuration, err = toConfiguration(u)
			return err
		}
		// Server-side validation: a field that Kubernetes doesn't have is an error.
		if err := c.Client.Create(context.Background(), u, client.FieldValidation("Strict")); err != nil {
			return fmt.Errorf("creating %s %q: %w", u.GetKind(), u.GetName(), err)
		}
		return nil
	})
	return configuration, err
}

// WebhookConfiguration returns the webhook configuration of the manifests.
func WebhookConfiguration() (*admissionregistrationv1.ValidatingWebhookConfiguration, error) {
	var configuration *admissionregistrationv1.ValidatingWebhookConfiguration
	err := readManifests(func(u *unstructured.Unstructured) (err error) {
		if u.GetKind() == configurationKind {
			configuration, err = toConfiguration(u)
		}
		return err
	})
	return configuration, err
}

const configurationKind = "ValidatingWebhookConfiguration"

func toConfiguration(u *unstructured.Unstructured) (*admissionregistrationv1.ValidatingWebhookConfiguration, error) {
	configuration := &admissionregistrationv1.ValidatingWebhookConfiguration{}
	return configuration, apiruntime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(u.Object, configuration, true)
}

func readManifests(each func(*unstructured.Unstructured) error) error {
	file, err := os.Open(manifest("webhook.yaml"))
	if err != nil {
		return err
	}
	defer file.Close()
	decoder := utilyaml.NewYAMLOrJSONDecoder(file, 4096)
	for {
		var u unstructured.Unstructured
		if err := decoder.Decode(&u.Object); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := each(&u); err != nil {
			return err
		}
	}
}

// Impersonate returns a client of another user with all rights. Its warnings go to the
// slice.
func (c *Cluster) Impersonate(t *testing.T, user string, warnings *[]string) client.Client {
	t.Helper()
	config := rest.CopyConfig(c.Admin)
	if user != "" {
		config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: []string{"system:masters", "system:authenticated"}}
	}
	if warnings != nil {
		config.WarningHandler = warningsTo{warnings}
	}
	impersonated, err := client.New(config, client.Options{Scheme: Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	return impersonated
}

type warningsTo struct{ list *[]string }

func (w warningsTo) HandleWarningHeader(_ int, _, text string) { *w.list = append(*w.list, text) }

// ClientAs returns a client of a user who has all rights by RBAC alone, and is no member of
// system:masters.
func (c *Cluster) ClientAs(t *testing.T, user string) client.Client {
	t.Helper()
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "all-rights-"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	}
	if err := c.Client.Create(t.Context(), binding); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Client.Delete(context.Background(), binding) })
	config := rest.CopyConfig(c.Admin)
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: []string{"system:authenticated"}}
	clientAs, err := client.New(config, client.Options{Scheme: Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	return clientAs
}

// NewNamespace creates a namespace for a test.
func (c *Cluster) NewNamespace(t *testing.T) string {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "shop-"}}
	if err := c.Client.Create(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	return namespace.Name
}

// Live returns an object as the API server stores it, with its kind.
func (c *Cluster) Live(t *testing.T, object client.Object) *unstructured.Unstructured {
	t.Helper()
	kind, err := c.Client.GroupVersionKindFor(object)
	if err != nil {
		t.Fatal(err)
	}
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(kind)
	if err := c.Client.Get(t.Context(), client.ObjectKeyFromObject(object), u); err != nil {
		t.Fatal(err)
	}
	return u
}
