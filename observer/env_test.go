package observer

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/evidence"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/logtest"
	"github.com/envladder/envladder/internal/registry"
	"github.com/envladder/envladder/internal/registry/registrytest"
	"github.com/envladder/envladder/observer/observertest"
)

// env is what the tests of this package share: a real API server with the RBAC of the
// manifests.
type env struct {
	admin  *rest.Config
	client client.Client
	stop   func()
}

var (
	testEnv *env
	envOnce sync.Once
	errEnv  error
)

func TestMain(m *testing.M) {
	code := m.Run()
	if testEnv != nil && testEnv.stop != nil {
		testEnv.stop()
	}
	os.Exit(code)
}

// startEnv starts the environment with the first test that needs it.
func startEnv(t *testing.T) *env {
	t.Helper()
	envOnce.Do(func() {
		testEnv = &env{}
		errEnv = testEnv.start()
	})
	if errEnv != nil {
		t.Fatal(errEnv)
	}
	return testEnv
}

func (e *env) start() error {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		return errors.New("KUBEBUILDER_ASSETS isn't set: run: make test")
	}
	environment := &envtest.Environment{CRDDirectoryPaths: []string{"../manifests/crds"}, ErrorIfCRDPathMissing: true}
	config, err := environment.Start()
	e.stop = func() { _ = environment.Stop() }
	if err != nil {
		return fmt.Errorf("starting the API server: %w", err)
	}
	config.QPS = -1
	e.admin = config
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return err
	}
	if e.client, err = client.New(config, client.Options{Scheme: scheme}); err != nil {
		return err
	}
	return e.applyManifests()
}

func (e *env) applyManifests() error {
	file, err := os.Open("../manifests/observer.yaml")
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
		// Server-side validation: a field that Kubernetes doesn't have is an error.
		if err := e.client.Create(context.Background(), &u, client.FieldValidation("Strict")); err != nil {
			return fmt.Errorf("creating %s %q: %w", u.GetKind(), u.GetName(), err)
		}
	}
}

// fakeClock is set by the test: both clocks, or the wall clock alone.
type fakeClock struct {
	mu      sync.Mutex
	wall    time.Time
	elapsed time.Duration
}

func (c *fakeClock) Read() (time.Time, time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wall, c.elapsed
}

func (c *fakeClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wall, c.elapsed = c.wall.Add(d), c.elapsed+d
}

// set is what a wrong NTP server or a person does.
func (c *fakeClock) set(jump time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wall = c.wall.Add(jump)
}

// staging is a namespace with a Gate that asks for soaks, a Deployment, and a registry
// with its image.
type staging struct {
	*env

	t         *testing.T
	namespace string
	registry  *registrytest.Server
	gate      *v1alpha1.Gate
	key       []byte
	signer    *evidence.Signer
	wall      time.Time
	logs      *logtest.Buffer
}

func newStaging(t *testing.T) *staging {
	t.Helper()
	s := &staging{env: startEnv(t), t: t, registry: registrytest.Start(t, registrytest.WithReferrers), wall: observertest.Epoch, logs: &logtest.Buffer{}}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "shop-staging-"}}
	s.must(s.client.Create(t.Context(), namespace))
	s.namespace = namespace.Name
	s.key, s.signer = newKey(t)
	s.gate = &v1alpha1.Gate{
		ObjectMeta: metav1.ObjectMeta{Name: "gate-" + s.namespace},
		Spec: v1alpha1.GateSpec{
			Environment: "staging", Namespaces: []string{s.namespace}, Action: v1alpha1.ActionAudit,
			Images:  []v1alpha1.GateImage{{Repository: s.registry.Name("shop/*"), Ladder: "shop", Mirrors: []string{"mirror.example.com/shop/*"}}},
			Observe: &v1alpha1.Observe{AttestAfter: []metav1.Duration{{Duration: time.Minute}, {Duration: 2 * time.Minute}}},
		},
	}
	s.must(s.client.Create(t.Context(), s.gate))
	t.Cleanup(func() { _ = client.IgnoreNotFound(s.client.Delete(context.Background(), s.gate)) })
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.logs)
		}
	})
	return s
}

