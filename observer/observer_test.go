package observer

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/observer/observertest"
	"github.com/envladder/envladder/observer/soakstore"
)

// begin deploys a new image and observes until its time counts.
func begin(t *testing.T) (*staging, *deployment, *running, string) {
	t.Helper()
	s := newStaging(t)
	digest := s.registry.Image(t, "shop/web")
	d := s.deploy(s.web() + "@" + digest)
	r := s.observe()
	r.untilState(digest, v1alpha1.SoakHealthy, "")
	return s, d, r, digest
}

func healthySeconds(s *v1alpha1.Soak) int64 {
	if s == nil || s.Status.Window == nil {
		return -1
	}
	return s.Status.Window.HealthySeconds
}

func wantHealthy(t *testing.T, s *v1alpha1.Soak, want int64) {
	t.Helper()
	if got := healthySeconds(s); got != want {
		t.Errorf("%d s count, want %d: %+v", got, want, s.Status.Window)
	}
}

func TestHealthyTimeIsAttestedAndTheGateBelievesIt(t *testing.T) {
	s, _, r, digest := begin(t)
	started := r.until(digest, "the start is signed", func(s *v1alpha1.Soak) bool { return s.Status.Start != nil })
	if open := s.attestations(digest); len(open) != 1 || open[0].Soak.Window.FinishedAt != nil || !open[0].Soak.Window.StartedAt.Equal(observertest.Epoch) {
		t.Errorf("the signed start is %+v", open)
	}
	if started.Status.Goal != "1m" {
		t.Errorf("the goal is %q", started.Status.Goal)
	}
	r.pass(time.Minute)
	r.untilAttested(digest, "1m")
	if v := s.decide(digest, time.Minute, func(q *v1alpha1.SoakRequirement) {
		q.Contiguous, q.Chart, q.MinReady, q.MaxRestarts, q.MaxGap = true, v1alpha1.ChartSame, new(int32(2)), new(int32(0)), &metav1.Duration{Duration: time.Second}
	}); !v.Allowed {
		t.Errorf("the gate denies: %+v", v.Reasons)
	}
	if v := s.decide(digest, 2*time.Minute); v.Allowed {
		t.Error("the gate allows what hasn't soaked for 2m")
	}
	r.pass(time.Minute)
	done := r.untilAttested(digest, "2m")
	wantHealthy(t, done, 120)
	if v := s.decide(digest, 2*time.Minute); !v.Allowed {
		t.Errorf("the gate denies: %+v", v.Reasons)
	}
	r.pass(time.Minute)
	if all := s.attestations(digest); len(all) != 3 {
		t.Errorf("%d statements were pushed, want the start and one for each threshold", len(all))
	}
	statement := s.attestations(digest)[0].Soak
	if statement.Ladder != "shop" || statement.Environment != "staging" || statement.Target != "eu" || statement.Namespace != s.namespace || statement.Cluster == "" || statement.Image.Repository != s.web() {
		t.Errorf("it says: %+v", statement)
	}
	if seen := statement.FirstSeenAt; seen == nil || !seen.Equal(observertest.Epoch) || !done.Status.FirstSeenAt.Time.Equal(observertest.Epoch) {
		t.Errorf("it says that the digest was first seen %v, the Soak %v, want %v", seen, done.Status.FirstSeenAt, observertest.Epoch)
	}
	if len(statement.Workloads) != 1 || statement.Workloads[0].Kind != "Deployment" || !strings.HasPrefix(statement.Workloads[0].TemplateDigest, "sha256:") {
		t.Errorf("its workloads are %+v", statement.Workloads)
	}
	if !s.event(done.Name, "Attested") {
		observertest.WaitUntil(t, "there is an event", func() bool { return s.event(done.Name, "Attested") })
	}
}

