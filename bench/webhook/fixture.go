package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/bench/internal/harness"
	"github.com/envladder/envladder/internal/evidence"
	"github.com/envladder/envladder/internal/registry"
)

// Namespaces: each webhook has one for its own objects, and one whose pods it checks.
const (
	ourNamespace   = "envladder"
	ourChecked     = "shop"
	theirNamespace = "cosign-system"
	theirChecked   = "shop-too"
)

// fixture is what both webhooks share: an API server, registries, keys and images.
type fixture struct {
	options

	folder      string
	environment *envtest.Environment
	client      client.Client
	kubeconfig  string
	registries  registries
	keys        map[string]*evidence.Signer
	reads       *registry.Client
	// compared are the images of requests to both webhooks, and newImages those that our
	// webhook sees only once.
	compared, newImages []string
}

// start starts the fixture. A returned fixture must be stopped, even if there is an error.
func start(ctx context.Context, o options) (*fixture, error) {
	folder, err := os.MkdirTemp("", "envladder-bench-")
	if err != nil {
		return nil, err
	}
	w := &fixture{options: o, folder: folder, reads: registry.NewClient()}
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"starting the API server", w.startCluster},
		{"starting the registries", w.startRegistries},
		{"making keys", w.makeKeys},
		{"pushing and signing images", w.pushImages},
	} {
		fmt.Fprintln(os.Stderr, step.name)
		if err := step.do(ctx); err != nil {
			return w, fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return w, nil
}

// stop stops all programs and removes the folder.
func (w *fixture) stop() {
	w.registries.stop()
	if w.environment != nil {
		_ = w.environment.Stop()
	}
	_ = os.RemoveAll(w.folder)
}

// startCluster starts the API server and creates the namespaces.
func (w *fixture) startCluster(ctx context.Context) error {
	ctrllog.SetLogger(logr.Discard())
	w.environment = &envtest.Environment{CRDDirectoryPaths: []string{"manifests/crds"}, ErrorIfCRDPathMissing: true}
	config, err := w.environment.Start()
	if err != nil {
		return err
	}
	config.QPS = -1
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return err
	}
	if w.client, err = client.New(config, client.Options{Scheme: scheme}); err != nil {
		return err
	}
	user, err := w.environment.AddUser(envtest.User{Name: "bench", Groups: []string{"system:masters"}}, nil)
	if err != nil {
		return err
	}
	kubeconfig, err := user.KubeConfig()
	if err != nil {
		return err
	}
	w.kubeconfig = filepath.Join(w.folder, "kubeconfig")
	if err := os.WriteFile(w.kubeconfig, kubeconfig, 0o600); err != nil {
		return err
	}
	for _, name := range []string{ourNamespace, ourChecked, theirNamespace, theirChecked} {
		// policy-controller reads the pod's service account.
		account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default", Namespace: name}}
		if err := w.create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, account); err != nil {
			return err
		}
	}
	return w.create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "envladder-webhook-evidence-cache", Namespace: ourNamespace}})
}

// create creates objects.
func (w *fixture) create(ctx context.Context, objects ...client.Object) error {
	for _, object := range objects {
		if err := w.client.Create(ctx, object); err != nil {
			return fmt.Errorf("creating %T %q: %w", object, object.GetName(), err)
		}
	}
	return nil
}

// poll waits for a condition, with a bound, and returns the last error.
func poll(ctx context.Context, condition func(context.Context) error) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		last = condition(ctx)
		return last == nil, nil
	})
	if err != nil {
		return errors.Join(err, last)
	}
	return nil
}

// registries are a registry without the referrers API, which most measurements use, and one
// with it.
type registries struct {
	distribution, referrers harness.Process
	// plain is the address of the registry without the referrers API, modern of the one with
	// it, and metrics of distribution's metrics.
	plain, modern, metrics string
}

// startRegistries starts both registries.
func (w *fixture) startRegistries(ctx context.Context) error {
	r := &w.registries
	addresses, err := harness.FreeAddresses(ctx, 3)
	if err != nil {
		return err
	}
	r.plain, r.modern, r.metrics = addresses[0], addresses[1], addresses[2]
	config := filepath.Join(w.folder, "distribution.yaml")
	text := fmt.Sprintf(`version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: %q}}
http: {addr: %q, debug: {addr: %q, prometheus: {enabled: true}}}
`, filepath.Join(w.folder, "distribution"), r.plain, r.metrics)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return err
	}
	r.distribution.Path, r.referrers.Path = w.distribution, w.referrers
	modern := filepath.Join(w.folder, "referrers")
	return errors.Join(
		r.distribution.Start(ctx, []string{"serve", config}, []string{"OTEL_TRACES_EXPORTER=none"}, func() error { return harness.Dial(ctx, "tcp", r.plain) }),
		r.referrers.Start(ctx, []string{"-addr", r.modern, "-dir", modern}, nil, func() error { return harness.Dial(ctx, "tcp", r.modern) }),
	)
}

// stop stops both registries.
func (r *registries) stop() {
	r.distribution.Stop()
	r.referrers.Stop()
}

// requests returns the number of requests that distribution has answered.
func (r *registries) requests(ctx context.Context) (int, error) {
	families, err := scrape(ctx, "http://"+r.metrics+"/metrics")
	if err != nil {
		return 0, err
	}
	total := 0.0
	for name, family := range families {
		if strings.HasSuffix(name, "http_requests_total") {
			for _, metric := range family.GetMetric() {
				total += metric.GetCounter().GetValue()
			}
		}
	}
	return int(total), nil
}
