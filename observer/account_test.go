package observer

import (
	"encoding/json"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
)

var epoch = time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC)

const maxInterval = 30 * time.Second

// seenAt is a healthy observation some time after the epoch, with clocks that agree.
func seenAt(after time.Duration) observation {
	return observation{At: epoch.Add(after), Elapsed: after, Ready: 2}
}

func because(reason v1alpha1.SoakReason, after time.Duration) observation {
	o := seenAt(after)
	o.Reason = reason
	return o
}

func dipped(reason v1alpha1.SoakReason, after time.Duration) observation {
	o := seenAt(after)
	o.Dip = reason
	return o
}

func TestAccount(t *testing.T) {
	for name, test := range map[string]struct {
		observations []observation
		healthy, longest, interrupted,
		gap int64
		reasons []v1alpha1.SoakReason
	}{
		"healthy time adds up": {
			observations: []observation{seenAt(0), seenAt(10 * time.Second), seenAt(20 * time.Second)},
			healthy:      20, longest: 20,
		},
		"before the first health there is no window": {
			observations: []observation{because(v1alpha1.SoakProgressing, 0), seenAt(10 * time.Second), seenAt(20 * time.Second)},
			healthy:      10, longest: 10,
		},
		"an interval with a bad end doesn't count, nor does the next": {
			observations: []observation{seenAt(0), seenAt(10 * time.Second), because(v1alpha1.SoakDegraded, 20*time.Second), seenAt(30 * time.Second), seenAt(40 * time.Second)},
			healthy:      20, longest: 10, interrupted: 20,
			reasons: []v1alpha1.SoakReason{v1alpha1.SoakDegraded},
		},
		"a bad moment between two good ones doesn't count": {
			observations: []observation{seenAt(0), dipped(v1alpha1.SoakMixedDigests, 10*time.Second), seenAt(20 * time.Second)},
			healthy:      10, longest: 10, interrupted: 10,
			reasons: []v1alpha1.SoakReason{v1alpha1.SoakMixedDigests},
		},
		"an interval that is too long wasn't observed": {
			observations: []observation{seenAt(0), seenAt(31 * time.Second), seenAt(41 * time.Second)},
			healthy:      10, longest: 10, interrupted: 31, gap: 31,
			reasons: []v1alpha1.SoakReason{v1alpha1.SoakUnobserved},
		},
		"parts of seconds never add": {
			observations: []observation{seenAt(300 * time.Millisecond), seenAt(9900 * time.Millisecond), because(v1alpha1.SoakDegraded, 10100*time.Millisecond), seenAt(10200 * time.Millisecond), seenAt(20200 * time.Millisecond)},
			healthy:      8 + 9, longest: 9, interrupted: 2,
			reasons: []v1alpha1.SoakReason{v1alpha1.SoakDegraded},
		},
		"the wall clock jumps forward: that time wasn't observed": {
			observations: []observation{seenAt(0), {At: epoch.Add(time.Hour), Elapsed: 10 * time.Second, Ready: 2}, {At: epoch.Add(time.Hour + 10*time.Second), Elapsed: 20 * time.Second, Ready: 2}},
			healthy:      10, longest: 10, interrupted: 3600, gap: 3600,
			reasons: []v1alpha1.SoakReason{v1alpha1.SoakClockMoved},
		},
		"the wall clock goes back: the window begins anew": {
			observations: []observation{seenAt(0), seenAt(10 * time.Second), {At: epoch.Add(15 * time.Second), Elapsed: 20 * time.Second, Ready: 2}, {At: epoch.Add(25 * time.Second), Elapsed: 30 * time.Second, Ready: 2}},
			healthy:      10, longest: 10,
		},
		"many small steps are a jump": {
			observations: []observation{seenAt(0), {At: epoch.Add(11500 * time.Millisecond), Elapsed: 10 * time.Second, Ready: 2}, {At: epoch.Add(23 * time.Second), Elapsed: 20 * time.Second, Ready: 2}},
			healthy:      10, longest: 10, interrupted: 13, gap: 13,
			reasons: []v1alpha1.SoakReason{v1alpha1.SoakClockMoved},
		},
		"the wall clock gains a second: it isn't healthy time": {
			observations: []observation{seenAt(0), {At: epoch.Add(11 * time.Second), Elapsed: 10 * time.Second, Ready: 2}, {At: epoch.Add(21 * time.Second), Elapsed: 20 * time.Second, Ready: 2}},
			healthy:      20, longest: 20,
		},
		"the wall clock loses a second and gets it back: nothing is lost": {
			observations: []observation{seenAt(0), {At: epoch.Add(9 * time.Second), Elapsed: 10 * time.Second, Ready: 2}, seenAt(20 * time.Second)},
			healthy:      20, longest: 20,
		},
		"an observation of the past adds nothing": {
			observations: []observation{seenAt(0), seenAt(10 * time.Second), seenAt(9 * time.Second), seenAt(10 * time.Second), seenAt(20 * time.Second)},
			healthy:      20, longest: 20,
		},
		"what doesn't run isn't unobserved": {
			observations: []observation{seenAt(0), seenAt(10 * time.Second), because(v1alpha1.SoakNotRunning, 20*time.Second), seenAt(time.Hour), seenAt(time.Hour + 10*time.Second)},
			healthy:      20, longest: 10, interrupted: 3590,
			reasons: []v1alpha1.SoakReason{v1alpha1.SoakNotRunning},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var a account
			for _, o := range test.observations {
				a.observe(o, maxInterval)
			}
			got := []int64{a.Healthy, a.LongestHealthy, a.Interrupted, a.LongestGap}
			if diff := cmp.Diff([]int64{test.healthy, test.longest, test.interrupted, test.gap}, got); diff != "" {
				t.Errorf("healthy, longest, interrupted, gap (-want +got):\n%s", diff)
			}
			var reasons []v1alpha1.SoakReason
			for _, piece := range a.Interruptions {
				reasons = append(reasons, piece.Reason)
			}
			if diff := cmp.Diff(test.reasons, reasons); diff != "" {
				t.Errorf("reasons (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTheListOfInterruptionsIsBoundedAndTheirSumIsKept(t *testing.T) {
	var a account
	a.observe(seenAt(0), maxInterval)
	for i := range 200 {
		at := time.Duration(2*i) * 10 * time.Second
		a.observe(because(v1alpha1.SoakDegraded, at+10*time.Second), maxInterval)
		a.observe(seenAt(at+20*time.Second), maxInterval)
		a.observe(seenAt(at+30*time.Second), maxInterval)
	}
	if len(a.Interruptions) != maxInterruptions {
		t.Errorf("%d interruptions are listed, want %d", len(a.Interruptions), maxInterruptions)
	}
	if whole := int64(a.ObservedAt.Sub(a.StartedAt) / time.Second); a.Healthy+a.Interrupted != whole {
		t.Errorf("%d s healthy and %d s interrupted in a window of %d s", a.Healthy, a.Interrupted, whole)
	}
}

func TestPlatformsHaveTheTimeOfTheirPods(t *testing.T) {
	var a account
	for i, platforms := range [][]string{{"linux/amd64"}, {"linux/amd64", "linux/arm64"}, {"linux/amd64", "linux/arm64"}, {"linux/arm64"}} {
		o := seenAt(time.Duration(i) * 10 * time.Second)
		o.Platforms = platforms
		a.observe(o, maxInterval)
	}
	want := map[string]int64{"linux/amd64": 20, "linux/arm64": 20}
	if diff := cmp.Diff(want, a.Platforms); diff != "" {
		t.Errorf("platforms (-want +got):\n%s", diff)
	}
}

// someObservations draws what an observer may see: jitter, jumps of the clock, restarts
// of the observer (an Elapsed that begins anew is drawn apart from these).
func someObservations(t *rapid.T) []observation {
	var all []observation
	at, elapsed := epoch, time.Duration(0)
	for range rapid.IntRange(1, 60).Draw(t, "observations") {
		step := time.Duration(rapid.Int64Range(0, int64(40*time.Second)).Draw(t, "step"))
		jump := time.Duration(rapid.SampledFrom([]int64{0, 0, 0, 0, 0, 0, int64(time.Second), int64(-time.Second), int64(1900 * time.Millisecond), int64(time.Hour), int64(-time.Minute)}).Draw(t, "jump"))
		at, elapsed = at.Add(step+jump), elapsed+step
		all = append(all, observation{
			At: at, Elapsed: elapsed,
			Reason:   rapid.SampledFrom([]v1alpha1.SoakReason{"", "", "", "", v1alpha1.SoakDegraded, v1alpha1.SoakNotRunning, v1alpha1.SoakUnobserved}).Draw(t, "reason"),
			Dip:      rapid.SampledFrom([]v1alpha1.SoakReason{"", "", "", "", "", v1alpha1.SoakMixedDigests}).Draw(t, "dip"),
			Ready:    rapid.Int32Range(1, 5).Draw(t, "ready"),
			Restarts: rapid.Int32Range(0, 2).Draw(t, "restarts"),
		})
	}
	return all
}

// trulyHealthy is the time, by the clock that nobody can set, of intervals that were
// healthy at both ends and had no bad moment between.
func trulyHealthy(all []observation) time.Duration {
	var sum time.Duration
	for i := 1; i < len(all); i++ {
		before, o := all[i-1], all[i]
		if before.Reason == "" && o.Reason == "" && o.Dip == "" && o.Elapsed-before.Elapsed <= maxInterval {
			sum += o.Elapsed - before.Elapsed
		}
	}
	return sum
}

// neverInvents holds that no more counts than was healthy, and that the window is healthy
// time and interruptions, exactly.
func neverInvents(t *rapid.T) {
	all := someObservations(t)
	var a account
	for _, o := range all {
		a.observe(o, maxInterval)
		if behind := o.At.Sub(a.ObservedAt); a.begun() && a.Reason == "" && behind > 2*clockTolerance+time.Second {
			t.Fatalf("the account is %v behind the wall clock", behind)
		}
	}
	if most := trulyHealthy(all); time.Duration(a.Healthy)*time.Second > most {
		t.Errorf("%d s count, at most %v were healthy", a.Healthy, most)
	}
	if whole := int64(a.ObservedAt.Sub(a.StartedAt) / time.Second); a.Healthy+a.Interrupted != whole {
		t.Errorf("%d s healthy and %d s interrupted in a window of %d s", a.Healthy, a.Interrupted, whole)
	}
}

func TestTimeIsNeverInvented(t *testing.T) { rapid.Check(t, neverInvents) }

// FuzzTimeIsNeverInvented looks for such a history by what it covers.
func FuzzTimeIsNeverInvented(f *testing.F) {
	for seed := range uint64(8) {
		history := make([]byte, 8<<10) // some dozen draws for each of 60 observations
		_, _ = rand.NewChaCha8([32]byte{byte(seed)}).Read(history)
		f.Add(history)
	}
	f.Fuzz(rapid.MakeFuzz(neverInvents))
}

func TestAnObservationThatComesTwiceAddsNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := someObservations(t)
		twice := rapid.IntRange(0, len(all)-1).Draw(t, "twice")
		again := all[twice]
		again.Restarts = 0 // they are counted since the one before
		var once, more account
		for _, o := range all {
			once.observe(o, maxInterval)
		}
		for _, o := range slices.Insert(slices.Clone(all), twice+1, again) {
			more.observe(o, maxInterval)
		}
		if more.Healthy > once.Healthy {
			t.Errorf("%d s count, and %d s when one observation comes twice", once.Healthy, more.Healthy)
		}
	})
}

func TestARestartAtAnyMomentAddsNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := someObservations(t)
		killed := rapid.IntRange(0, len(all)-1).Draw(t, "killed")
		var a, whole account
		for i, o := range all {
			whole.observe(o, maxInterval)
			if i == killed {
				status := v1alpha1.SoakStatus{}
				writeAccount(&a, &status)
				a = readAccount(&status)
			}
			a.observe(o, maxInterval)
		}
		if most := trulyHealthy(all); time.Duration(a.Healthy)*time.Second > most {
			t.Errorf("%d s count after a restart, at most %v were healthy", a.Healthy, most)
		}
		if window := int64(a.ObservedAt.Sub(a.StartedAt) / time.Second); a.Healthy+a.Interrupted != window {
			t.Errorf("%d s healthy and %d s interrupted in a window of %d s", a.Healthy, a.Interrupted, window)
		}
	})
}