func TestAKillAddsNoTime(t *testing.T) {
	s, d, r, digest := begin(t)
	r.pass(40 * time.Second)
	r.stop()
	s.wall = s.wall.Add(time.Hour)
	d.setPod(0, true, 3) // while nobody looked
	r = s.observe()
	r.untilState(digest, v1alpha1.SoakHealthy, "")
	r.pass(20 * time.Second)
	got := r.untilAttested(digest, "1m")
	w := got.Status.Window
	if !w.StartedAt.Equal(&metav1.Time{Time: observertest.Epoch}) || w.HealthySeconds != 60 || w.InterruptedSeconds != 3600 || w.LongestGapSeconds != 3600 || w.LongestHealthySeconds != 40 || w.Restarts != 3 {
		t.Errorf("the window is %+v", w)
	}
	if v := s.decide(digest, time.Minute); !v.Allowed {
		t.Errorf("the gate denies: %+v", v.Reasons)
	}
}

func TestAnEditedSoakAddsNoTime(t *testing.T) {
	s, _, r, digest := begin(t)
	r.pass(20 * time.Second)
	// edit tries again where the observer wrote between, as a person would.
	edit := func(change func(*v1alpha1.Soak), write func(context.Context, client.Object) error) {
		s.must(retry.RetryOnConflict(retry.DefaultBackoff, func() error {
			soak := s.soak(digest)
			change(soak)
			return write(t.Context(), soak)
		}))
	}
	status := func(ctx context.Context, o client.Object) error { return s.client.Status().Update(ctx, o) }
	spec := func(ctx context.Context, o client.Object) error { return s.client.Update(ctx, o) }
	t.Run("while the observer runs it is overwritten", func(t *testing.T) {
		edit(func(s *v1alpha1.Soak) { s.Status.Window.HealthySeconds = 86400 }, status)
		r.tick(10 * time.Second)
		wantHealthy(t, s.soak(digest), 30)
	})
	t.Run("of its spec too", func(t *testing.T) {
		edit(func(s *v1alpha1.Soak) { s.Spec.Environment = "prod" }, spec)
		r.tick(10 * time.Second)
		if got := s.soak(digest); got.Spec.Environment != "staging" || healthySeconds(got) != 40 {
			t.Errorf("the Soak is %+v", got)
		}
	})
	t.Run("while none runs it is discarded", func(t *testing.T) {
		r.stop()
		edit(func(s *v1alpha1.Soak) { s.Status.Window.HealthySeconds = 86400 }, status)
		r = s.observe()
		soak := r.untilState(digest, v1alpha1.SoakHealthy, "")
		wantHealthy(t, soak, 0)
		observertest.WaitUntil(t, "there is an event", func() bool { return s.event(soak.Name, "Discarded") })
	})
	t.Run("another Soak's figures are no page of this one", func(t *testing.T) {
		r.pass(30 * time.Second)
		r.stop()
		soak := s.soak(digest)
		s.must(s.client.Delete(t.Context(), soak))
		copied := &v1alpha1.Soak{ObjectMeta: metav1.ObjectMeta{Namespace: soak.Namespace, Name: soak.Name}, Spec: soak.Spec}
		s.must(s.client.Create(t.Context(), copied))
		copied.Status = soak.Status
		s.must(s.client.Status().Update(t.Context(), copied))
		r = s.observe()
		wantHealthy(t, r.untilState(digest, v1alpha1.SoakHealthy, ""), 0)
	})
	t.Run("a Soak that is deleted is measured anew", func(t *testing.T) {
		r.pass(30 * time.Second)
		s.must(s.client.Delete(t.Context(), s.soak(digest)))
		r.tick(10 * time.Second) // there is something to write
		wantHealthy(t, r.untilState(digest, v1alpha1.SoakHealthy, ""), 0)
	})
}

