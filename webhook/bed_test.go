package webhook

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"math/big"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	ggcrregistry "github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/evidence"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/gate/gatetest"
	"github.com/envladder/envladder/internal/logtest"
	"github.com/envladder/envladder/internal/registry"
	"github.com/envladder/envladder/internal/verdict"
)

// bed is what the tests of this package share: a real API server that calls a real
// webhook over TLS, which follows the cluster with the manifests' own RBAC and reads a
// real registry.
type bed struct {
	admin    *rest.Config
	client   client.Client
	program  *program
	registry string // host:port
	roots    string // folder of trusted roots
	keys     map[string]*evidence.Signer
	glance   glance
	logs     *logtest.Buffer
	store    *evidence.Store
	shelf    *Shelf
	stop     []func()
}

var (
	theBed  *bed
	bedOnce sync.Once
	errBed  error
)

func TestMain(m *testing.M) {
	code := m.Run()
	if theBed != nil {
		theBed.down()
	}
	os.Exit(code)
}

// up starts the bed with the first test that needs it.
func up(t *testing.T) *bed {
	t.Helper()
	bedOnce.Do(func() {
		theBed = &bed{keys: map[string]*evidence.Signer{}, logs: &logtest.Buffer{}, glance: glance{new(atomic.Bool)}}
		errBed = theBed.start()
	})
	if errBed != nil {
		t.Fatal(errBed)
	}
	return theBed
}

func (b *bed) down() {
	for i := range b.stop {
		b.stop[len(b.stop)-1-i]()
	}
}

func (b *bed) start() error {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		return errors.New("KUBEBUILDER_ASSETS isn't set: run: make test")
	}
	for _, key := range []string{"ci", "observer", "ana", "bo", "stranger"} {
		signer, err := newSigner()
		if err != nil {
			return err
		}
		b.keys[key] = signer
	}
	b.registry = b.serveRegistry()
	var err error
	if b.roots, err = os.MkdirTemp("", "envladder-roots-"); err != nil {
		return err
	}
	b.stop = append(b.stop, func() { _ = os.RemoveAll(b.roots) })
	return errors.Join(b.startCluster(), b.startWebhook())
}

func newSigner() (*evidence.Signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return evidence.ReadSigner(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil)
}

