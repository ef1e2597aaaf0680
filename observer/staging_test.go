package observer

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"net/http"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/evidence"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/logtest"
	"github.com/envladder/envladder/internal/registry"
	"github.com/envladder/envladder/internal/registry/registrytest"
	"github.com/envladder/envladder/observer/observertest"
)

// staging is a namespace with a Gate that observes it, a Deployment, and a registry with
// its image.
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

// deployment runs an image with two pods; the test acts as its controllers and kubelet.
type deployment struct {
	*staging

	deployment *appsv1.Deployment
	replicaSet *appsv1.ReplicaSet
	pods       []*corev1.Pod
}

// web returns the repository of the image.
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

// roll creates a ReplicaSet and two ready pods from the Deployment's template.
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

// setPod writes a pod's status, as the kubelet does.
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

// report writes the Deployment's status, as its controller does.
func (d *deployment) report(ready int32) {
	d.t.Helper()
	d.must(d.client.Get(d.t.Context(), client.ObjectKeyFromObject(d.deployment), d.deployment))
	d.deployment.Status.ObservedGeneration = d.deployment.Generation
	d.deployment.Status.Replicas = max(ready, 2)
	d.deployment.Status.ReadyReplicas = ready
	d.must(d.client.Status().Update(d.t.Context(), d.deployment))
}

// deletePods deletes pods, as a rollout or the end of a namespace does.
func (d *deployment) deletePods(pods []*corev1.Pod) {
	d.t.Helper()
	for _, p := range pods {
		d.must(client.IgnoreNotFound(d.client.Delete(d.t.Context(), p, client.GracePeriodSeconds(0))))
	}
}

// config returns the configuration of an observer with the manifests' ServiceAccount.
func (s *staging) config() Config {
	cluster := rest.CopyConfig(s.admin)
	cluster.Impersonate = rest.ImpersonationConfig{
		UserName: "system:serviceaccount:envladder:envladder-observer",
		Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:envladder", "system:authenticated"},
	}
	// Without the client's retries, which take seconds where a registry is down.
	return Config{
		Cluster: cluster, Signer: s.signer, SealKey: s.key, Registry: registry.NewClientOver(http.DefaultTransport),
		Interval: 10 * time.Second, LeaderElectionNamespace: "envladder", HealthListen: "0", Version: "v0.0.0-test",
		Log: slog.New(slog.NewTextHandler(s.logs, nil)),
	}
}

func (s *staging) observe(change ...func(*Config)) *runningObserver {
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
	r := &runningObserver{
		staging: s, program: program, clock: &fakeClock{wall: s.wall}, kill: kill,
		ticks: make(chan time.Time), stepped: make(chan error), ended: make(chan error, 1),
	}
	program.engine.Clock, program.engine.Ticks, program.engine.Stepped = r.clock, r.ticks, r.stepped
	go func() { r.ended <- program.run(ctx) }()
	s.t.Cleanup(r.stop)
	return r
}

// soak returns the Soak of a digest, or nil.
func (s *staging) soak(digest string) *v1alpha1.Soak {
	s.t.Helper()
	return s.soakWith(digest, "")
}

// soakWith returns the Soak of a digest's time with a chart, or nil.
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

// attestations returns the verified attestations of a digest.
func (s *staging) attestations(digest string) []gate.Evidence {
	s.t.Helper()
	signers := []v1alpha1.Signer{{Name: "observer", Key: &v1alpha1.KeySigner{Data: s.signer.PublicPEM()}, Time: v1alpha1.TimeTrustSigner}}
	found, err := evidence.NewStore(registry.NewClient(), evidence.NewTrust(evidence.TrustOptions{})).Fetch(s.t.Context(), evidence.Query{
		Image: gate.Image{Repository: s.web(), Digest: digest}, Signers: signers,
	})
	s.must(err)
	return found
}

// decide returns the verdict of the next environment's Gate.
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

// event reports whether an object with a name has an event with a reason.
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