func newKey(t *testing.T) ([]byte, *evidence.Signer) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	file := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	signer, err := evidence.ReadSigner(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	return file, signer
}

func (s *staging) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// deployment runs an image with two pods, as its controllers and a kubelet would say.
type deployment struct {
	*staging

	deployment *appsv1.Deployment
	replicaSet *appsv1.ReplicaSet
	pods       []*corev1.Pod
}

// web is the repository of the image.
func (s *staging) web() string { return s.registry.Name("shop/web") }

func (s *staging) deploy(image string, change ...func(*appsv1.Deployment)) *deployment {
	s.t.Helper()
	d := &deployment{staging: s}
	replicas := int32(2)
	d.deployment = &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: s.namespace, Annotations: map[string]string{
			v1alpha1.AnnotationTarget: "eu", v1alpha1.AnnotationChartDigest: observertest.Digest("c"),
		}},
		Spec: appsv1.DeploymentSpec{Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}, Template: observertest.Template(image)},
	}
	for _, c := range change {
		c(d.deployment)
	}
	s.must(s.client.Create(s.t.Context(), d.deployment))
	d.roll()
	d.report(2)
	return d
}

// roll makes a ReplicaSet and two ready pods of the Deployment's template.
func (d *deployment) roll() {
	d.t.Helper()
	d.replicaSet = &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "web-", Namespace: d.namespace, OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(d.deployment, appsv1.SchemeGroupVersion.WithKind("Deployment"))}},
		Spec:       appsv1.ReplicaSetSpec{Replicas: d.deployment.Spec.Replicas, Selector: d.deployment.Spec.Selector, Template: d.deployment.Spec.Template},
	}
	d.must(d.client.Create(d.t.Context(), d.replicaSet))
	d.pods = nil
	for range 2 {
		d.addPod()
	}
}

func (d *deployment) addPod() {
	d.t.Helper()
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: d.replicaSet.Name + "-", Namespace: d.namespace, Labels: map[string]string{"app": "web"}, OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(d.replicaSet, appsv1.SchemeGroupVersion.WithKind("ReplicaSet"))}},
		Spec:       d.deployment.Spec.Template.Spec,
	}
	p.Spec.NodeName = "worker-" + d.namespace
	d.must(d.client.Create(d.t.Context(), p))
	d.pods = append(d.pods, p)
	d.setPod(len(d.pods)-1, true, 0)
}

// setPod is the kubelet's word.
func (d *deployment) setPod(i int, ready bool, restarts int32) {
	d.t.Helper()
	p := d.pods[i]
	status := corev1.ConditionFalse
	if ready {
		status = corev1.ConditionTrue
	}
	p.Status.Phase = corev1.PodRunning
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: status}}
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "web", Image: p.Spec.Containers[0].Image, ImageID: p.Spec.Containers[0].Image, Ready: ready, RestartCount: restarts}}
	d.must(d.client.Status().Update(d.t.Context(), p))
}

// report is the Deployment controller's word.
func (d *deployment) report(ready int32) {
	d.t.Helper()
	d.must(d.client.Get(d.t.Context(), client.ObjectKeyFromObject(d.deployment), d.deployment))
	d.deployment.Status.ObservedGeneration = d.deployment.Generation
	d.deployment.Status.Replicas = max(ready, 2)
	d.deployment.Status.ReadyReplicas = ready
	d.must(d.client.Status().Update(d.t.Context(), d.deployment))
}

// deletePods is what a rollout, or the end of a namespace, leaves.
func (d *deployment) deletePods(pods []*corev1.Pod) {
	d.t.Helper()
	for _, p := range pods {
		d.must(client.IgnoreNotFound(d.client.Delete(d.t.Context(), p, client.GracePeriodSeconds(0))))
	}
}

