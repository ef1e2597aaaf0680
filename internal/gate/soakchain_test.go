package gate_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/digests"
	"github.com/envladder/envladder/internal/gate"
)

// link is one statement of a window: when it was signed, and the healthy time that it claims,
// both since the window's start.
type link struct {
	signed, healthy time.Duration
}

// signedChain returns the statements of a window that started some time ago, the first of them
// open, as an observer with a timestamping authority signs them. change is called for each
// before it is signed.
func signedChain(id string, ago time.Duration, links []link, change ...func(i int, e *gate.Evidence)) []gate.Evidence {
	start := now.Add(-ago)
	var chain []gate.Evidence
	previous := ""
	for i, l := range links {
		soak := soaked(0)
		soak.Cluster, soak.Namespace, soak.Image.Digest = "uid-of-kube-system", "shop-staging", digest
		soak.Workloads = []gate.Workload{{APIVersion: "apps/v1", Kind: "Deployment", Name: "web", UID: "uid", TemplateDigest: digestOf("template")}}
		soak.Observer = gate.SoakObserver{Version: "v1", Instance: "observer-1"}
		soak.Window = gate.SoakWindow{
			ID: id, Previous: previous, StartedAt: start, MinReady: 2,
			HealthySeconds: int64(l.healthy / time.Second), LongestHealthySeconds: int64(l.healthy / time.Second),
		}
		if i > 0 {
			soak.Window.FinishedAt = new(start.Add(max(l.signed, time.Second)))
		}
		e := gate.Evidence{Signer: "observer", PredicateType: gate.PredicateSoak, Soak: soak, Signed: start.Add(l.signed)}
		for _, c := range change {
			c(i, &e)
		}
		e.Statement = digests.Sum(payloadOf(e))
		e.Source = digestOf("manifest of " + e.Statement)
		chain = append(chain, e)
		previous = e.Statement
	}
	return chain
}

// payloadOf returns the in-toto Statement that is signed.
func payloadOf(e gate.Evidence) []byte {
	raw, err := json.Marshal(map[string]any{
		"_type": "https://in-toto.io/Statement/v1", "predicateType": e.PredicateType, "predicate": e.Soak,
		"subject": []any{map[string]any{"name": repository, "digest": map[string]any{"sha256": strings.TrimPrefix(digest, "sha256:")}}},
	})
	if err != nil {
		panic(err)
	}
	return raw
}

// at returns a change of one statement of a chain.
func at(i int, change func(*gate.Evidence)) func(int, *gate.Evidence) {
	return func(n int, e *gate.Evidence) {
		if n == i {
			change(e)
		}
	}
}

// honest returns the links of a digest that is healthy from the start, with a statement at each
// step.
func honest(until, step time.Duration) []link {
	var links []link
	for at := time.Duration(0); at < until; at += step {
		links = append(links, link{at, at})
	}
	return append(links, link{until, until})
}

// provenByTimestamps returns a request like proven's, whose Gate doesn't trust the observer's
// clock and whose soak is that of the evidence.
func provenByTimestamps(evidence ...gate.Evidence) gate.Request {
	r := proven()
	r.Gate.Spec.Signers = append(r.Gate.Spec.Signers, trusted("second"))
	for _, name := range []string{"observer", "second"} {
		signer := &r.Gate.Spec.Signers[signerAt(&r, name)]
		signer.Time, signer.Timestamp = "", "corp-tsa"
	}
	r.Evidence = slices.Concat(slices.Delete(r.Evidence, theSoak, theSoak+1), evidence)
	return r
}

// chainTest is a case of TestDecideSoakChain.
type chainTest struct {
	evidence []gate.Evidence
	change   func(*gate.Request)
	want     codes
	message  string
}

