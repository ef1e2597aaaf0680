package observer

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/observer/observertest"
)

func TestRunAttestsHealthyTimeThatGateAccepts(t *testing.T) {
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
		t.Errorf("the statement is %+v", statement)
	}
	if seen := statement.FirstSeenAt; seen == nil || !seen.Equal(observertest.Epoch) || !done.Status.FirstSeenAt.Time.Equal(observertest.Epoch) {
		t.Errorf("the statement has first seen %v, the Soak %v, want %v", seen, done.Status.FirstSeenAt, observertest.Epoch)
	}
	if len(statement.Workloads) != 1 || statement.Workloads[0].Kind != "Deployment" || !strings.HasPrefix(statement.Workloads[0].TemplateDigest, "sha256:") {
		t.Errorf("its workloads are %+v", statement.Workloads)
	}
	if !s.event(done.Name, "Attested") {
		observertest.WaitUntil(t, "there is an event", func() bool { return s.event(done.Name, "Attested") })
	}
}

func TestOnlyLeaderMeasures(t *testing.T) {
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

func TestSupersededObserverStops(t *testing.T) {
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

func TestRunUsesSystemClock(t *testing.T) {
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
