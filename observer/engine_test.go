package observer

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/observer/observertest"
)

func TestClockJump(t *testing.T) {
	s, _, r, digest := begin(t)
	r.pass(30 * time.Second)
	r.clock.set(time.Hour)
	r.tick(10 * time.Second)
	r.tick(10 * time.Second)
	forward := s.soak(digest)
	if w := forward.Status.Window; w.HealthySeconds != 40 || w.InterruptedSeconds != 3610 || w.Interruptions[0].Reason != v1alpha1.SoakClockMoved {
		t.Errorf("after a jump forward the window is %+v", w)
	}
	r.clock.set(-10 * time.Minute)
	r.tick(10 * time.Second)
	r.tick(10 * time.Second)
	if w := s.soak(digest).Status.Window; w.HealthySeconds != 10 || w.InterruptedSeconds != 0 || !w.StartedAt.After(forward.Status.Window.StartedAt.Time) {
		t.Errorf("after a jump back the window is %+v", w)
	}
}

// roundTrip is a transport that calls a function.
type roundTrip func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestSlowWritesAddNoHealthyTime(t *testing.T) {
	s := newStaging(t)
	var slow atomic.Pointer[fakeClock]
	digests := map[string]string{}
	var deployments []*deployment
	for _, name := range []string{"web", "api"} {
		digests[name] = s.registry.Image(t, "shop/"+name)
		deployments = append(deployments, s.deploy(s.registry.Name("shop/"+name)+"@"+digests[name], func(d *appsv1.Deployment) { d.Name = name }))
	}
	r := s.observe(func(c *Config) {
		c.Cluster.Wrap(func(next http.RoundTripper) http.RoundTripper {
			return roundTrip(func(request *http.Request) (*http.Response, error) {
				if clock := slow.Load(); clock != nil && request.Method == http.MethodPut && strings.HasSuffix(request.URL.Path, "/status") {
					clock.advance(4 * time.Second)
				}
				return next.RoundTrip(request)
			})
		})
	})
	for _, digest := range digests {
		r.untilState(digest, v1alpha1.SoakHealthy, "")
	}
	r.pass(20 * time.Second)
	slow.Store(r.clock)
	r.tick(10 * time.Second)
	for name, digest := range digests {
		if got := healthySeconds(s.soak(digest)); got != 30 {
			t.Errorf("%s has %d healthy seconds after the observation at 30 s", name, got)
		}
	}
	for _, d := range deployments {
		d.setPod(0, false, 0)
	}
	r.untilAllDip() // the clock is ahead: another healthy observation would count
	for _, digest := range digests {
		r.untilState(digest, v1alpha1.SoakInterrupted, v1alpha1.SoakDegraded)
		wantHealthy(t, s.soak(digest), 30)
	}
}

func TestRolloutStopsOldDigestAndStartsNew(t *testing.T) {
	s, d, r, old := begin(t)
	r.pass(30 * time.Second)
	fresh := s.registry.Image(t, "shop/web")
	d.deployment.Spec.Template = observertest.Template(s.web() + "@" + fresh)
	s.must(s.client.Update(t.Context(), d.deployment))
	r.untilState(fresh, v1alpha1.SoakWaiting, v1alpha1.SoakProgressing)
	r.untilState(old, v1alpha1.SoakStopped, v1alpha1.SoakNotRunning)
	d.report(2)
	r.untilState(fresh, v1alpha1.SoakWaiting, v1alpha1.SoakMixedDigests)
	r.pass(30 * time.Second)
	oldPods := d.pods
	d.roll()
	d.deletePods(oldPods)
	r.untilState(fresh, v1alpha1.SoakHealthy, "")
	r.pass(time.Minute)
	wantHealthy(t, r.untilAttested(fresh, "1m"), 60)
	wantHealthy(t, s.soak(old), 30)

	// The old digest runs again and resumes its time.
	d.deployment.Spec.Template = observertest.Template(s.web() + "@" + old)
	s.must(s.client.Update(t.Context(), d.deployment))
	freshPods := d.pods
	d.roll()
	d.deletePods(freshPods)
	d.report(2)
	r.untilState(old, v1alpha1.SoakHealthy, "")
	r.pass(30 * time.Second)
	back := r.untilAttested(old, "1m")
	if w := back.Status.Window; w.HealthySeconds != 60 || w.InterruptedSeconds != 90 || w.LongestGapSeconds != 0 || w.Interruptions[0].Reason != v1alpha1.SoakNotRunning {
		t.Errorf("the window is %+v", w)
	}
	if v := s.decide(old, time.Minute); !v.Allowed {
		t.Errorf("the gate denies: %+v", v.Reasons)
	}
}