// judgeSoak asks the real gate for an hour in staging.
func judgeSoak(soak gate.Soak, digest string, hours int, now time.Time) gate.Verdict {
	g := &v1alpha1.Gate{}
	g.Spec.Environment = "prod"
	g.Spec.Namespaces = []string{"shop"}
	g.Spec.Images = []v1alpha1.GateImage{{Repository: soak.Image.Repository}}
	g.Spec.Signers = []v1alpha1.Signer{{Name: "observer", Time: v1alpha1.TimeTrustSigner}}
	g.Spec.Requires.Soak = &v1alpha1.SoakRequirement{By: []string{"observer"}, Environment: soak.Environment}
	g.Spec.Requires.Soak.Duration.Duration = time.Duration(hours) * time.Hour
	return gate.Decide(gate.Request{
		Gate: g, Image: gate.Image{Repository: soak.Image.Repository, Digest: digest}, Now: now,
		Evidence: []gate.Evidence{{Signer: "observer", PredicateType: gate.PredicateSoak, Soak: &soak}},
	})
}

func TestTheGateFindsWhateverIsMeasuredConsistent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tr := newTrack("shop-staging", v1alpha1.SoakSpec{Environment: "staging", Repository: "registry.example.com/shop/web", Digest: "sha256:" + digits("a")})
		for _, o := range someObservations(t) {
			tr.account.observe(o, maxInterval)
		}
		if !tr.account.begun() || tr.account.ObservedAt.Equal(tr.account.StartedAt) {
			return
		}
		verdict := judgeSoak(tr.statement(false, "uid", v1alpha1.SoakObserver{}), tr.spec.Digest, 1, tr.account.ObservedAt)
		for _, reason := range verdict.Reasons {
			if reason.Code == gate.SoakInconsistent {
				t.Error(reason.Message)
			}
		}
	})
}