func chainTests() map[string]chainTest {
	dayLong := func(change ...func(int, *gate.Evidence)) []gate.Evidence {
		return signedChain("w", 25*time.Hour, honest(day, 3*time.Hour), change...)
	}
	withGap := slices.Concat(honest(12*time.Hour, 3*time.Hour), []link{{24 * time.Hour, 24 * time.Hour}, {27 * time.Hour, 27 * time.Hour}, {30 * time.Hour, 30 * time.Hour}, {33 * time.Hour, 33 * time.Hour}, {36 * time.Hour, 36 * time.Hour}})
	renewed := append(honest(day, 3*time.Hour), link{40 * day, 40 * day})
	for after := 3 * time.Hour; after <= day; after += 3 * time.Hour {
		renewed = append(renewed, link{40*day + after, 40*day + after})
	}
	return map[string]chainTest{
		"an honest day":                       {evidence: dayLong()},
		"every second checkpoint missing":     {evidence: signedChain("w", 26*time.Hour, honest(day, 6*time.Hour))},
		"a second less":                       {evidence: signedChain("w", 25*time.Hour, honest(day-time.Second, 3*time.Hour)), want: codes{gate.SoakTooShort}},
		"the last statement alone":            {evidence: dayLong()[8:], want: codes{gate.SoakUnproven}, message: "which is missing"},
		"the start alone":                     {evidence: dayLong()[:1], want: codes{gate.SoakOpen}},
		"a checkpoint left out":               {evidence: slices.Delete(dayLong(), 4, 5), want: codes{gate.SoakUnproven}, message: "has 9h"},
		"stolen key, one statement":           {evidence: signedChain("w", day, []link{{day, day}}, at(0, func(e *gate.Evidence) { e.Soak.Window.FinishedAt = new(now) })), want: codes{gate.SoakUnproven}, message: "names no earlier statement"},
		"stolen key, a start of a minute ago": {evidence: signedChain("w", day, []link{{day - time.Minute, 0}, {day, day}}), want: codes{gate.SoakUnproven}, message: "has 1m"},
		"stolen key, an abandoned start":      {evidence: signedChain("w", day, []link{{0, 0}, {day, day}}), want: codes{gate.SoakUnproven}, message: "has 0s"},
		"stolen key, an abandoned window": {
			evidence: signedChain("w", 40*day, append(honest(12*time.Hour, 3*time.Hour), link{40*day - time.Hour, 23 * time.Hour}, link{40 * day, day})),
			want:     codes{gate.SoakUnproven}, message: "has 1h",
		},
		"stolen key, an old soak with a new end": {
			evidence: signedChain("w", 40*day, append(honest(day, 3*time.Hour), link{40 * day, 40 * day})),
			want:     codes{gate.SoakTooOld},
		},
		"stolen key, many statements in a minute": {
			evidence: signedChain("w", day, []link{{day - time.Minute, 0}, {day - 40*time.Second, 8 * time.Hour}, {day - 20*time.Second, 16 * time.Hour}, {day, day}}),
			want:     codes{gate.SoakUnproven}, message: "has 1m",
		},
		"an honest interruption taken back": {
			evidence: signedChain("w", day+time.Hour, append(honest(12*time.Hour, 3*time.Hour), link{18 * time.Hour, 12 * time.Hour}, link{day, day})),
			want:     codes{gate.SoakUnproven}, message: "has 18h",
		},
		"proven times in another order": {
			evidence: func() []gate.Evidence {
				chain := dayLong()
				chain[3].Signed, chain[4].Signed = chain[4].Signed, chain[3].Signed
				return chain
			}(),
			want: codes{gate.SoakUnproven}, message: "has 9h",
		},
		"the start of another window": {
			evidence: func() []gate.Evidence {
				other := signedChain("v", 25*time.Hour, []link{{0, 0}})
				return append(other, signedChain("w", 25*time.Hour, []link{{0, 0}, {6 * time.Hour, 6 * time.Hour}}, at(1, func(e *gate.Evidence) { e.Soak.Window.Previous = other[0].Statement }))[1])
			}(),
			change: func(r *gate.Request) {
				r.Gate.Spec.Requires.Soak.Duration, r.Gate.Spec.Requires.Soak.CheckpointEvery = asked(6*time.Hour), upTo(6*time.Hour)
			},
			want: codes{gate.SoakUnproven}, message: "which is missing",
		},
		"two windows at once": {
			evidence: append(signedChain("v", 25*time.Hour, honest(12*time.Hour, 3*time.Hour)), signedChain("w", 25*time.Hour, honest(12*time.Hour, 3*time.Hour))...),
			want:     codes{gate.SoakTooShort},
		},
		"a window without an id": {
			evidence: signedChain("", 25*time.Hour, honest(day, 3*time.Hour)),
			want:     codes{gate.SoakUnproven}, message: "names no earlier statement",
		},
		"a start without a proven time": {
			evidence: dayLong(at(0, func(e *gate.Evidence) { e.Signed = time.Time{} })),
			want:     codes{gate.SoakUnproven}, message: "has 21h",
		},
		"an end without a proven time": {
			evidence: dayLong(at(8, func(e *gate.Evidence) { e.Signed = time.Time{} })),
			want:     codes{gate.SoakTooShort}, message: "has 21h",
		},
		"a clock that is ahead": {
			evidence: dayLong(at(8, func(e *gate.Evidence) { e.Soak.Window.FinishedAt = new(now.Add(time.Hour)) }))[7:],
			want:     codes{gate.SoakInconsistent},
		},
		"a clock that is a day behind": {
			evidence: dayLong(func(_ int, e *gate.Evidence) {
				window := &e.Soak.Window
				window.StartedAt = window.StartedAt.Add(-day)
				if window.FinishedAt != nil {
					window.FinishedAt = new(window.FinishedAt.Add(-day))
				}
			}),
		},
		"another workload from the middle on": {
			evidence: dayLong(func(i int, e *gate.Evidence) {
				if i >= 4 {
					e.Soak.Workloads = append(slices.Clone(e.Soak.Workloads), gate.Workload{Kind: "Deployment", Name: "worker", UID: "other"})
				}
			}),
			want: codes{gate.SoakUnproven}, message: "has 21h",
		},
		"a workload removed in the middle": {
			evidence: dayLong(func(i int, e *gate.Evidence) {
				if i < 4 {
					e.Soak.Workloads = append(slices.Clone(e.Soak.Workloads), gate.Workload{Kind: "Deployment", Name: "worker", UID: "other"})
				}
			}),
		},
		"a statement by another signer": {
			evidence: dayLong(at(4, func(e *gate.Evidence) { e.Signer = "ci" })),
			want:     codes{gate.SoakUnproven}, message: "has 9h",
		},
		"a new key from the middle on": {
			evidence: dayLong(func(i int, e *gate.Evidence) {
				if i >= 4 {
					e.Signer = "second"
				}
			}),
			change: func(r *gate.Request) {
				r.Gate.Spec.Requires.Soak.By = []string{"observer", "second"}
			},
			want: codes{gate.SoakUnproven}, message: "has 12h",
		},
		"a new key of the same observer": {
			evidence: dayLong(func(i int, e *gate.Evidence) {
				if i >= 4 {
					e.Signer = "second"
				}
			}),
			change: func(r *gate.Request) {
				r.Gate.Spec.Requires.Soak.By = []string{"observer", "second"}
				r.Gate.Spec.Signers[signerAt(r, "observer")].Person, r.Gate.Spec.Signers[signerAt(r, "second")].Person = "staging", "staging"
			},
		},
		"another cluster's statement": {
			evidence: dayLong(at(4, func(e *gate.Evidence) { e.Soak.Cluster = "other" })),
			want:     codes{gate.SoakUnproven}, message: "has 9h",
		},
		"further apart than the Gate allows": {
			evidence: dayLong(),
			change:   func(r *gate.Request) { r.Gate.Spec.Requires.Soak.CheckpointEvery = upTo(time.Hour) },
			want:     codes{gate.SoakUnproven}, message: "at most 1h apart, has 0s",
		},
		"a gap that isn't needed": {evidence: signedChain("w", 40*time.Hour, withGap)},
		"a gap, where one piece is required": {
			evidence: signedChain("w", 40*time.Hour, withGap),
			change:   func(r *gate.Request) { r.Gate.Spec.Requires.Soak.Contiguous = true },
			want:     codes{gate.SoakUnproven}, message: "has 12h",
		},
		"a renewal after forty days": {evidence: signedChain("w", 42*day, renewed)},
		"one observer of two": {
			evidence: dayLong(),
			change: func(r *gate.Request) {
				r.Gate.Spec.Requires.Soak.Count, r.Gate.Spec.Requires.Soak.By = 2, []string{"observer", "second"}
			},
			want: codes{gate.SoakObservers}, message: "by 2 of",
		},
		"two observers": {
			evidence: append(dayLong(), signedChain("v", 25*time.Hour, honest(day, 3*time.Hour), func(_ int, e *gate.Evidence) { e.Signer = "second" })...),
			change: func(r *gate.Request) {
				r.Gate.Spec.Requires.Soak.Count, r.Gate.Spec.Requires.Soak.By = 2, []string{"observer", "second"}
			},
		},
	}
}