func TestChangedChartHasOwnSoak(t *testing.T) {
	s := newStaging(t)
	digest := s.registry.Image(t, "shop/web")
	first, second := observertest.Digest("b"), observertest.Digest("c")
	stamp := func(chart string) func(*appsv1.Deployment) {
		return func(d *appsv1.Deployment) { d.Annotations[v1alpha1.AnnotationChartDigest] = chart }
	}
	d := s.deploy(s.web()+"@"+digest, stamp(first))
	r := s.observe()
	r.untilState(digest, v1alpha1.SoakHealthy, "")
	r.pass(30 * time.Second)
	change := func(chart string) {
		d.must(d.client.Get(t.Context(), client.ObjectKeyFromObject(d.deployment), d.deployment))
		stamp(chart)(d.deployment)
		s.must(s.client.Update(t.Context(), d.deployment))
		d.report(2)
		observertest.WaitUntil(t, "its time is measured", func() bool {
			r.tick(0)
			soak := s.soakWith(digest, chart)
			return soak != nil && soak.Status.State == v1alpha1.SoakHealthy
		})
	}
	change(second)
	r.pass(time.Minute)
	observertest.WaitUntil(t, "it is attested", func() bool {
		r.tick(0)
		return s.soakWith(digest, second).Status.Attested == "1m"
	})
	same := func(q *v1alpha1.SoakRequirement) { q.Chart = v1alpha1.ChartSame } // as the second chart
	if v := s.decide(digest, time.Minute, same); !v.Allowed {
		t.Errorf("the gate denies: %+v", v.Reasons)
	}
	r.pass(30 * time.Second)
	wantHealthy(t, r.untilAttested(digest, "2m"), 120)
	if v := s.decide(digest, 2*time.Minute); !v.Allowed {
		t.Errorf("the gate denies the time of both charts: %+v", v.Reasons)
	}
	if v := s.decide(digest, 2*time.Minute, same); v.Allowed {
		t.Error("the gate allows the time of another chart")
	}

	// A new observer resumes the Soak of the chart that runs, and no other.
	r.stop()
	s.wall = s.wall.Add(10 * time.Second)
	r = s.observe()
	r.untilState(digest, v1alpha1.SoakHealthy, "")
	observertest.WaitUntil(t, "it is resumed", func() bool {
		r.tick(0)
		return s.soakWith(digest, second).Status.Observer.Instance == r.program.engine.Observer.Instance
	})
	r.pass(10 * time.Second)
	soak := s.soakWith(digest, second)
	if w := soak.Status.Window; w.HealthySeconds != 100 || w.InterruptedSeconds != 10 || w.LongestGapSeconds != 10 {
		t.Errorf("the window is %+v", w)
	}
	change(first)
	r.tick(10 * time.Second)
	if soak := s.soakWith(digest, second); soak.Status.State != v1alpha1.SoakStopped {
		t.Errorf("the other chart's Soak is %+v", soak.Status)
	}
	wantHealthy(t, s.soakWith(digest, first), 10)
}

func TestNamespaceDeletion(t *testing.T) {
	s, d, r, digest := begin(t)
	r.until(digest, "the start is signed", func(s *v1alpha1.Soak) bool { return s.Status.Start != nil })
	r.pass(50 * time.Second)
	// The test acts as the namespace controller, which doesn't run here.
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.namespace}}
	s.must(s.client.Delete(t.Context(), namespace))
	s.must(s.client.Delete(t.Context(), s.soak(digest)))
	r.tick(10 * time.Second) // the workload is still there, and no Soak can be created
	r.tick(10 * time.Second)
	for _, o := range []client.Object{d.deployment, d.replicaSet} {
		s.must(s.client.Delete(t.Context(), o))
	}
	d.deletePods(d.pods)
	s.must(s.client.Get(t.Context(), client.ObjectKeyFromObject(namespace), namespace))
	namespace.Spec.Finalizers = nil
	s.must(s.client.SubResource("finalize").Update(t.Context(), namespace))
	observertest.WaitUntil(t, "the namespace is gone", func() bool {
		return apierrors.IsNotFound(s.client.Get(t.Context(), client.ObjectKeyFromObject(namespace), namespace))
	})
	r.pass(2 * time.Minute)
	if all := s.attestations(digest); len(all) != 1 {
		t.Errorf("%d statements were pushed, want the start alone", len(all))
	}
	if n := strings.Count(s.logs.String(), "level=ERROR"); n > 3 {
		t.Errorf("%d errors were logged", n)
	}
}

func TestGateEdit(t *testing.T) {
	s, _, r, digest := begin(t)
	r.pass(30 * time.Second)
	s.gate.Spec.Observe.AttestAfter = []metav1.Duration{{Duration: 20 * time.Second}, {Duration: time.Hour}}
	s.must(s.client.Update(t.Context(), s.gate))
	soak := r.untilAttested(digest, "20s")
	if soak.Status.Goal != "1h" {
		t.Errorf("the goal is %q", soak.Status.Goal)
	}
	elsewhere := s.gate.DeepCopy()
	elsewhere.Spec.Namespaces = []string{"elsewhere"}
	s.must(s.client.Update(t.Context(), elsewhere))
	r.untilState(digest, v1alpha1.SoakStopped, v1alpha1.SoakNotRunning)
	r.pass(time.Minute)
	wantHealthy(t, s.soak(digest), 30)
	elsewhere.Spec.Namespaces = []string{s.namespace}
	s.must(s.client.Update(t.Context(), elsewhere))
	r.untilState(digest, v1alpha1.SoakHealthy, "")
	r.tick(10 * time.Second)
	wantHealthy(t, s.soak(digest), 40)
	s.must(s.client.Delete(t.Context(), elsewhere))
	r.untilState(digest, v1alpha1.SoakStopped, v1alpha1.SoakNotRunning)
}
