package gate_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/printable"
)

// Values that are likely to meet each other, and some that break things.
var (
	signerNames  = rapid.SampledFrom([]string{"ci", "observer", "e2e", "ana", "bo", "mallory", ""})
	environments = rapid.SampledFrom([]string{"staging", "prod", "dev", ""})
	ladders      = rapid.SampledFrom([]string{"shop", "blog", ""})
	someDigests  = rapid.SampledFrom([]string{digest, chart, digestOf("other"), "", "v1"})
	suites       = rapid.SampledFrom([]string{"e2e", "load", "unit", ""})
	types        = rapid.SampledFrom([]string{
		gate.PredicateSignature, gate.PredicateSPDX, gate.PredicateCycloneDX,
		gate.PredicateTest, gate.PredicateSoak, gate.PredicateApproval, gate.PredicateProvenance,
		gate.PredicateException, "https://example.com/other", "",
	})
	texts = rapid.SampledFrom([]string{"", "", "", "junk", "\x1b[2J\n", "\xff"})
)

func seconds() *rapid.Generator[int64] {
	return rapid.OneOf(
		rapid.SampledFrom([]int64{0, 3600, 24 * 3600, 24*3600 - 1, 1 << 62, -1}),
		rapid.Int64(),
	)
}

func times() *rapid.Generator[time.Time] {
	return rapid.Custom(func(t *rapid.T) time.Time {
		return rapid.OneOf(
			rapid.Custom(func(t *rapid.T) time.Time {
				return now.Add(time.Duration(rapid.IntRange(-2000, 100).Draw(t, "hours")) * time.Hour)
			}),
			rapid.SampledFrom([]time.Time{{}, now, time.Unix(-1<<60, 0), time.Unix(1<<60, 0)}),
		).Draw(t, "time")
	})
}

func maybe[T any](g *rapid.Generator[T]) *rapid.Generator[*T] { return rapid.Ptr(g, true) }

func soaks() *rapid.Generator[gate.Soak] {
	return rapid.Custom(func(t *rapid.T) gate.Soak {
		s := *soaked(24 * 3600)
		if rapid.Bool().Draw(t, "proven") {
			return s
		}
		s.Cluster = rapid.SampledFrom([]string{"here", "here", "there", ""}).Draw(t, "cluster")
		s.Namespace = rapid.SampledFrom([]string{"shop", "shop", "blog", ""}).Draw(t, "namespace")
		s.FirstSeenAt = maybe(times()).Draw(t, "firstSeenAt")
		s.Ladder, s.Environment = ladders.Draw(t, "ladder"), environments.Draw(t, "environment")
		s.Image.Repository = rapid.SampledFrom([]string{repository, "registry.example.com/blog/web", ""}).Draw(t, "repository")
		s.Image.Platforms = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) gate.SoakPlatform {
			return gate.SoakPlatform{Digest: someDigests.Draw(t, "child"), HealthySeconds: seconds().Draw(t, "seconds")}
		}), 0, 2).Draw(t, "platforms")
		s.Image.Digest = rapid.SampledFrom([]string{"", digest, digestOf("index")}).Draw(t, "named")
		s.Chart.Digest = someDigests.Draw(t, "chart")
		s.Window = gate.SoakWindow{
			StartedAt: times().Draw(t, "startedAt"), FinishedAt: maybe(times()).Draw(t, "finishedAt"),
			HealthySeconds: seconds().Draw(t, "healthy"), LongestHealthySeconds: seconds().Draw(t, "longest"),
			LongestGapSeconds: seconds().Draw(t, "gap"), InterruptedSeconds: seconds().Draw(t, "interrupted"),
			MinReady: rapid.Int32().Draw(t, "minReady"), Restarts: rapid.Int32().Draw(t, "restarts"),
			Interruptions: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) gate.Interruption {
				return gate.Interruption{From: times().Draw(t, "from"), To: times().Draw(t, "to"), Reason: texts.Draw(t, "reason")}
			}), 0, 2).Draw(t, "interruptions"),
		}
		return s
	})
}