func (b *bed) serveRegistry() string {
	server := httptest.NewServer(ggcrregistry.New(ggcrregistry.WithReferrersSupport(true), ggcrregistry.Logger(log.New(io.Discard, "", 0))))
	b.stop = append(b.stop, server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func (b *bed) startCluster() error {
	environment := &envtest.Environment{
		CRDDirectoryPaths:     []string{"../manifests/crds"},
		ErrorIfCRDPathMissing: true,
		CRDs:                  foreignCRDs(),
	}
	// Image volumes are off by default up to Kubernetes 1.34, and dropped silently.
	environment.ControlPlane.GetAPIServer().Configure().Append("feature-gates", "ImageVolume=true")
	config, err := environment.Start()
	b.stop = append(b.stop, func() { _ = environment.Stop() })
	if err != nil {
		return fmt.Errorf("starting the API server: %w", err)
	}
	config.QPS = -1
	b.admin = config
	b.client, err = client.New(config, client.Options{Scheme: scheme()})
	return err
}

func scheme() *runtime.Scheme {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(s); err != nil {
			panic(err)
		}
	}
	return s
}

// startWebhook runs the webhook as its manifests' ServiceAccount and registers it with
// the manifests' rules, for the namespaces whose names begin with guarded.
func (b *bed) startWebhook() error {
	if b.client == nil {
		return nil // startCluster has said why
	}
	configuration, err := b.applyManifests()
	if err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "envladder-webhook-")
	if err != nil {
		return err
	}
	b.stop = append(b.stop, func() { _ = os.RemoveAll(folder) })
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if b.store, b.shelf, err = b.newStore(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	b.program, err = newProgram(ctx, Config{
		Cluster:  b.account(),
		Listener: listener,
		CertFile: filepath.Join(folder, "tls.crt"),
		KeyFile:  filepath.Join(folder, "tls.key"),
		Renewal:  &Renewal{Secret: tlsSecret, Configuration: configuration.Name, Host: "localhost"},
		Judge:    verdict.New(b.store),
		Trust:    evidence.NewTrust(evidence.TrustOptions{}),
		Shelf:    b.shelf,
		Keeper:   b.store,
		Kinds:    foreignKinds(),
		Log:      slog.New(slog.NewTextHandler(b.logs, nil)),
	})
	if err != nil {
		cancel()
		return err
	}
	go b.mount(ctx, folder)
	ended := make(chan error, 1)
	go func() { ended <- b.program.run(ctx) }()
	b.stop = append(b.stop, func() {
		cancel()
		if err := <-ended; err != nil {
			fmt.Fprintln(os.Stderr, "the webhook ended with:", err)
		}
	})
	if err := until(b.program.gates.ready); err != nil {
		return fmt.Errorf("waiting until the webhook is ready: %w\n%s", err, b.logs)
	}
	return b.register(configuration, listener.Addr().(*net.TCPAddr).Port)
}

// account is the webhook's, with the rights that the manifests give it.
func (b *bed) account() *rest.Config {
	cluster := rest.CopyConfig(b.admin)
	cluster.Impersonate = rest.ImpersonationConfig{
		UserName: "system:serviceaccount:envladder:envladder-webhook",
		Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:envladder", "system:authenticated"},
	}
	return cluster
}

// newStore is a webhook's memory, empty, with the cluster's shelf beneath.
func (b *bed) newStore() (*evidence.Store, *Shelf, error) {
	shelf, err := NewShelf(b.account(), "envladder", "envladder-webhook-evidence-cache", slog.New(slog.NewTextHandler(b.logs, nil)))
	if err != nil {
		return nil, nil, err
	}
	store := evidence.NewStore(registry.NewClient(), evidence.NewTrust(evidence.TrustOptions{Roots: b.roots})).WithLegacy(b.glance)
	store.UseShelf(shelf)
	return store, shelf, nil
}

// tlsSecret holds the webhook's certificate, as the manifests say.
var tlsSecret = types.NamespacedName{Namespace: "envladder", Name: "envladder-webhook-tls"}

// mount brings the Secret with the certificate into a folder, as a kubelet does.
func (b *bed) mount(ctx context.Context, folder string) {
	mounted := ""
	_ = wait.PollUntilContextCancel(ctx, 20*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		var secret corev1.Secret
		_ = b.client.Get(ctx, tlsSecret, &secret) // a kubelet tries again too
		if secret.ResourceVersion == mounted || len(secret.Data) == 0 {
			return false, nil
		}
		for name, content := range secret.Data {
			file := filepath.Join(folder, name)
			if err := errors.Join(os.WriteFile(file+".new", content, 0o600), os.Rename(file+".new", file)); err != nil {
				return false, err
			}
		}
		mounted = secret.ResourceVersion
		return false, nil
	})
}

// applyManifests creates what manifests/webhook.yaml has but for what needs a node,
// and returns the webhook configuration.
func (b *bed) applyManifests() (*admissionregistrationv1.ValidatingWebhookConfiguration, error) {
	file, err := os.Open("../manifests/webhook.yaml")
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var configuration *admissionregistrationv1.ValidatingWebhookConfiguration
	decoder := utilyaml.NewYAMLOrJSONDecoder(file, 4096)
	for {
		var u unstructured.Unstructured
		if err := decoder.Decode(&u.Object); errors.Is(err, io.EOF) {
			return configuration, nil
		} else if err != nil {
			return nil, err
		}
		if u.GetKind() == "ValidatingWebhookConfiguration" {
			configuration = &admissionregistrationv1.ValidatingWebhookConfiguration{}
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, configuration); err != nil {
				return nil, err
			}
			continue
		}
		// Server-side validation: a field that Kubernetes doesn't have is an error.
		if err := b.client.Create(context.Background(), &u, client.FieldValidation("Strict")); err != nil {
			return nil, fmt.Errorf("creating %s %q: %w", u.GetKind(), u.GetName(), err)
		}
	}
}