// running is an observer that runs under the manifests' RBAC, on a clock of the test's.
type running struct {
	*staging

	program *program
	clock   *fakeClock
	ticks   chan time.Time
	stepped chan error
	ended   chan error
	kill    context.CancelFunc
}

// config is of an observer that runs as the manifests' ServiceAccount.
func (s *staging) config() Config {
	cluster := rest.CopyConfig(s.admin)
	cluster.Impersonate = rest.ImpersonationConfig{
		UserName: "system:serviceaccount:envladder:envladder-observer",
		Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:envladder", "system:authenticated"},
	}
	// Retries of a registry that is down are the client's, and take seconds.
	return Config{
		Cluster: cluster, Signer: s.signer, Key: s.key, Registry: registry.NewClientOver(http.DefaultTransport),
		Interval: 10 * time.Second, LeaderElectionNamespace: "envladder", HealthListen: "0", Version: "v0.0.0-test",
		Log: slog.New(slog.NewTextHandler(s.logs, nil)),
	}
}

func (s *staging) observe(change ...func(*Config)) *running {
	s.t.Helper()
	config := s.config()
	for _, c := range change {
		c(&config)
	}
	ctx, kill := context.WithCancel(context.Background())
	program, err := newProgram(ctx, config)
	if err != nil {
		kill()
		s.t.Fatal(err)
	}
	r := &running{
		staging: s, program: program, clock: &fakeClock{wall: s.wall}, kill: kill,
		ticks: make(chan time.Time), stepped: make(chan error), ended: make(chan error, 1),
	}
	program.engine.Clock, program.engine.Ticks, program.engine.Stepped = r.clock, r.ticks, r.stepped
	go func() { r.ended <- program.run(ctx) }()
	s.t.Cleanup(r.stop)
	return r
}

// stop ends the observer, as suddenly as it can inside a process: nothing is written.
func (r *running) stop() {
	r.kill()
	if r.ended == nil {
		return
	}
	select {
	case <-r.ended:
	case <-time.After(30 * time.Second):
		r.t.Error("the observer didn't end")
	}
	r.ended = nil
	r.wall, _ = r.clock.Read()
}

// tick lets time pass and has it observed.
func (r *running) tick(d time.Duration) {
	r.t.Helper()
	r.clock.advance(d)
	timeout := time.After(30 * time.Second)
	select {
	case r.ticks <- r.clock.wall:
	case err := <-r.ended:
		r.ended = nil
		r.t.Fatalf("the observer ended: %v\n%s", err, r.logs)
	case <-timeout:
		r.t.Fatal("the observer takes no tick")
	}
	select {
	case err := <-r.stepped:
		r.must(err)
	case <-timeout:
		r.t.Fatal("the observer doesn't end its step")
	}
}

// ticks lets time pass, an interval at a time.
func (r *running) pass(d time.Duration) {
	r.t.Helper()
	for ; d > 0; d -= 10 * time.Second {
		r.tick(min(d, 10*time.Second))
	}
}

// soak is the notebook of a digest, nil where there is none.
func (s *staging) soak(digest string) *v1alpha1.Soak {
	s.t.Helper()
	return s.soakWith(digest, "")
}

// soakWith is the notebook of a digest's time with a chart.
func (s *staging) soakWith(digest, chart string) *v1alpha1.Soak {
	s.t.Helper()
	var soaks v1alpha1.SoakList
	s.must(s.client.List(s.t.Context(), &soaks, client.InNamespace(s.namespace)))
	for i := range soaks.Items {
		if spec := soaks.Items[i].Spec; spec.Digest == digest && spec.Chart == chart {
			return &soaks.Items[i]
		}
	}
	return nil
}

