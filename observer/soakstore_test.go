package observer

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/observer/observertest"
	"github.com/envladder/envladder/observer/soakstore"
)

func TestRestartAddsNoHealthyTime(t *testing.T) {
	s, d, r, digest := begin(t)
	r.pass(40 * time.Second)
	r.stop()
	s.wall = s.wall.Add(time.Hour)
	d.setPod(0, true, 3) // while no observer ran
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

func TestEditedSoakAddsNoHealthyTime(t *testing.T) {
	s, _, r, digest := begin(t)
	r.pass(20 * time.Second)
	// edit retries where the observer wrote in between, as a person would.
	edit := func(change func(*v1alpha1.Soak), write func(context.Context, client.Object) error) {
		s.must(retry.RetryOnConflict(retry.DefaultBackoff, func() error {
			soak := s.soak(digest)
			change(soak)
			return write(t.Context(), soak)
		}))
	}
	status := func(ctx context.Context, o client.Object) error { return s.client.Status().Update(ctx, o) }
	spec := func(ctx context.Context, o client.Object) error { return s.client.Update(ctx, o) }
	t.Run("overwritten while an observer runs", func(t *testing.T) {
		edit(func(s *v1alpha1.Soak) { s.Status.Window.HealthySeconds = 86400 }, status)
		r.tick(10 * time.Second)
		wantHealthy(t, s.soak(digest), 30)
	})
	t.Run("spec restored while an observer runs", func(t *testing.T) {
		edit(func(s *v1alpha1.Soak) { s.Spec.Environment = "prod" }, spec)
		r.tick(10 * time.Second)
		if got := s.soak(digest); got.Spec.Environment != "staging" || healthySeconds(got) != 40 {
			t.Errorf("the Soak is %+v", got)
		}
	})
	t.Run("discarded at the next start", func(t *testing.T) {
		r.stop()
		edit(func(s *v1alpha1.Soak) { s.Status.Window.HealthySeconds = 86400 }, status)
		r = s.observe()
		soak := r.untilState(digest, v1alpha1.SoakHealthy, "")
		wantHealthy(t, soak, 0)
		observertest.WaitUntil(t, "there is an event", func() bool { return s.event(soak.Name, "Discarded") })
	})
	t.Run("figures of a deleted Soak discarded", func(t *testing.T) {
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
	t.Run("deleted Soak measured again from the start", func(t *testing.T) {
		r.pass(30 * time.Second)
		s.must(s.client.Delete(t.Context(), s.soak(digest)))
		r.tick(10 * time.Second) // there is something to write
		wantHealthy(t, r.untilState(digest, v1alpha1.SoakHealthy, ""), 0)
	})
}

func TestOldSoaksArePruned(t *testing.T) {
	s, d, r, first := begin(t)
	later := []string{}
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
		later = append(later, digest)
	}
	if s.soak(first) != nil {
		t.Error("the oldest Soak is still there")
	}
	for _, digest := range later {
		if s.soak(digest) == nil {
			t.Errorf("the Soak of %s is gone", digest)
		}
	}
}

func TestUnavailableRegistryDelaysAttestation(t *testing.T) {
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
	r.until(digest, "the failure is reported", failed)
	r.pass(time.Minute)
	soak := r.until(digest, "the failure is reported", failed)
	wantHealthy(t, soak, 60) // measuring continued
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

// refusePushes has the registry reject pushes until down is set to false.
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

func TestPendingStatementOfStoppedDigest(t *testing.T) {
	// stopped returns a digest that was healthy for a minute, and stopped unsigned.
	stopped := func(t *testing.T) (*staging, *runningObserver, *atomic.Bool, string) {
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
	t.Run("signed when the registry is back", func(t *testing.T) {
		s, r, down, old := stopped(t)
		r.pass(time.Minute)
		down.Store(false)
		r.pass(6 * time.Minute) // longer than the longest wait
		r.untilAttested(old, "1m")
		signed(t, s, old)
		r.tick(10 * time.Second)
		r.stop() // so that the test may read the engine's maps
		if n := r.program.engine.Pending(); n != 0 {
			t.Errorf("%d are still pending", n)
		}
	})
	t.Run("signed after restarts", func(t *testing.T) {
		s, r, down, old := stopped(t)
		for range 2 {
			r.stop()
			s.wall = s.wall.Add(time.Hour)
			r = s.observe()
			r.until(old, "its Soak is up to date", func(*v1alpha1.Soak) bool { return true })
		}
		down.Store(false)
		r.pass(6 * time.Minute)
		r.untilAttested(old, "1m")
		signed(t, s, old)
	})
	t.Run("signed after the digest runs again", func(t *testing.T) {
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
	t.Run("dropped with its Soak or Gate", func(t *testing.T) {
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
				t.Errorf("%s: %d are still pending", name, n)
			}
			if v := s.decide(old, time.Minute); v.Allowed {
				t.Errorf("%s: it was signed nevertheless", name)
			}
		}
	})
}

func TestIndexCountsTimeByPlatform(t *testing.T) {
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