func results() *rapid.Generator[gate.Test] {
	return rapid.Custom(func(t *rapid.T) gate.Test {
		names := rapid.SliceOfN(texts, 0, 2)
		return gate.Test{
			Result:        rapid.SampledFrom([]string{"PASSED", "PASSED", "WARNED", "FAILED", ""}).Draw(t, "result"),
			Configuration: []gate.TestConfiguration{{Name: suites.Draw(t, "suite")}},
			PassedTests:   names.Draw(t, "passed"), FailedTests: names.Draw(t, "failed"),
			FinishedAt: maybe(times()).Draw(t, "finishedAt"),
		}
	})
}

func approvals() *rapid.Generator[gate.Approval] {
	return rapid.Custom(func(t *rapid.T) gate.Approval {
		return gate.Approval{
			Ladder: ladders.Draw(t, "ladder"), Environment: environments.Draw(t, "environment"),
			ApprovedAt: maybe(times()).Draw(t, "approvedAt"), ExpiresAt: maybe(times()).Draw(t, "expiresAt"),
		}
	})
}

func provenances() *rapid.Generator[gate.Provenance] {
	return rapid.Custom(func(t *rapid.T) gate.Provenance {
		return *built(
			rapid.SampledFrom([]string{builder, "https://example.com/laptop", ""}).Draw(t, "builder"),
			rapid.SampledFrom([]string{sourceURI, "git+https://github.com/evil/shop@refs/heads/main", "junk"}).Draw(t, "uri"),
		)
	})
}

func permissions() *rapid.Generator[gate.Permission] {
	return rapid.Custom(func(t *rapid.T) gate.Permission {
		return gate.Permission{
			Namespace: rapid.SampledFrom([]string{"shop", "shop", "blog", ""}).Draw(t, "namespace"),
			ExpiresAt: maybe(times()).Draw(t, "expiresAt"),
		}
	})
}

// exceptions are in the cluster, whatever evidence says.
func exceptions() *rapid.Generator[gate.Exception] {
	return rapid.Custom(func(t *rapid.T) gate.Exception {
		x := exception("x", rapid.SampledFrom([][]string{{"ana", "bo"}, {"ana", "bo", "ci"}, {"ana"}, {"ci", "e2e"}, nil}).Draw(t, "by")...)
		if rapid.Bool().Draw(t, "other") {
			x.Spec.Digest = someDigests.Draw(t, "digest")
			x.Spec.ExpiresAt = metav1.NewTime(times().Draw(t, "end"))
			x.Evidence = append(x.Evidence, evidence().Draw(t, "junk"))
		}
		return x
	})
}

// evidence returns any evidence, including some whose content doesn't fit its type.
func evidence() *rapid.Generator[gate.Evidence] {
	return rapid.Custom(func(t *rapid.T) gate.Evidence {
		return gate.Evidence{
			Signer: signerNames.Draw(t, "signer"), Identity: texts.Draw(t, "identity"), Key: texts.Draw(t, "key"),
			Signed:        *rapid.OneOf(rapid.Just(&time.Time{}), rapid.Ptr(times(), false)).Draw(t, "signed"),
			PredicateType: types.Draw(t, "type"), Malformed: texts.Draw(t, "malformed"),
			Source: someDigests.Draw(t, "source"),
			Soak:   maybe(soaks()).Draw(t, "soak"), Test: maybe(results()).Draw(t, "test"),
			Approval:   maybe(approvals()).Draw(t, "approval"),
			Provenance: maybe(provenances()).Draw(t, "provenance"),
			Permission: maybe(permissions()).Draw(t, "permission"),
		}
	})
}

