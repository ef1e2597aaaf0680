package observer

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/observer/observertest"
)

// begin deploys a new image and observes until its time counts.
func begin(t *testing.T) (*staging, *deployment, *runningObserver, string) {
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

// runningObserver runs under the manifests' RBAC, by a clock that the test sets.
type runningObserver struct {
	*staging

	program *program
	clock   *fakeClock
	ticks   chan time.Time
	stepped chan error
	ended   chan error
	kill    context.CancelFunc
}

// stop ends the observer, as abruptly as is possible inside a process: it writes nothing.
func (r *runningObserver) stop() {
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

// tick advances the clock and runs one observation.
func (r *runningObserver) tick(d time.Duration) {
	r.t.Helper()
	r.clock.advance(d)
	timeout := time.After(30 * time.Second)
	select {
	case r.ticks <- r.clock.wall:
	case err := <-r.ended:
		r.ended = nil
		r.t.Fatalf("the observer ended: %v\n%s", err, r.logs)
	case <-timeout:
		r.t.Fatal("the observer doesn't start an observation")
	}
	select {
	case err := <-r.stepped:
		r.must(err)
	case <-timeout:
		r.t.Fatal("the observer doesn't finish its observation")
	}
}

// pass advances the clock, one interval at a time.
func (r *runningObserver) pass(d time.Duration) {
	r.t.Helper()
	for ; d > 0; d -= 10 * time.Second {
		r.tick(min(d, 10*time.Second))
	}
}

// until observes, without advancing the clock, until this observer has written a Soak
// that meets a condition.
func (r *runningObserver) until(digest, description string, condition func(*v1alpha1.Soak) bool) *v1alpha1.Soak {
	r.t.Helper()
	var soak *v1alpha1.Soak
	observertest.WaitUntil(r.t, description, func() bool {
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

func (r *runningObserver) untilState(digest string, state v1alpha1.SoakState, reason v1alpha1.SoakReason) *v1alpha1.Soak {
	r.t.Helper()
	return r.until(digest, fmt.Sprintf("it is %s %s", state, reason), func(s *v1alpha1.Soak) bool {
		return s.Status.State == state && s.Status.Reason == reason
	})
}

// untilAllDip waits, without an observation, until every subject of the last one was
// unhealthy at some moment.
func (r *runningObserver) untilAllDip() {
	r.t.Helper()
	w := r.program.engine.Watcher(r.namespace) // between two observations no one else uses the map
	observertest.WaitUntil(r.t, "all subjects dip", func() bool {
		state := w.State()
		return state.Observed > 0 && state.Dips == state.Observed
	})
}

func (r *runningObserver) untilAttested(digest, after string) *v1alpha1.Soak {
	r.t.Helper()
	return r.until(digest, "a soak of "+after+" is attested", func(s *v1alpha1.Soak) bool { return s.Status.Attested == after })
}
