package engine

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"testing"
	"time"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/digests"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/observer/observertest"
	"github.com/envladder/envladder/observer/soakstore"
	"github.com/envladder/envladder/observer/watch"
)

const (
	day  = 24 * time.Hour
	week = 7 * day
)

// simulation is a tracker whose due statements are signed at once by an observer with a
// timestamping authority, or without one.
type simulation struct {
	tracker *tracker
	// passed is the time since the epoch.
	passed time.Duration
	// signed are the statements that were pushed, and attested when soaks of the longest
	// threshold were.
	signed   []gate.Evidence
	attested []time.Time
}

func newSimulation(provesTime bool, thresholds ...time.Duration) *simulation {
	s := &simulation{tracker: newTracker(soakstore.Key{Namespace: "shop-staging", Spec: v1alpha1.SoakSpec{
		Environment: "staging", Repository: "registry.example.com/shop/web", Digest: observertest.Digest("a"),
	}})}
	s.tracker.schedule = schedule{thresholds: thresholds, renewEvery: week, provesTime: provesTime}
	return s
}

func (s *simulation) now() time.Time { return observertest.Epoch.Add(s.passed) }

// observe adds a sample after a time, and signs what is due; pushing fails if fail is set.
func (s *simulation) observe(step time.Duration, reason v1alpha1.SoakReason, workloads []string, fail bool) {
	s.passed += step
	h := watch.Health{Reason: reason, Ready: 2}
	for _, uid := range workloads {
		h.Workloads = append(h.Workloads, &watch.Workload{Identity: v1alpha1.SoakWorkload{Kind: "Deployment", Name: uid, UID: uid}})
	}
	sample := observertest.Healthy(s.passed)
	s.tracker.add(h, sample, step)
	due, ok := s.tracker.due(s.now())
	if !ok || fail {
		return
	}
	job := (&Engine{}).newJob(s.tracker, due, s.now())
	raw, err := json.Marshal(job.statement)
	if err != nil {
		panic(err)
	}
	e := gate.Evidence{Signer: "observer", PredicateType: gate.PredicateSoak, Soak: &job.statement, Statement: digests.Sum(raw), Source: digests.Sum(raw)}
	if s.tracker.provesTime {
		e.Signed = s.now().Truncate(time.Second)
	}
	s.signed = append(s.signed, e)
	s.tracker.addStatement(attestResult{attestJob: job, digest: e.Source, statementDigest: e.Statement}, s.now())
	if due.kind == soakStatement && due.after == s.tracker.longest() {
		s.attested = append(s.attested, s.now())
	}
}

// restart continues with a tracker that has nothing but the Soak's status.
func (s *simulation) restart(t require) {
	status := s.tracker.status(v1alpha1.SoakObserver{}, s.now())
	raw, err := json.Marshal(status)
	if err != nil {
		t.Fatal(err)
	}
	soak := &v1alpha1.Soak{}
	if err := json.Unmarshal(raw, &soak.Status); err != nil {
		t.Fatal(err)
	}
	schedule := s.tracker.schedule
	s.tracker = newTracker(s.tracker.Key)
	s.tracker.schedule = schedule
	s.tracker.resume(soak)
}

type require interface {
	Helper()
	Fatal(arguments ...any)
	Fatalf(format string, arguments ...any)
}

// wantAllowed requires that a Gate which requires the longest threshold admits the digest.
func (s *simulation) wantAllowed(t require, change ...func(*v1alpha1.SoakRequirement)) {
	t.Helper()
	g := &v1alpha1.Gate{Spec: v1alpha1.GateSpec{
		Environment: "prod", Namespaces: []string{"shop"}, Images: []v1alpha1.GateImage{{Repository: s.tracker.Spec.Repository}},
		Signers: []v1alpha1.Signer{{Name: "observer", Key: &v1alpha1.KeySigner{Data: publicKey}, Timestamp: "tsa"}},
		Requires: v1alpha1.Requirements{Soak: &v1alpha1.SoakRequirement{
			By: []string{"observer"}, Environment: "staging", Duration: metav1.Duration{Duration: s.tracker.longest()},
		}},
	}}
	if !s.tracker.provesTime {
		g.Spec.Signers[0].Time = v1alpha1.TimeTrustSigner
	}
	for _, c := range change {
		c(g.Spec.Requires.Soak)
	}
	verdict := gate.Decide(gate.Request{
		Gate: g, Image: gate.Image{Repository: s.tracker.Spec.Repository, Digest: s.tracker.Spec.Digest}, Now: s.now(), Evidence: s.signed,
	})
	if !verdict.Allowed {
		t.Fatalf("after %s, with %d statements: %+v", s.passed, len(s.signed), verdict.Reasons)
	}
}