// requests are near to proven ones, so that many are allowed.
func requests() *rapid.Generator[gate.Request] {
	return rapid.Custom(func(t *rapid.T) gate.Request {
		r := proven()
		kept := r.Evidence[:0:0]
		for i, e := range r.Evidence {
			if !rapid.SampledFrom([]bool{false, false, false, false, false, true}).Draw(t, fmt.Sprint("drop", i)) {
				kept = append(kept, e)
			}
		}
		r.Evidence = append(kept, rapid.SliceOfN(evidence(), 0, 4).Draw(t, "evidence")...)
		r.Rescheduled = rapid.Bool().Draw(t, "rescheduled")
		r.Exceptions = rapid.SliceOfN(exceptions(), 0, 2).Draw(t, "exceptions")
		switch rapid.SampledFrom([]string{"", "of anything", "of this"}).Draw(t, "provenHere") {
		case "of anything":
			r.Cluster = rapid.SampledFrom([]string{"here", ""}).Draw(t, "cluster")
			r.Gate.Spec.ProvenHere = &v1alpha1.ProvenHere{By: []string{"observer"}, Duration: asked(time.Hour)}
		case "of this":
			q := proven()
			provenHere(func(*gate.Soak) {})(&q)
			r.Cluster, r.Gate.Spec.ProvenHere = q.Cluster, q.Gate.Spec.ProvenHere
			r.Evidence = append(q.Evidence, rapid.SliceOfN(evidence(), 0, 3).Draw(t, "more")...)
		}
		if rapid.Bool().Draw(t, "ending") {
			r.Gate.Spec.Signers[1].NotAfter = new(metav1.NewTime(times().Draw(t, "notAfter")))
		}
		needs := &r.Gate.Spec.Requires
		needs.Soak.Contiguous = rapid.SampledFrom([]bool{false, false, true}).Draw(t, "contiguous")
		needs.Approvals.Count = rapid.SampledFrom([]int32{0, 1, 1, 2}).Draw(t, "count")
		if rapid.Bool().Draw(t, "anyAge") {
			needs.Soak.MaxAge, needs.Tests[1].MaxAge, needs.Approvals.MaxAge = nil, nil, nil
		}
		return r
	})
}

func TestDecideMoreEvidenceNeverDenies(t *testing.T) {
	allowed := 0
	rapid.Check(t, func(t *rapid.T) {
		r := requests().Draw(t, "request")
		before := gate.Decide(r)
		r.Evidence = slices.Insert(slices.Clone(r.Evidence),
			rapid.IntRange(0, len(r.Evidence)).Draw(t, "place"), evidence().Draw(t, "more"))
		if after := gate.Decide(r); before.Allowed && !after.Allowed {
			t.Fatalf("more evidence denies: %+v", after.Reasons)
		}
		if before.Allowed {
			allowed++
		}
	})
	if allowed == 0 {
		t.Error("no request was allowed: this has shown nothing")
	}
}

func TestDecideMoreExceptionSignaturesNeverDeny(t *testing.T) {
	allowed := 0
	rapid.Check(t, func(t *rapid.T) {
		r := requests().Draw(t, "request")
		r.Evidence, r.Exceptions = nil, append(r.Exceptions, exceptions().Draw(t, "exception"))
		before := gate.Decide(r)
		r.Exceptions = slices.Clone(r.Exceptions)
		i := rapid.IntRange(0, len(r.Exceptions)-1).Draw(t, "which")
		r.Exceptions[i].Evidence = append(slices.Clone(r.Exceptions[i].Evidence), evidence().Draw(t, "more"))
		if after := gate.Decide(r); before.Allowed && !after.Allowed {
			t.Fatalf("another signature denies: %+v", after.Reasons)
		}
		if before.Allowed {
			allowed++
			if before.Exception == nil {
				t.Fatal("allowed without a word about the exception")
			}
		}
	})
	if allowed == 0 {
		t.Error("no request was allowed: this has shown nothing")
	}
}