func TestAStatementSaysNoMoreThanWasSeen(t *testing.T) {
	tr := newTrack("shop-staging", v1alpha1.SoakSpec{})
	tr.account.observe(seenAt(0), maxInterval)
	raw, err := json.Marshal(tr.statement(true, "uid", v1alpha1.SoakObserver{}))
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(raw, &fields); err != nil {
		t.Fatal(err)
	}
	if source, says := fields["source"]; says {
		t.Errorf("it names a source, which nobody has seen: %v", source)
	}
}

func TestAfterARestartNobodyLooked(t *testing.T) {
	for name, test := range map[string]struct {
		seenUntil time.Duration
		gap       int64
	}{
		"of a digest that had stopped":              {10 * time.Second, 3590},
		"of one that was seen not to run meanwhile": {30 * time.Minute, 1800},
	} {
		t.Run(name, func(t *testing.T) {
			var before account
			before.observe(seenAt(0), maxInterval)
			before.observe(because(v1alpha1.SoakNotRunning, 10*time.Second), maxInterval)
			status := v1alpha1.SoakStatus{}
			writeAccount(&before, &status)
			a := readAccount(&status)
			a.stoppedUntil(epoch.Add(test.seenUntil))
			a.observe(seenAt(time.Hour), maxInterval)
			if a.LongestGap != test.gap || a.Healthy != 0 || a.Interrupted != 3600 {
				t.Errorf("the account is %+v", a)
			}
		})
	}
}

func digits(of string) string {
	s := ""
	for len(s) < 64 {
		s += of
	}
	return s[:64]
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }
