package webhook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/evidence"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/logtest"
	"github.com/envladder/envladder/internal/programtest"
	"github.com/envladder/envladder/internal/registry"
	"github.com/envladder/envladder/internal/verdict"
	"github.com/envladder/envladder/webhook/certs"
	"github.com/envladder/envladder/webhook/evidencecache"
	"github.com/envladder/envladder/webhook/webhooktest"
)

// environment is what the tests of this package share: a real API server that calls a real
// webhook over TLS, which follows the cluster with the manifests' own RBAC and reads a real
// registry.
type environment struct {
	*webhooktest.Cluster
	webhooktest.Registry

	program    *program
	roots      string // folder of trusted roots
	fakeLegacy *fakeLegacy
	logs       *logtest.Buffer
	store      *evidence.Store
	cache      *evidencecache.Cache

	cleanups []func()
}

var (
	testEnv    *environment
	startOnce  sync.Once
	errTestEnv error
)

func TestMain(m *testing.M) {
	code := m.Run()
	if testEnv != nil {
		testEnv.stop()
	}
	os.Exit(code)
}

// startedEnv returns the environment. The first test that needs it starts it.
func startedEnv(t *testing.T) *environment {
	t.Helper()
	programtest.APIServer(t)
	startOnce.Do(func() {
		testEnv = &environment{logs: &logtest.Buffer{}, fakeLegacy: &fakeLegacy{}}
		errTestEnv = testEnv.start()
	})
	if errTestEnv != nil {
		t.Fatal(errTestEnv)
	}
	return testEnv
}

func (e *environment) stop() {
	for _, cleanup := range slices.Backward(e.cleanups) {
		cleanup()
	}
}

// Helper, Fatal and Cleanup make the environment a registrytest.T: what is started with it
// ends with the environment.
func (e *environment) Helper() {}

func (e *environment) Fatal(arguments ...any) { panic(fmt.Sprint(arguments...)) }

func (e *environment) Cleanup(clean func()) { e.cleanups = append(e.cleanups, clean) }

func (e *environment) start() error {
	e.Registry = webhooktest.StartRegistry(e)
	var err error
	if e.roots, err = e.tempDir(); err != nil {
		return err
	}
	if err := e.startCluster(); err != nil {
		return err
	}
	return e.startWebhook()
}

func (e *environment) tempDir() (string, error) {
	folder, err := os.MkdirTemp("", "envladder-webhook-")
	e.Cleanup(func() { _ = os.RemoveAll(folder) })
	return folder, err
}

func (e *environment) startCluster() error {
	environment := webhooktest.Environment()
	environment.CRDs = webhooktest.CustomCRDs()
	// Image volumes are off by default up to Kubernetes 1.34, and dropped silently.
	environment.ControlPlane.GetAPIServer().Configure().Append("feature-gates", "ImageVolume=true")
	config, err := environment.Start()
	e.Cleanup(func() { _ = environment.Stop() })
	if err != nil {
		return fmt.Errorf("starting the API server: %w", err)
	}
	e.Cluster, err = webhooktest.NewCluster(config)
	return err
}

// startWebhook runs the webhook as its manifests' ServiceAccount and registers it with the
// manifests' rules, for all namespaces that tests create.
func (e *environment) startWebhook() error {
	configuration, err := e.ApplyManifests()
	if err != nil {
		return err
	}
	folder, err := e.tempDir()
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if e.store, e.cache, err = e.newStore(); err != nil {
		return err
	}
	config := e.config(listener, folder, e.store, e.cache)
	config.Certificate.Renewal = &certs.Renewal{Secret: webhooktest.TLSSecret, Configuration: configuration.Name, Host: "localhost"}
	config.Trust = evidence.NewTrust(evidence.TrustOptions{})
	config.Kinds = webhooktest.Kinds()
	ctx, cancel := context.WithCancel(context.Background())
	e.program, err = newProgram(ctx, config)
	if err != nil {
		cancel()
		return err
	}
	go e.mountCertificate(ctx, folder)
	ended := make(chan error, 1)
	go func() { ended <- e.program.run(ctx) }()
	e.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			fmt.Fprintln(os.Stderr, "the webhook ended with:", err)
		}
	})
	if err := webhooktest.WaitUntil(e.program.policies.Ready); err != nil {
		return fmt.Errorf("waiting until the webhook is ready: %w\n%s", err, e.logs)
	}
	return e.register(configuration, listener.Addr().(*net.TCPAddr).Port)
}

// config returns the configuration of a webhook of the environment's cluster.
func (e *environment) config(listener net.Listener, folder string, store *evidence.Store, cache *evidencecache.Cache) Config {
	return Config{
		Cluster: e.WebhookAccount(), Listener: listener,
		Certificate: certs.Options{CertFile: filepath.Join(folder, "tls.crt"), KeyFile: filepath.Join(folder, "tls.key")},
		Judge:       verdict.New(store), EvidenceCache: cache, EvidenceSource: store,
		Log: slog.New(slog.NewTextHandler(e.logs, nil)),
	}
}

// newStore returns a store whose memory is empty, with the evidence cache of the cluster.
func (e *environment) newStore() (*evidence.Store, *evidencecache.Cache, error) {
	cache, err := evidencecache.New(e.WebhookAccount(), webhooktest.CacheSecret.Namespace, webhooktest.CacheSecret.Name, evidencecache.DefaultLimits, slog.New(slog.NewTextHandler(e.logs, nil)))
	if err != nil {
		return nil, nil, err
	}
	store := evidence.NewStore(registry.NewClient(), evidence.NewTrust(evidence.TrustOptions{Roots: e.roots})).WithLegacy(e.fakeLegacy)
	store.UseClusterCache(cache)
	return store, cache, nil
}

// mountCertificate copies the Secret with the certificate into a folder, as a kubelet does.
func (e *environment) mountCertificate(ctx context.Context, folder string) {
	mounted := ""
	_ = wait.PollUntilContextCancel(ctx, 20*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		var secret corev1.Secret
		_ = e.Client.Get(ctx, webhooktest.TLSSecret, &secret) // a kubelet tries again too
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

func (e *environment) register(configuration *admissionregistrationv1.ValidatingWebhookConfiguration, port int) error {
	hook := &configuration.Webhooks[0]
	url := fmt.Sprintf("https://localhost:%d%s", port, *hook.ClientConfig.Service.Path)
	hook.ClientConfig = admissionregistrationv1.WebhookClientConfig{URL: &url}
	hook.NamespaceSelector.MatchExpressions[0].Operator = metav1.LabelSelectorOpNotIn
	hook.NamespaceSelector.MatchExpressions[0].Values = []string{"default", "kube-system", "envladder"}
	hook.Rules = append(hook.Rules, webhooktest.CrewRule())
	// This user creates what must exist before its Gate.
	hook.MatchConditions = append(hook.MatchConditions, admissionregistrationv1.MatchCondition{Name: "no-bypass", Expression: "request.userInfo.username != '" + webhooktest.Bypass + "'"})
	if err := e.Client.Create(context.Background(), configuration, client.FieldValidation("Strict")); err != nil {
		return fmt.Errorf("registering the webhook: %w", err)
	}
	return e.waitForCalls()
}

// waitForCalls waits until the API server calls the webhook: it reads configurations with a
// delay.
func (e *environment) waitForCalls() error {
	ctx := context.Background()
	if err := e.Client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "canary"}}); err != nil {
		return err
	}
	canary := webhooktest.NewGate("canary", "canary")
	canary.Spec.ExemptImages = []v1alpha1.ExemptImage{{Repository: "example.com/none"}}
	canary.Spec.Observe = &v1alpha1.Observe{AttestAfter: []metav1.Duration{{Duration: time.Hour}}}
	if err := e.Client.Create(ctx, canary); err != nil {
		return err
	}
	return webhooktest.WaitUntil(func() bool {
		err := e.Client.Create(ctx, webhooktest.NewPod("canary", "canary", "example.com/other"), client.DryRunAll)
		return err != nil && strings.Contains(err.Error(), "denied the request") // and doesn't fail because the CA is missing
	})
}

// withRegistry returns the environment with a registry of the test's own, and a function
// that stops the registry.
func (e *environment) withRegistry() (own *environment, stop func()) {
	copied := *e
	copied.cleanups = nil
	copied.Host = webhooktest.StartRegistry(&copied).Host
	return &copied, copied.stop
}

// restart returns a webhook of the environment's cluster whose memory is empty.
func (e *environment) restart(t *testing.T, change ...func(*Config)) *program {
	t.Helper()
	p, _ := e.startAnother(t, change...)
	return p
}