// TestDecideSoakChain holds that no one can prove healthy time faster than it passes, with the
// observer's key in hand. With -update it writes the cases as the test vectors of
// docs/spec/soak-v0.1.md.
func TestDecideSoakChain(t *testing.T) {
	for name, test := range chainTests() {
		t.Run(name, func(t *testing.T) {
			r := provenByTimestamps(test.evidence...)
			if test.change != nil {
				test.change(&r)
			}
			verdict := gate.Decide(r)
			got := codesOf(verdict)
			if verdict.Allowed != (len(test.want) == 0) || !slices.Equal(got, append(codes{}, test.want...)) {
				t.Fatalf("%v, want %v: %+v", got, test.want, verdict.Reasons)
			}
			if test.message != "" && !slices.ContainsFunc(verdict.Reasons, func(reason gate.Reason) bool { return strings.Contains(reason.Message, test.message) }) {
				t.Errorf("no message has %q: %+v", test.message, verdict.Reasons)
			}
			if *update {
				writeVector(t, name, &r, test)
			}
		})
	}
}

func signerAt(r *gate.Request, name string) int {
	return slices.IndexFunc(r.Gate.Spec.Signers, func(s v1alpha1.Signer) bool { return s.Name == name })
}

// TestDecideSoakChainNeedsRealTime holds that any statements whose proven times lie within less
// than the required duration prove too little, whatever they claim.
func TestDecideSoakChainNeedsRealTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var links []link
		signed := time.Duration(0)
		for range rapid.IntRange(1, 12).Draw(t, "statements") {
			apart := rapid.SampledFrom([]time.Duration{0, time.Second, time.Minute, time.Hour, 3 * time.Hour}).Draw(t, "apart")
			signed = min(signed+apart, day-time.Second)
			links = append(links, link{signed, rapid.SampledFrom([]time.Duration{0, time.Hour, day, 2 * day}).Draw(t, "healthy")})
		}
		ago := 3 * day
		evidence := signedChain("w", ago, links)
		// Bundles of one statement with other proven times add nothing either.
		for range rapid.IntRange(0, 4).Draw(t, "twice") {
			again := evidence[rapid.IntRange(0, len(links)-1).Draw(t, "of")]
			again.Signed = now.Add(-ago + rapid.SampledFrom([]time.Duration{0, time.Minute, time.Hour, signed}).Draw(t, "at"))
			again.Source = digestOf(fmt.Sprint("again", len(evidence)))
			evidence = append(evidence, again)
		}
		if gate.Decide(provenByTimestamps(evidence...)).Allowed {
			t.Fatalf("allowed by statements within %s: %v", signed, links)
		}
	})
}
