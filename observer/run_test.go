package observer

import (
	"context"
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