// startAnother is like restart, and also returns a function that ends the webhook before the
// test does.
func (e *environment) startAnother(t *testing.T, change ...func(*Config)) (p *program, end func()) {
	t.Helper()
	folder := t.TempDir()
	if err := webhooktest.WriteCertificate(folder, "restarted"); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	store, cache, err := e.newStore()
	if err != nil {
		t.Fatal(err)
	}
	config := e.config(listener, folder, store, cache)
	for _, edit := range change {
		edit(&config)
	}
	ctx, cancel := context.WithCancel(t.Context())
	p, err = newProgram(ctx, config)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- p.run(ctx) }()
	end = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(end)
	if err := webhooktest.WaitUntil(p.policies.Ready); err != nil {
		t.Fatal(err)
	}
	return p, end
}

// codesFor returns the codes that a webhook denies a pod with.
func (p *program) codesFor(t *testing.T, namespace, image string) []gate.Code {
	t.Helper()
	request := webhooktest.PodRequest(image)
	request.Namespace = namespace
	return webhooktest.Codes(webhooktest.Send(t, p.handler(), "/validate", request))
}

// createGate creates a Gate and waits until the webhook has read it.
func (e *environment) createGate(t *testing.T, g *v1alpha1.Gate) {
	t.Helper()
	e.createAndWait(t, g, func() bool {
		for _, known := range e.program.policies.GatesFor(g.Spec.Namespaces[0]) {
			if known.Name == g.Name {
				return true
			}
		}
		return false
	})
}

// createRecall creates a Recall and waits until the webhook has read it.
func (e *environment) createRecall(t *testing.T, digest string) {
	t.Helper()
	recall := &v1alpha1.Recall{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "recall-"},
		Spec:       v1alpha1.RecallSpec{Digests: []string{digest}, Reason: "CVE-2026-0001"},
	}
	e.createAndWait(t, recall, func() bool {
		return slices.ContainsFunc(e.program.policies.Recalls(), func(r v1alpha1.Recall) bool { return r.Name == recall.Name })
	})
}

// createException creates an Exception that these keys sign for a namespace, and waits until
// the webhook has read it.
func (e *environment) createException(t *testing.T, reference, namespace string, end time.Time, keys ...string) *v1alpha1.Exception {
	t.Helper()
	repository, digest, _ := strings.Cut(reference, "@")
	exception := &v1alpha1.Exception{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "exception-"},
		Spec:       v1alpha1.ExceptionSpec{Digest: digest, Namespaces: []string{namespace}, Reason: "incident 117", ExpiresAt: metav1.NewTime(end)},
	}
	client := registry.NewClient()
	target, err := evidence.FindTarget(t.Context(), client, repository, digest)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		attested, err := evidence.Attest(t.Context(), client, e.Keys[key], target, gate.PredicateException, gate.Permission{Namespace: namespace, Reason: "incident 117", ExpiresAt: &end})
		if err != nil {
			t.Fatal(err)
		}
		exception.Spec.Bundles = append(exception.Spec.Bundles, attested.Bundle)
	}
	e.createAndWait(t, exception, func() bool { return e.hasException(exception.Name) })
	return exception
}

// hasException reports whether the webhook has read an Exception.
func (e *environment) hasException(name string) bool {
	return slices.ContainsFunc(e.program.policies.Exceptions(), func(x v1alpha1.Exception) bool { return x.Name == name })
}

// createAndWait creates an object, which is deleted after the test, and waits until the
// webhook has read it.
func (e *environment) createAndWait(t *testing.T, object client.Object, read func() bool) {
	t.Helper()
	if err := e.Client.Create(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Client.Delete(context.Background(), object); err != nil && !apierrors.IsNotFound(err) {
			t.Error(err)
		}
	})
	if err := webhooktest.WaitUntil(read); err != nil {
		t.Fatalf("waiting until the webhook has read %T %q: %v", object, object.GetName(), err)
	}
}

// waitForEvidence waits until attestations of an image are stored, and returns the object.
func (e *environment) waitForEvidence(t *testing.T, reference string, attestations int) *v1alpha1.EvidenceCache {
	t.Helper()
	var object v1alpha1.EvidenceCache
	if err := webhooktest.WaitUntil(func() bool {
		return e.Client.Get(t.Context(), evidenceKey(reference), &object) == nil && len(object.Spec.Attestations) == attestations
	}); err != nil {
		t.Fatalf("waiting until %d attestations of %s are stored: %v\n%s", attestations, reference, err, e.logs)
	}
	return &object
}

// evidenceKey returns the name of the object with the evidence of an image.
func evidenceKey(reference string) types.NamespacedName {
	repository, digest, _ := strings.Cut(reference, "@")
	return types.NamespacedName{Namespace: webhooktest.CacheSecret.Namespace, Name: evidencecache.ObjectName(repository, digest)}
}