func TestTheClockMoves(t *testing.T) {
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

func TestABadMomentBetweenTwoObservationsIsSeen(t *testing.T) {
	s, d, r, digest := begin(t)
	r.pass(20 * time.Second)
	d.setPod(0, false, 0)
	d.setPod(0, true, 0)
	// The informer brings both before this one, which is of another object in the same
	// watch.
	marker := d.pods[1].DeepCopy()
	marker.Annotations = map[string]string{"marker": "seen"}
	s.must(s.client.Update(t.Context(), marker))
	w := r.program.engine.Watcher(s.namespace)
	observertest.WaitUntil(t, "the moment was seen", func() bool {
		return w.State().Dips > 0
	})
	observertest.WaitUntil(t, "it passed", func() bool {
		return w.Snapshot().Pods[d.pods[0].UID].Ready
	})
	r.tick(10 * time.Second)
	r.tick(10 * time.Second)
	if w := s.soak(digest).Status.Window; w.HealthySeconds != 30 || w.InterruptedSeconds != 10 || w.Interruptions[0].Reason != v1alpha1.SoakDegraded {
		t.Errorf("the window is %+v", w)
	}
}

// roundTrip is a transport of one function.
type roundTrip func(*http.Request) (*http.Response, error)

// RoundTrip is http.RoundTripper.
func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestTimeEndsWithTheLookHoweverSlowTheWritesAre(t *testing.T) {
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
			t.Errorf("%s has %d healthy seconds at the look of second 30", name, got)
		}
	}
	for _, d := range deployments {
		d.setPod(0, false, 0)
	}
	r.untilAllDip() // the clock is past the look: one more that sees them healthy would count
	for _, digest := range digests {
		r.untilState(digest, v1alpha1.SoakInterrupted, v1alpha1.SoakDegraded)
		wantHealthy(t, s.soak(digest), 30)
	}
}

func TestWithoutAReadinessProbeNothingCounts(t *testing.T) {
	s := newStaging(t)
	digest := s.registry.Image(t, "shop/web")
	s.deploy(s.web()+"@"+digest, func(d *appsv1.Deployment) { d.Spec.Template.Spec.Containers[0].ReadinessProbe = nil })
	r := s.observe()
	r.untilState(digest, v1alpha1.SoakWaiting, v1alpha1.SoakNoReadinessProbe)
	r.pass(2 * time.Minute)
	if got := s.soak(digest); got.Status.Window != nil || !strings.Contains(got.Status.Message, `container "web" has no readinessProbe`) {
		t.Errorf("the status is %+v", got.Status)
	}
	if all := s.attestations(digest); len(all) != 0 {
		t.Errorf("it was attested: %+v", all)
	}
}

func TestAnImageThatIsNamedByItsTagIsSaidNotToBeMeasured(t *testing.T) {
	s := newStaging(t)
	s.deploy(s.web() + ":1.4.2")
	r := s.observe()
	observertest.WaitUntil(t, "there is an event", func() bool {
		r.tick(0)
		return s.event(s.gate.Name, "NoDigest")
	})
}

