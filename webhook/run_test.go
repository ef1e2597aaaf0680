package webhook

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/logtest"
	"github.com/envladder/envladder/webhook/certs"
	"github.com/envladder/envladder/webhook/policycache"
	"github.com/envladder/envladder/webhook/webhooktest"
)

// TestWatchFailureIsLogged checks that a webhook which may not list Recalls logs that.
func TestWatchFailureIsLogged(t *testing.T) {
	env := startedEnv(t)
	cluster := rest.CopyConfig(env.Admin)
	cluster.Impersonate = rest.ImpersonationConfig{UserName: "nobody"}
	logs := &logtest.Buffer{}
	manager, err := newManager(Config{Cluster: cluster, Log: slog.New(slog.NewTextHandler(logs, nil))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	defer func() { cancel(); <-ended }()
	if _, err := manager.GetCache().GetInformer(ctx, policycache.NewObject(policycache.RecallKind), cache.BlockUntilSynced(false)); err != nil {
		t.Fatal(err)
	}
	go func() { ended <- runManager(ctx, manager) }()
	if err := webhooktest.WaitUntil(func() bool {
		text := logs.String()
		return strings.Contains(text, "cannot watch the cluster") && strings.Contains(text, "Recall") && strings.Contains(text, "forbidden")
	}); err != nil {
		t.Errorf("the log doesn't report that Recalls can't be watched:\n%s", logs)
	}
}

// TestColdStart starts an API server again while the webhook is down: the webhook and what it
// needs can start, nothing unproven starts before, and updates that start nothing are admitted.
func TestColdStart(t *testing.T) {
	shared := startedEnv(t)
	control := webhooktest.Environment()
	config, err := control.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = control.Stop() })
	env := &environment{Registry: shared.Registry, fakeLegacy: shared.fakeLegacy, roots: shared.roots, logs: &logtest.Buffer{}}
	if env.Cluster, err = webhooktest.NewCluster(config); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"shop", "elsewhere"} {
		if err := env.Client.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
			t.Fatal(err)
		}
	}
	proven, unproven := shared.PushProven(t), shared.Push(t, "shop/web")
	running := webhooktest.NewDeployment("shop", proven)
	running.Finalizers = []string{"example.com/stay"}
	g := env.ProdGate("shop")
	for _, object := range []client.Object{running, g} {
		if err := env.Client.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	configuration, err := env.ApplyManifests()
	if err != nil {
		t.Fatal(err)
	}
	// The webhook is registered before it listens.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := fmt.Sprintf("https://localhost:%d/validate", listener.Addr().(*net.TCPAddr).Port)
	_ = listener.Close()
	configuration.Webhooks[0].ClientConfig.Service, configuration.Webhooks[0].ClientConfig.URL = nil, &url
	if err := env.Client.Create(t.Context(), configuration, client.FieldValidation("Strict")); err != nil {
		t.Fatal(err)
	}

	server := control.ControlPlane.GetAPIServer()
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	// It has a new CA.
	user, err := control.ControlPlane.AddUser(envtest.User{Name: "admin", Groups: []string{"system:masters"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if env.Cluster, err = webhooktest.NewCluster(user.Config()); err != nil {
		t.Fatal(err)
	}

	failedCall := func(err error) bool {
		return err != nil && strings.Contains(err.Error(), `failed calling webhook "validate.envladder.dev"`)
	}
	pod := func(namespace, image string) error {
		p := webhooktest.NewPod(namespace, "", image)
		p.GenerateName = "web-"
		return env.Client.Create(t.Context(), p)
	}
	var last error
	if err := webhooktest.WaitUntil(func() bool { last = pod("shop", proven); return failedCall(last) }); err != nil {
		t.Fatalf("waiting until the API server calls a webhook that is down: %v (last: %v)", err, last)
	}
	if err := pod("shop", unproven); !failedCall(err) {
		t.Errorf("something unproven starts while the webhook is down: %v", err)
	}
	for _, namespace := range []string{"envladder", "kube-system", "elsewhere"} {
		if err := pod(namespace, unproven); err != nil {
			t.Errorf("a pod can't start in namespace %s: %v", namespace, err)
		}
	}
	for name, change := range map[string]func(*appsv1.Deployment){
		"label":     func(d *appsv1.Deployment) { d.Labels = map[string]string{"a": "b"} },
		"finalizer": func(d *appsv1.Deployment) { d.Finalizers = nil },
		"annotation": func(d *appsv1.Deployment) {
			d.Annotations = map[string]string{"deployment.kubernetes.io/revision": "2"}
		},
	} {
		changed := running.DeepCopy()
		change(changed)
		if err := env.Client.Update(t.Context(), changed, client.DryRunAll); err != nil {
			t.Errorf("changing a %s waits for the webhook: %v", name, err)
		}
	}
	stamped := running.DeepCopy()
	stamped.Annotations = map[string]string{v1alpha1.AnnotationEnvironment: "prod"}
	if err := env.Client.Update(t.Context(), stamped, client.DryRunAll); !failedCall(err) {
		t.Errorf("a stamp changes while the webhook is down: %v", err)
	}

	env.startAt(t, listener.Addr().String())
	if err := webhooktest.WaitUntil(func() bool { last = pod("shop", proven); return last == nil }); err != nil {
		t.Fatalf("waiting until a proven image starts: %v (last: %v)\n%s", err, last, env.logs)
	}
	webhooktest.WantCodes(t, pod("shop", unproven), "NoSignature", "NoSoak")
}

// startAt runs a webhook of the environment's cluster at an address until the test ends.
func (e *environment) startAt(t *testing.T, address string) {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	if e.store, e.cache, err = e.newStore(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	config := e.config(listener, folder, e.store, e.cache)
	config.Certificate.Renewal = &certs.Renewal{Secret: webhooktest.TLSSecret, Configuration: "envladder-webhook", Host: "localhost", ControllerName: "cold-start"}
	e.program, err = newProgram(ctx, config)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go e.mountCertificate(ctx, folder)
	go func() { ended <- e.program.run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