func (b *bed) register(configuration *admissionregistrationv1.ValidatingWebhookConfiguration, port int) error {
	hook := &configuration.Webhooks[0]
	url := fmt.Sprintf("https://localhost:%d%s", port, *hook.ClientConfig.Service.Path)
	hook.ClientConfig = admissionregistrationv1.WebhookClientConfig{URL: &url}
	hook.NamespaceSelector.MatchExpressions[0].Operator = metav1.LabelSelectorOpNotIn
	hook.NamespaceSelector.MatchExpressions[0].Values = []string{"default", "kube-system", "envladder"}
	hook.Rules = append(hook.Rules, foreignRule())
	// What the test needs to be there before its Gate comes by the user unseen.
	hook.MatchConditions = append(hook.MatchConditions, admissionregistrationv1.MatchCondition{Name: "seen", Expression: "request.userInfo.username != '" + unseen + "'"})
	if err := b.client.Create(context.Background(), configuration, client.FieldValidation("Strict")); err != nil {
		return fmt.Errorf("registering the webhook: %w", err)
	}
	return b.waitForCalls()
}

// unseen is a user whose requests the API server doesn't send to the webhook.
const unseen = "unseen"

// waitForCalls waits until the API server calls the webhook: it looks at
// configurations with a delay.
func (b *bed) waitForCalls() error {
	ctx := context.Background()
	if err := b.client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "canary"}}); err != nil {
		return err
	}
	canary := newGate("canary", "canary")
	canary.Spec.ExemptImages = []v1alpha1.ExemptImage{{Repository: "example.com/none"}}
	canary.Spec.Observe = &v1alpha1.Observe{AttestAfter: []metav1.Duration{{Duration: time.Hour}}}
	if err := b.client.Create(ctx, canary); err != nil {
		return err
	}
	return until(func() bool {
		err := b.client.Create(ctx, newPod("canary", "canary", "example.com/other"), client.DryRunAll)
		return err != nil && strings.Contains(err.Error(), "denied the request") // and doesn't fail for a CA that isn't there yet
	})
}

// until waits for a condition, with a bound.
func until(condition func() bool) error {
	return wait.PollUntilContextTimeout(context.Background(), 10*time.Millisecond, 30*time.Second, true,
		func(context.Context) (bool, error) { return condition(), nil })
}

// writeCertificate writes tls.crt and tls.key for 127.0.0.1, and returns the former,
// which is its own CA.
func writeCertificate(folder, name string) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(time.Now().UnixNano()),
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(time.Hour),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		IsCA:                  true,
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return certificate, errors.Join(
		os.WriteFile(filepath.Join(folder, "tls.key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600),
		os.WriteFile(filepath.Join(folder, "tls.crt"), certificate, 0o600),
	)
}

// as is a client of another user, who may do everything, and whose warnings go to the
// slice.
func (b *bed) as(t *testing.T, user string, warnings *[]string) client.Client {
	t.Helper()
	config := rest.CopyConfig(b.admin)
	if user != "" {
		config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: []string{"system:masters", "system:authenticated"}}
	}
	if warnings != nil {
		config.WarningHandler = warningsTo{warnings}
	}
	c, err := client.New(config, client.Options{Scheme: scheme()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

type warningsTo struct{ list *[]string }

func (w warningsTo) HandleWarningHeader(_ int, _, text string) { *w.list = append(*w.list, text) }

// namespace makes a namespace of the test's own.
func (b *bed) namespace(t *testing.T) string {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "shop-"}}
	if err := b.client.Create(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	return namespace.Name
}

// gate creates a Gate and waits until the webhook has read it.
func (b *bed) gate(t *testing.T, g *v1alpha1.Gate) {
	t.Helper()
	if err := b.client.Create(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.client.Delete(context.Background(), g); err != nil {
			t.Error(err)
		}
	})
	if err := until(func() bool {
		for _, known := range b.program.gates.guarding(g.Spec.Namespaces[0]) {
			if known.Name == g.Name {
				return true
			}
		}
		return false
	}); err != nil {
		t.Fatalf("waiting until the webhook has read Gate %q: %v", g.Name, err)
	}
}

// recall creates a Recall and waits until the webhook has read it.
func (b *bed) recall(t *testing.T, digest string) {
	t.Helper()
	recall := &v1alpha1.Recall{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "recall-"},
		Spec:       v1alpha1.RecallSpec{Digests: []string{digest}, Reason: "CVE-2026-0001"},
	}
	if err := b.client.Create(t.Context(), recall); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.client.Delete(context.Background(), recall); err != nil {
			t.Error(err)
		}
	})
	if err := until(func() bool {
		for _, known := range b.program.gates.recalled() {
			if known.Name == recall.Name {
				return true
			}
		}
		return false
	}); err != nil {
		t.Fatalf("waiting until the webhook has read the Recall: %v", err)
	}
}