var publicKey = func() string {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	pem, err := cryptoutils.MarshalPublicKeyToPEM(key.Public())
	if err != nil {
		panic(err)
	}
	return string(pem)
}()

// TestScheduleIsEnoughForGate holds that a soak is signed only once a Gate with the default
// checkpointEvery counts it, whatever happens on the way.
func TestScheduleIsEnoughForGate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newSimulation(rapid.Bool().Draw(t, "proves time"), time.Hour, 6*time.Hour)
		for range 60 {
			workloads := rapid.SampledFrom([][]string{{"a"}, {"a"}, {"a"}, {"a", "b"}, {"c"}}).Draw(t, "workloads")
			reason := rapid.SampledFrom([]v1alpha1.SoakReason{"", "", "", "", v1alpha1.SoakDegraded, v1alpha1.SoakNotRunning}).Draw(t, "reason")
			fail := rapid.SampledFrom([]bool{false, false, false, true}).Draw(t, "pushing fails")
			step := rapid.SampledFrom([]time.Duration{10 * time.Second, time.Minute, 1500 * time.Millisecond}).Draw(t, "step")
			for range rapid.IntRange(1, 40).Draw(t, "observations") {
				before := len(s.attested)
				s.observe(step, reason, workloads, fail)
				if len(s.attested) > before {
					s.wantAllowed(t)
				}
			}
			if rapid.IntRange(0, 9).Draw(t, "restart") == 0 {
				s.restart(t)
			}
		}
	})
}

// TestScheduleRenews holds that a digest which stays healthy stays promotable, with few
// statements.
func TestScheduleRenews(t *testing.T) {
	for name, test := range map[string]struct {
		provesTime bool
		most       int
	}{
		"with timestamps": {true, 75}, // 17, and 9 for each of six renewals
		"without":         {false, 9},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSimulation(test.provesTime, time.Hour, day)
			for s.passed < 50*day {
				s.observe(30*time.Second, "", []string{"a"}, false)
				if s.passed%(6*time.Hour) == 0 && s.passed > day+time.Minute {
					s.wantAllowed(t, func(r *v1alpha1.SoakRequirement) { r.MaxAge = &metav1.Duration{Duration: 9 * day} })
				}
			}
			if len(s.attested) != 7 || len(s.signed) > test.most {
				t.Errorf("%d soaks in %d statements, want 7 in at most %d: %v", len(s.attested), len(s.signed), test.most, s.attested)
			}
		})
	}
}

// TestScheduleBoundsRenewals holds that one window leaves a bounded number of statements.
func TestScheduleBoundsRenewals(t *testing.T) {
	s := newSimulation(true, day)
	for s.passed < 300*day {
		s.observe(5*time.Minute, "", []string{"a"}, false)
	}
	if len(s.attested) != 1+maxRenewals || s.tracker.renewals != maxRenewals || len(s.signed) > 9*(1+maxRenewals)+1 {
		t.Errorf("%d soaks in %d statements", len(s.attested), len(s.signed))
	}
}

func TestScheduleSignsWhatWasMeasuredWhenDigestStops(t *testing.T) {
	s := newSimulation(true, day)
	for s.passed < 11*time.Hour {
		s.observe(time.Minute, "", []string{"a"}, false)
	}
	s.observe(time.Minute, v1alpha1.SoakNotRunning, nil, false)
	for s.passed < 3*day {
		s.observe(time.Hour, v1alpha1.SoakNotRunning, nil, false)
	}
	statements := len(s.signed)
	for len(s.attested) == 0 && s.passed < 5*day {
		s.observe(time.Minute, "", []string{"a"}, false)
	}
	s.wantAllowed(t)
	if healthy := s.passed - 3*day; healthy > 13*time.Hour+10*time.Minute {
		t.Errorf("it took %s more, of 13h", healthy)
	}
	if last := s.signed[statements-1].Soak.Window; last.HealthySeconds < int64((11*time.Hour-time.Minute)/time.Second) {
		t.Errorf("%d healthy seconds were signed when it stopped", last.HealthySeconds)
	}
}
