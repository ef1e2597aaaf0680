package observer

import (
	"context"
	"testing"
	"time"

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