func newGate(gateName, namespace string) *v1alpha1.Gate {
	return &v1alpha1.Gate{
		ObjectMeta: metav1.ObjectMeta{Name: gateName},
		Spec:       v1alpha1.GateSpec{Environment: "prod", Namespaces: []string{namespace}, Action: v1alpha1.ActionDeny},
	}
}

// prodGate asks for a signature and a soak of at most 72h ago, of shop/*; sidecar/* it
// lets by.
func (b *bed) prodGate(namespace string) *v1alpha1.Gate {
	g := newGate("gate-"+namespace, namespace)
	g.Spec.Images = []v1alpha1.GateImage{{Repository: b.registry + "/shop/*", Ladder: "shop"}}
	g.Spec.ExemptImages = []v1alpha1.ExemptImage{{Repository: b.registry + "/sidecar/*"}}
	g.Spec.Signers = []v1alpha1.Signer{
		{Name: "ci", Key: &v1alpha1.KeySigner{Data: b.keys["ci"].PublicPEM()}},
		{Name: "observer", Key: &v1alpha1.KeySigner{Data: b.keys["observer"].PublicPEM()}, Time: v1alpha1.TimeTrustSigner},
	}
	g.Spec.Requires = v1alpha1.Requirements{
		Signature: &v1alpha1.SignatureRequirement{By: []string{"ci"}},
		Soak: &v1alpha1.SoakRequirement{
			By: []string{"observer"}, Environment: "staging",
			Duration: metav1.Duration{Duration: 24 * time.Hour},
			MaxAge:   &metav1.Duration{Duration: 72 * time.Hour},
		},
	}
	return g
}

// bankGate asks for a signature of bank/*.
func (b *bed) bankGate(namespace string) *v1alpha1.Gate {
	g := b.prodGate(namespace)
	g.Name += "-bank"
	g.Spec.Images = []v1alpha1.GateImage{{Repository: b.registry + "/bank/*", Ladder: "bank"}}
	g.Spec.ExemptImages = nil
	g.Spec.Requires.Soak = nil
	return g
}

// push pushes a new image and returns repository@digest.
func (b *bed) push(t testing.TB, repository string) string {
	t.Helper()
	image, err := random.Image(64, 1)
	if err != nil {
		t.Fatal(err)
	}
	repo, err := name.NewRepository(b.registry + "/" + repository)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(repo.Digest(digest.String()), image); err != nil {
		t.Fatal(err)
	}
	return repo.String() + "@" + digest.String()
}

// attest attaches a statement by a key to an image.
func (b *bed) attest(t testing.TB, reference, key, predicateType string, predicate any) {
	t.Helper()
	repository, digest, _ := strings.Cut(reference, "@")
	registryClient := registry.NewClient()
	target, err := evidence.FindTarget(t.Context(), registryClient, repository, digest)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := evidence.Attest(t.Context(), registryClient, b.keys[key], target, predicateType, predicate); err != nil {
		t.Fatal(err)
	}
}

func (b *bed) sign(t testing.TB, reference, key string) {
	t.Helper()
	b.attest(t, reference, key, gate.PredicateSignature, map[string]any{})
}

// soak attests that the image was healthy in staging for 25h, until some time ago.
func (b *bed) soak(t testing.TB, reference, key string, ago time.Duration) {
	t.Helper()
	b.attest(t, reference, key, gate.PredicateSoak, soakOf(reference, 25*time.Hour, ago))
}

func soakOf(reference string, duration, ago time.Duration) gate.Soak {
	return gatetest.Soak("shop", reference, duration, ago)
}

// proven pushes an image that has all that prodGate asks for.
func (b *bed) proven(t testing.TB) string {
	t.Helper()
	reference := b.push(t, "shop/web")
	b.sign(t, reference, "ci")
	b.soak(t, reference, "observer", time.Hour)
	return reference
}

// aged pushes an image whose soak is older than prodGate's maxAge: it may go on
// running, and not be deployed.
func (b *bed) aged(t *testing.T) string {
	t.Helper()
	reference := b.push(t, "shop/web")
	b.sign(t, reference, "ci")
	b.soak(t, reference, "observer", 100*time.Hour)
	return reference
}