// until observes, without letting time pass, until this observer has written that the
// notebook is so.
func (r *running) until(digest, what string, condition func(*v1alpha1.Soak) bool) *v1alpha1.Soak {
	r.t.Helper()
	var soak *v1alpha1.Soak
	observertest.WaitUntil(r.t, what, func() bool {
		r.tick(0)
		soak = r.soak(digest)
		by := (*v1alpha1.SoakObserver)(nil)
		if soak != nil {
			by = soak.Status.Observer
		}
		return by != nil && by.Instance == r.program.engine.Observer.Instance && condition(soak)
	})
	return soak
}

func (r *running) untilState(digest string, state v1alpha1.SoakState, reason v1alpha1.SoakReason) *v1alpha1.Soak {
	r.t.Helper()
	return r.until(digest, fmt.Sprintf("it is %s %s", state, reason), func(s *v1alpha1.Soak) bool {
		return s.Status.State == state && s.Status.Reason == reason
	})
}

// untilAllDip waits, without an observation, until all that was observed last was seen
// not to be healthy.
func (r *running) untilAllDip() {
	r.t.Helper()
	w := r.program.engine.Watcher(r.namespace) // between two steps nobody else has the map
	observertest.WaitUntil(r.t, "all that is measured dips", func() bool {
		state := w.State()
		return state.Observed > 0 && state.Dips == state.Observed
	})
}

func (r *running) untilAttested(digest, after string) *v1alpha1.Soak {
	r.t.Helper()
	return r.until(digest, "a soak of "+after+" is attested", func(s *v1alpha1.Soak) bool { return s.Status.Attested == after })
}

// attestations are what the registry has of a digest, verified.
func (s *staging) attestations(digest string) []gate.Evidence {
	s.t.Helper()
	signers := []v1alpha1.Signer{{Name: "observer", Key: &v1alpha1.KeySigner{Data: s.signer.PublicPEM()}, Time: v1alpha1.TimeTrustSigner}}
	found, err := evidence.NewStore(registry.NewClient(), evidence.NewTrust(evidence.TrustOptions{})).Fetch(s.t.Context(), evidence.Query{
		Image: gate.Image{Repository: s.web(), Digest: digest}, Signers: signers,
	})
	s.must(err)
	return found
}

// decide asks the real gate of the next environment.
func (s *staging) decide(digest string, duration time.Duration, change ...func(*v1alpha1.SoakRequirement)) gate.Verdict {
	s.t.Helper()
	return s.decideBy(s.attestations(digest), digest, duration, change...)
}

func (s *staging) decideBy(found []gate.Evidence, digest string, duration time.Duration, change ...func(*v1alpha1.SoakRequirement)) gate.Verdict {
	g := &v1alpha1.Gate{}
	g.Spec.Environment, g.Spec.Namespaces = "prod", []string{"shop"}
	g.Spec.Images = []v1alpha1.GateImage{{Repository: s.web(), Ladder: "shop"}}
	g.Spec.Signers = []v1alpha1.Signer{{Name: "observer", Key: &v1alpha1.KeySigner{Data: s.signer.PublicPEM()}, Time: v1alpha1.TimeTrustSigner}}
	g.Spec.Requires.Soak = &v1alpha1.SoakRequirement{By: []string{"observer"}, Environment: "staging", Duration: metav1.Duration{Duration: duration}}
	for _, c := range change {
		c(g.Spec.Requires.Soak)
	}
	return gate.Decide(gate.Request{
		Gate: g, Image: gate.Image{Repository: s.web(), Digest: digest, Ladder: "shop"}, Evidence: found, Now: s.wall.Add(24 * time.Hour),
		Stamps: gate.Stamps{ChartDigest: observertest.Digest("c")},
	})
}

// event says whether an event with this reason is about an object of this name.
func (s *staging) event(name, reason string) bool {
	s.t.Helper()
	var events corev1.EventList
	s.must(s.client.List(s.t.Context(), &events))
	for _, e := range events.Items {
		if e.InvolvedObject.Name == name && e.Reason == reason {
			return true
		}
	}
	return false
}