func TestARolloutPausesTheOldDigestAndBeginsTheNew(t *testing.T) {
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

	// The old one comes back, and goes on where it was.
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

func TestAChartThatChangesHasItsOwnTime(t *testing.T) {
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
	same := func(q *v1alpha1.SoakRequirement) { q.Chart = v1alpha1.ChartSame } // as the second
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

	// An observer that comes back goes on with the chart that runs, and that alone.
	r.stop()
	s.wall = s.wall.Add(10 * time.Second)
	r = s.observe()
	r.untilState(digest, v1alpha1.SoakHealthy, "")
	observertest.WaitUntil(t, "it goes on", func() bool {
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

func TestTheRegistryIsDown(t *testing.T) {
	s := newStaging(t)
	digest := s.registry.Image(t, "shop/web")
	s.deploy(s.web() + "@" + digest)
	down := refusePushes(s)
	r := s.observe()
	r.untilState(digest, v1alpha1.SoakHealthy, "")
	failed := func(s *v1alpha1.Soak) bool {
		c := meta.FindStatusCondition(s.Status.Conditions, v1alpha1.ConditionAttested)
		return c != nil && c.Reason == "AttestationFailed"
	}
	r.until(digest, "the failure is said", failed)
	r.pass(time.Minute)
	soak := r.until(digest, "the failure is said", failed)
	wantHealthy(t, soak, 60) // measuring went on
	observertest.WaitUntil(t, "there is an event", func() bool { return s.event(soak.Name, "AttestationFailed") })
	down.Store(false)
	r.pass(6 * time.Minute) // longer than the longest wait
	soak = r.until(digest, "it is attested", func(s *v1alpha1.Soak) bool { return s.Status.Attested == "2m" })
	if c := meta.FindStatusCondition(soak.Status.Conditions, v1alpha1.ConditionAttested); c.Status != metav1.ConditionTrue {
		t.Errorf("the condition is %+v", c)
	}
	if v := s.decide(digest, 2*time.Minute); !v.Allowed {
		t.Errorf("the gate denies: %+v", v.Reasons)
	}
}

// refusePushes is a registry that takes nothing, until it is told to.
func refusePushes(s *staging) (down *atomic.Bool) {
	down = &atomic.Bool{}
	down.Store(true)
	s.registry.Before(func(w http.ResponseWriter, r *http.Request) bool {
		if down.Load() && (r.Method == http.MethodPut || r.Method == http.MethodPost) {
			http.Error(w, "no room", http.StatusForbidden)
			return true
		}
		return false
	})
	return down
}

func TestWhatWasMeasuredIsSignedThoughItsDigestStopped(t *testing.T) {
	// stopped is a digest that was healthy for a minute, and stopped with nothing signed.
	stopped := func(t *testing.T) (*staging, *running, *atomic.Bool, string) {
		s, d, r, old := begin(t)
		r.until(old, "the start is signed", func(s *v1alpha1.Soak) bool { return s.Status.Start != nil })
		fresh := s.registry.Image(t, "shop/api")
		down := refusePushes(s)
		r.pass(70 * time.Second)
		d.deployment.Spec.Template = observertest.Template(s.registry.Name("shop/api") + "@" + fresh)
		s.must(s.client.Update(t.Context(), d.deployment))
		r.untilState(old, v1alpha1.SoakStopped, v1alpha1.SoakNotRunning)
		return s, r, down, old
	}
	signed := func(t *testing.T, s *staging, digest string) {
		t.Helper()
		for _, e := range s.attestations(digest) {
			finished := e.Soak.Window.FinishedAt
			if finished != nil && !finished.Equal(observertest.Epoch.Add(70*time.Second)) {
				t.Errorf("its window ends at %v, want the end of its health", finished)
			}
		}
		if v := s.decide(digest, 70*time.Second, func(q *v1alpha1.SoakRequirement) { q.MaxGap = &metav1.Duration{Duration: time.Second} }); !v.Allowed {
			t.Errorf("the gate denies: %+v", v.Reasons)
		}
	}
	t.Run("when the registry is back", func(t *testing.T) {
		s, r, down, old := stopped(t)
		r.pass(time.Minute)
		down.Store(false)
		r.pass(6 * time.Minute) // longer than the longest wait
		r.untilAttested(old, "1m")
		signed(t, s, old)
		r.tick(10 * time.Second)
		r.stop() // so that the loop's maps are the test's
		if n := r.program.engine.Pending(); n != 0 {
			t.Errorf("%d are owed still", n)
		}
	})
	t.Run("after restarts", func(t *testing.T) {
		s, r, down, old := stopped(t)
		for range 2 {
			r.stop()
			s.wall = s.wall.Add(time.Hour)
			r = s.observe()
			r.until(old, "its page is up to date", func(*v1alpha1.Soak) bool { return true })
		}
		down.Store(false)
		r.pass(6 * time.Minute)
		r.untilAttested(old, "1m")
		signed(t, s, old)
	})
	t.Run("and comes back", func(t *testing.T) {
		s, r, down, old := stopped(t)
		d := &appsv1.Deployment{}
		s.must(s.client.Get(t.Context(), client.ObjectKey{Namespace: s.namespace, Name: "web"}, d))
		d.Spec.Template = observertest.Template(s.web() + "@" + old)
		s.must(s.client.Update(t.Context(), d))
		r.untilState(old, v1alpha1.SoakInterrupted, v1alpha1.SoakProgressing)
		down.Store(false)
		r.pass(6 * time.Minute)
		r.untilAttested(old, "1m")
		signed(t, s, old)
	})
	t.Run("but not once its Soak is deleted, or no Gate asks", func(t *testing.T) {
		for name, withdraw := range map[string]func(*staging, string) client.Object{
			"the Soak": func(s *staging, digest string) client.Object { return s.soak(digest) },
			"the Gate": func(s *staging, _ string) client.Object { return s.gate },
		} {
			s, r, down, old := stopped(t)
			s.must(s.client.Delete(t.Context(), withdraw(s, old)))
			r.pass(6 * time.Minute)
			down.Store(false)
			r.pass(6 * time.Minute)
			r.stop()
			if n := r.program.engine.Pending(); n != 0 {
				t.Errorf("%s: %d are owed still", name, n)
			}
			if v := s.decide(old, time.Minute); v.Allowed {
				t.Errorf("%s: it was signed all the same", name)
			}
		}
	})
}

func TestTheNamespaceIsDeleted(t *testing.T) {
	s, d, r, digest := begin(t)
	r.until(digest, "the start is signed", func(s *v1alpha1.Soak) bool { return s.Status.Start != nil })
	r.pass(50 * time.Second)
	// What the namespace's controller does, which doesn't run here.
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.namespace}}
	s.must(s.client.Delete(t.Context(), namespace))
	s.must(s.client.Delete(t.Context(), s.soak(digest)))
	r.tick(10 * time.Second) // the workload is still there, and no Soak can be made
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

func TestAGateIsEdited(t *testing.T) {
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

func TestOfTwoReplicasOneMeasures(t *testing.T) {
	s := newStaging(t)
	digest := s.registry.Image(t, "shop/web")
	s.deploy(s.web() + "@" + digest)
	elect := func(c *Config) { c.LeaderElect = true }
	first, second := s.observe(elect), s.observe(elect)
	leader, other := first, second
	observertest.WaitUntil(t, "one of them measures", func() bool {
		select {
		case first.ticks <- time.Time{}:
			return <-first.stepped == nil
		case second.ticks <- time.Time{}:
			leader, other = second, first
			return <-second.stepped == nil
		default:
			return false
		}
	})
	leader.untilState(digest, v1alpha1.SoakHealthy, "")
	for range 3 {
		leader.tick(10 * time.Second)
		select {
		case other.ticks <- time.Time{}:
			t.Fatal("both of them measure")
		default:
		}
	}
	wantHealthy(t, s.soak(digest), 30)
	leader.stop()
	other.clock.advance(40 * time.Second)
	other.untilState(digest, v1alpha1.SoakHealthy, "")
	other.tick(10 * time.Second)
	if w := s.soak(digest).Status.Window; w.HealthySeconds != 40 || w.InterruptedSeconds != 10 {
		t.Errorf("the window is %+v", w)
	}
}

func TestAnObserverThatLostTheLeadUnawaresEnds(t *testing.T) {
	s, _, r, digest := begin(t)
	r.pass(20 * time.Second)
	s.wall = observertest.Epoch.Add(30 * time.Second)
	second := s.observe()
	second.untilState(digest, v1alpha1.SoakHealthy, "")
	r.clock.advance(20 * time.Second)
	r.ticks <- time.Time{}
	if err := <-r.stepped; err == nil {
		t.Fatal("both of them measure")
	}
	if diff := cmp.Diff(int64(20), healthySeconds(s.soak(digest))); diff != "" {
		t.Errorf("healthy seconds (-want +got):\n%s", diff)
	}
}

func TestOldNotebooksAreCollected(t *testing.T) {
	s, d, r, first := begin(t)
	kept := []string{}
	for range soakstore.MaxStopped + 1 {
		r.tick(10 * time.Second)
		digest := s.registry.Image(t, "shop/web")
		d.deployment.Spec.Template = observertest.Template(s.web() + "@" + digest)
		s.must(s.client.Update(t.Context(), d.deployment))
		old := d.pods
		d.roll()
		d.deletePods(old)
		d.report(2)
		r.untilState(digest, v1alpha1.SoakHealthy, "")
		kept = append(kept, digest)
	}
	if s.soak(first) != nil {
		t.Error("the oldest notebook is still there")
	}
	for _, digest := range kept {
		if s.soak(digest) == nil {
			t.Errorf("the notebook of %s is gone", digest)
		}
	}
}

func TestWhatANodeProvablyRunsIsNoOtherImage(t *testing.T) {
	s, d, r, digest := begin(t)
	other := s.registry.Image(t, "shop/web")
	d.pods[1].Status.ContainerStatuses[0].ImageID = s.web() + "@" + other
	s.must(s.client.Status().Update(t.Context(), d.pods[1]))
	r.untilState(digest, v1alpha1.SoakInterrupted, v1alpha1.SoakOtherImage)
	d.pods[1].Status.ContainerStatuses[0].ImageID = "mirror.example.com/cache/web@" + observertest.Digest("9")
	s.must(s.client.Status().Update(t.Context(), d.pods[1]))
	r.untilState(digest, v1alpha1.SoakHealthy, "") // it can't be compared
}

func TestItRunsByItsOwnClock(t *testing.T) {
	s := newStaging(t)
	digest := s.registry.Image(t, "shop/web")
	s.deploy(s.web() + "@" + digest)
	s.gate.Spec.Observe.AttestAfter = []metav1.Duration{{Duration: 2 * time.Second}}
	s.must(s.client.Update(t.Context(), s.gate))
	port, err := net.Listen("tcp", "127.0.0.1:0")
	s.must(err)
	config := s.config()
	config.Interval, config.HealthListen = time.Second, port.Addr().String()
	s.must(port.Close())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, config) }()
	observertest.WaitUntil(t, "a soak is attested", func() bool {
		soak := s.soak(digest)
		return soak != nil && soak.Status.Attested == "2s"
	})
	for _, path := range []string{"/healthz", "/readyz"} {
		response, err := http.Get("http://" + config.HealthListen + path)
		s.must(err)
		response.Body.Close()
		if response.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", path, response.Status)
		}
	}
	cancel()
	select {
	case err := <-ended:
		s.must(err)
	case <-time.After(30 * time.Second):
		t.Error("it doesn't end")
	}
}

func TestAnIndexAndItsPlatforms(t *testing.T) {
	s := newStaging(t)
	index, children := s.registry.Index(t, "shop/web", "linux/amd64", "linux/arm64")
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "worker-" + s.namespace}}
	s.must(s.client.Create(t.Context(), node))
	t.Cleanup(func() { _ = s.client.Delete(t.Context(), node) })
	node.Status.NodeInfo = corev1.NodeSystemInfo{OperatingSystem: "linux", Architecture: "arm64"}
	s.must(s.client.Status().Update(t.Context(), node))
	s.deploy(s.web() + "@" + index)
	r := s.observe()
	r.untilState(index, v1alpha1.SoakHealthy, "")
	r.pass(time.Minute)
	r.untilAttested(index, "1m")
	found := s.attestations(index)
	for digest, want := range map[string]bool{index: false, children[0]: false, children[1]: true} {
		if v := s.decideBy(found, digest, time.Minute); v.Allowed != want {
			t.Errorf("%s: allowed %v, want %v: %+v", digest, v.Allowed, want, v.Reasons)
		}
	}
	for platform, want := range map[string]bool{"linux/amd64": false, "linux/arm64": true} {
		v := s.decideBy(found, index, time.Minute, func(q *v1alpha1.SoakRequirement) { q.Platforms = []string{platform} })
		if v.Allowed != want {
			t.Errorf("the index on %s: allowed %v, want %v: %+v", platform, v.Allowed, want, v.Reasons)
		}
	}
}