func TestDecideLessEvidenceNeverAllows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := requests().Draw(t, "request")
		before := gate.Decide(r)
		r.Evidence = slices.DeleteFunc(slices.Clone(r.Evidence), func(gate.Evidence) bool { return rapid.Bool().Draw(t, "drop") })
		if after := gate.Decide(r); !before.Allowed && after.Allowed {
			t.Fatalf("less evidence allows what was denied: %+v", before.Reasons)
		}
	})
}

func TestDecideIgnoresOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := requests().Draw(t, "request")
		before := gate.Decide(r)
		r.Evidence = rapid.Permutation(r.Evidence).Draw(t, "order")
		if diff := cmp.Diff(before, gate.Decide(r)); diff != "" {
			t.Fatalf("another order, another verdict:\n%s", diff)
		}
	})
}

func TestDecideRecallAlwaysDenies(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := requests().Draw(t, "request")
		r.Recalls = []v1alpha1.Recall{recallOf(r.Image.Digest)}
		if v := gate.Decide(r); !slices.Contains(codesOf(v), gate.Recalled) {
			t.Fatalf("allowed %v: %+v", v.Allowed, v.Reasons)
		}
	})
}

func TestDecideRunningIsNeverDeniedMore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := requests().Draw(t, "request")
		r.Rescheduled = false
		fresh := gate.Decide(r)
		r.Rescheduled = true
		if again := gate.Decide(r); fresh.Allowed && !again.Allowed {
			t.Fatalf("denied when rescheduled: %+v", again.Reasons)
		}
	})
}

func TestDecideCountsSoaksSeparately(t *testing.T) {
	// Any one qualifying soak suffices, and no two make one together.
	rapid.Check(t, func(t *rapid.T) {
		r := proven()
		others := slices.Delete(slices.Clone(r.Evidence), theSoak, theSoak+1)
		candidates := rapid.SliceOfN(soaks(), 1, 3).Draw(t, "soaks")
		one := false
		for i := range candidates {
			r.Evidence = append(slices.Clone(others), soakBy("observer", &candidates[i]))
			one = one || gate.Decide(r).Allowed
		}
		r.Evidence = others
		for i := range candidates {
			r.Evidence = append(r.Evidence, soakBy("observer", &candidates[i]))
		}
		if all := gate.Decide(r); all.Allowed != one {
			t.Fatalf("together %v, one of them %v", all.Allowed, one)
		}
	})
}

func soakBy(signer string, s *gate.Soak) gate.Evidence {
	return gate.Evidence{Signer: signer, PredicateType: gate.PredicateSoak, Soak: s}
}

func TestDecideUnsupportedFieldAlwaysDenies(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := requests().Draw(t, "request")
		r.Unknown = []string{texts.Draw(t, "path")}
		if v := gate.Decide(r); v.Allowed || !slices.Contains(codesOf(v), gate.Unsupported) {
			t.Fatalf("allowed %v: %+v", v.Allowed, v.Reasons)
		}
	})
}

// TestDecideNeverPanics throws anything at Decide, Gates that no API server would take too.
func TestDecideNeverPanics(t *testing.T) {
	gates := rapid.Make[v1alpha1.GateSpec]()
	rapid.Check(t, func(t *rapid.T) {
		r := requests().Draw(t, "request")
		r.Gate.Spec = gates.Draw(t, "gate")
		r.Image = rapid.Make[gate.Image]().Draw(t, "image")
		r.Now = times().Draw(t, "now")
		v := gate.Decide(r)
		if v.Allowed != (len(v.Reasons) == 0) {
			t.Fatalf("allowed %v with %+v", v.Allowed, v.Reasons)
		}
		for _, reason := range v.Reasons {
			if reason.Message != printable.Line(reason.Message, 2000) || len([]rune(reason.Message)) > 1024 {
				t.Fatalf("message %q", reason.Message)
			}
		}
	})
}
