package gate_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
)

var update = flag.Bool("update", false, "write the golden files")

type codes = []gate.Code

// without drops one piece of proven's evidence.
func without(place int) func(*gate.Request) {
	return func(r *gate.Request) { r.Evidence = slices.Delete(r.Evidence, place, place+1) }
}

func window(change func(*gate.SoakWindow)) func(*gate.Request) {
	return func(r *gate.Request) { change(&r.Evidence[theSoak].Soak.Window) }
}

func soak(change func(*gate.Soak)) func(*gate.Request) {
	return func(r *gate.Request) { change(r.Evidence[theSoak].Soak) }
}

// verdicts are what changes of a proven request lead to.
var verdicts = []struct {
	name   string
	change func(*gate.Request)
	want   codes
}{
	{"without Gate", func(r *gate.Request) { r.Gate = nil }, codes{gate.NoGate}},
	{"without evidence", func(r *gate.Request) { r.Evidence = nil }, codes{gate.NoApproval, gate.NoProvenance, gate.NoSBOM, gate.NoSignature, gate.NoSoak, gate.NoTest, gate.NoTest}},
	{"without signature", without(theSignature), codes{gate.NoSignature}},
	{"without SBOM", without(theSBOM), codes{gate.NoSBOM}},
	{"without soak", without(theSoak), codes{gate.NoSoak}},
	{"without one of two suites", without(theE2E), codes{gate.NoTest}},
	{"without approval", without(theApproval), codes{gate.NoApproval}},
	{"without the time of day", func(r *gate.Request) { r.Now = time.Time{} }, codes{gate.FromFuture, gate.FromFuture, gate.FromFuture, gate.InternalError, gate.NoApproval}},
	{"a tag", func(r *gate.Request) { r.Image.Digest = "v1" }, codes{gate.NoDigest}},
	{"an image that the Gate doesn't list", func(r *gate.Request) { r.Image.Repository = "registry.example.com/evil/web" }, codes{gate.UnknownImage}},

	// Signers.
	{"an SBOM in a version of SPDX", func(r *gate.Request) { r.Evidence[theSBOM].PredicateType = gate.PredicateSPDX + "/v2.3" }, nil},
	{"an SBOM in CycloneDX", func(r *gate.Request) { r.Evidence[theSBOM].PredicateType = gate.PredicateCycloneDX }, nil},
	{"a type that only begins like an SBOM's", func(r *gate.Request) { r.Evidence[theSBOM].PredicateType = gate.PredicateSPDX + "ary" }, codes{gate.NoSBOM}},
	{"a signature by the observer", func(r *gate.Request) { r.Evidence[theSignature].Signer = "observer" }, codes{gate.NoSignature, gate.WrongSigner}},
	{"a soak by CI", func(r *gate.Request) { r.Evidence[theSoak].Signer = "ci" }, codes{gate.NoSoak, gate.WrongSigner}},
	{"a signer that the Gate doesn't have", func(r *gate.Request) { r.Evidence[theSoak].Signer = "mallory" }, codes{gate.NoSoak, gate.WrongSigner}},
	{"a soak as the build's signature", func(r *gate.Request) { r.Evidence[theSignature].PredicateType = gate.PredicateSoak }, codes{gate.NoSignature}},
	{"a soak that can't be read", func(r *gate.Request) {
		r.Evidence[theSoak].Soak, r.Evidence[theSoak].Malformed = nil, "invalid\x1b[31m character"
	}, codes{gate.NoSoak, gate.Undecodable}},
	{"a soak without content", func(r *gate.Request) { r.Evidence[theSoak].Soak = nil }, codes{gate.NoSoak}},
	{"a signature by the observer that is malformed", func(r *gate.Request) {
		r.Evidence[theSignature].Signer, r.Evidence[theSignature].Malformed = "observer", "no"
	}, codes{gate.NoSignature}},
	{"a signature that is malformed", func(r *gate.Request) { r.Evidence[theSignature].Malformed = "no" }, codes{gate.NoSignature, gate.Undecodable}},

	// How long a soak was.
	{"a soak of one second less", window(func(w *gate.SoakWindow) { w.HealthySeconds-- }), codes{gate.SoakTooShort}},
	{"a soak of six hours", window(func(w *gate.SoakWindow) { w.HealthySeconds, w.LongestHealthySeconds = 6*3600+12*60, 3600 }), codes{gate.SoakTooShort}},
	{"a duration with a fraction", func(r *gate.Request) { r.Gate.Spec.Requires.Soak.Duration = asked(day + time.Nanosecond) }, codes{gate.SoakTooShort}},
	{"not in one piece", func(r *gate.Request) { r.Gate.Spec.Requires.Soak.Contiguous = true }, codes{gate.SoakTooShort}},
	{"in one piece", func(r *gate.Request) {
		r.Gate.Spec.Requires.Soak.Contiguous = true
		r.Gate.Spec.Requires.Soak.Duration = asked(12 * time.Hour)
	}, nil},
	{"time without a readiness probe", window(func(w *gate.SoakWindow) {
		w.HealthySeconds, w.LongestHealthySeconds, w.Interruptions[0].Reason = 0, 0, gate.InterruptedNoReadinessProbe
	}), codes{gate.NoReadinessProbe, gate.SoakTooShort}},
	{"another platform's child that soaked less", soak(func(s *gate.Soak) {
		s.Image.Platforms = []gate.SoakPlatform{{Platform: "linux/arm64", Digest: digest, HealthySeconds: 60}}
	}), codes{gate.SoakTooShort}},
	{"an index whose child soaked less", soak(func(s *gate.Soak) {
		s.Image.Digest = digest
		s.Image.Platforms = []gate.SoakPlatform{{Platform: "linux/arm64", Digest: digestOf("child"), HealthySeconds: 60}}
	}), codes{gate.SoakPlatforms}},
	{"a child of an index that ran, but not this child", soak(func(s *gate.Soak) {
		s.Image.Digest = digestOf("index")
		s.Image.Platforms = []gate.SoakPlatform{{Platform: "linux/arm64", Digest: digestOf("child"), HealthySeconds: 24 * 3600}}
	}), codes{gate.SoakTooShort}},
	{"a soak that pods named otherwise, and no platforms", soak(func(s *gate.Soak) {
		s.Image.Digest = digestOf("index")
	}), codes{gate.SoakTooShort}},
	{"an image without platforms that pods named", soak(func(s *gate.Soak) { s.Image.Digest = digest }), nil},
	{"a soak that doesn't say what pods named, of other platforms", soak(func(s *gate.Soak) {
		s.Image.Platforms = []gate.SoakPlatform{{Platform: "linux/arm64", Digest: digestOf("child"), HealthySeconds: 24 * 3600}}
	}), codes{gate.SoakTooShort}},
	{"a child that soaked for longer, but not in one piece", func(r *gate.Request) {
		r.Gate.Spec.Requires.Soak.Contiguous = true
		r.Evidence[theSoak].Soak.Image.Platforms = []gate.SoakPlatform{{Digest: digest, HealthySeconds: 24 * 3600}}
	}, codes{gate.SoakTooShort}},
	{"a soak that has only begun", window(func(w *gate.SoakWindow) { w.FinishedAt = nil }), codes{gate.SoakOpen}},

	{"one statement with a proven time of now, by a signer whose clock isn't trusted", func(r *gate.Request) {
		observer := &r.Gate.Spec.Signers[signerAt(r, "observer")]
		observer.Time, observer.Timestamp = "", "corp-tsa"
		r.Evidence[theSoak].Signed = r.Now
	}, codes{gate.SoakUnproven}},
	{"a soak by one of two observers", func(r *gate.Request) {
		r.Gate.Spec.Requires.Soak.Count, r.Gate.Spec.Requires.Soak.By = 2, []string{"observer", "bo"}
	}, codes{gate.SoakObservers}},
	{"a soak by both observers", func(r *gate.Request) {
		r.Gate.Spec.Requires.Soak.Count, r.Gate.Spec.Requires.Soak.By = 2, []string{"observer", "bo"}
		second := r.Evidence[theSoak]
		second.Signer, second.Source = "bo", digestOf("second")
		r.Evidence = append(r.Evidence, second)
	}, nil},

	// How old.
	{"a soak of a second too old", window(func(w *gate.SoakWindow) { older(w, 30*day-time.Hour+time.Second) }), codes{gate.SoakTooOld}},
	{"a soak just young enough", window(func(w *gate.SoakWindow) { older(w, 30*day-time.Hour) }), nil},
	{"a soak too old, and nothing asks how old", func(r *gate.Request) {
		older(&r.Evidence[theSoak].Soak.Window, 300*day)
		r.Gate.Spec.Requires.Soak.MaxAge = nil
	}, nil},
	{"a soak too old of what runs already", func(r *gate.Request) {
		older(&r.Evidence[theSoak].Soak.Window, 300*day)
		r.Rescheduled = true
	}, nil},
	{"a soak too short of what runs already", func(r *gate.Request) {
		r.Evidence[theSoak].Soak.Window.HealthySeconds--
		r.Rescheduled = true
	}, codes{gate.SoakTooShort}},
	{"a soak that ends in a minute", window(func(w *gate.SoakWindow) { older(w, -time.Hour-time.Minute) }), nil},
	{"a soak that ends in more than a minute", window(func(w *gate.SoakWindow) { older(w, -time.Hour-time.Minute-time.Second) }), codes{gate.FromFuture}},
	{"a proven time that is younger than the claim", func(r *gate.Request) {
		older(&r.Evidence[theSoak].Soak.Window, 40*day)
		r.Evidence[theSoak].Signed = now
	}, codes{gate.SoakTooOld}},
	{"a proven time that is before the window's end", func(r *gate.Request) { r.Evidence[theSoak].Signed = now.Add(-2 * time.Hour) }, codes{gate.SoakInconsistent}},
	{"a test without time where it isn't asked", func(r *gate.Request) { r.Evidence[theE2E].Test.FinishedAt = nil }, nil},
	{"a test without time where it is asked", func(r *gate.Request) { r.Evidence[theLoad].Test.FinishedAt = nil }, codes{gate.NoTrustedTime}},
	{"a test without time, but of a proven one", func(r *gate.Request) {
		r.Evidence[theLoad].Test.FinishedAt, r.Evidence[theLoad].Signed = nil, now.Add(-7*day)
	}, nil},
	{"a test of a second too old", func(r *gate.Request) { r.Evidence[theLoad].Test.FinishedAt = new(now.Add(-7*day - time.Second)) }, codes{gate.TestTooOld}},
	{"a test too old of what runs already", func(r *gate.Request) {
		r.Evidence[theLoad].Test.FinishedAt, r.Rescheduled = new(now.Add(-70*day)), true
	}, nil},
	{"a test of tomorrow", func(r *gate.Request) { r.Evidence[theLoad].Test.FinishedAt = new(now.Add(day)) }, codes{gate.FromFuture}},
	{"a test of which only the signing is proven to be old", func(r *gate.Request) { r.Evidence[theLoad].Signed = now.Add(-8 * day) }, codes{gate.TestTooOld}},
	{"an approval of a second too old", func(r *gate.Request) {
		r.Evidence[theApproval].Approval.ApprovedAt = new(now.Add(-7*day - time.Second))
	}, codes{gate.ApprovalTooOld, gate.NoApproval}},
	{"an approval too old of what runs already", func(r *gate.Request) {
		r.Evidence[theApproval].Approval.ApprovedAt, r.Rescheduled = new(now.Add(-70*day)), true
	}, nil},
	{"an approval without time where it is asked", func(r *gate.Request) { r.Evidence[theApproval].Approval.ApprovedAt = nil }, codes{gate.NoApproval, gate.NoTrustedTime}},
	{"an approval that ends now", func(r *gate.Request) { r.Evidence[theApproval].Approval.ExpiresAt = new(now) }, codes{gate.ApprovalExpired, gate.NoApproval}},
	{"an approval that has ended, of what runs already", func(r *gate.Request) {
		r.Evidence[theApproval].Approval.ExpiresAt, r.Rescheduled = new(now), true
	}, nil},
	{"an approval without end", func(r *gate.Request) { r.Evidence[theApproval].Approval.ExpiresAt = nil }, nil},

	// A soak's other figures.
	{"a gap of a second too long", window(func(w *gate.SoakWindow) { w.LongestGapSeconds++ }), codes{gate.SoakGap}},
	{"a restart too many", window(func(w *gate.SoakWindow) { w.Restarts++ }), codes{gate.SoakRestarts}},
	{"a pod too few", window(func(w *gate.SoakWindow) { w.MinReady-- }), codes{gate.SoakFewPods}},
	{"all wrong at once", func(r *gate.Request) {
		w := &r.Evidence[theSoak].Soak.Window
		older(w, 300*day)
		w.HealthySeconds, w.LongestHealthySeconds, w.LongestGapSeconds, w.Restarts, w.MinReady = 60, 60, 3600, 100, 0
	}, codes{gate.SoakFewPods, gate.SoakGap, gate.SoakRestarts, gate.SoakTooOld, gate.SoakTooShort}},

	// Where it soaked.
	{"a soak of another environment", soak(func(s *gate.Soak) { s.Environment = "dev" }), codes{gate.OtherEnvironment}},
	{"a soak of another ladder", soak(func(s *gate.Soak) { s.Ladder = "blog" }), codes{gate.OtherLadder}},
	{"a soak of another repository, of the ladder that is pinned", soak(func(s *gate.Soak) { s.Image.Repository = "registry.example.com/shop/dev" }), nil},
	{"a soak of another repository, and no ladder is pinned", func(r *gate.Request) {
		r.Image.Ladder = ""
		r.Evidence[theSoak].Soak.Image.Repository = "registry.example.com/blog/web"
	}, codes{gate.OtherRepository}},
	{"a soak of this repository, and no ladder is pinned", func(r *gate.Request) {
		r.Image.Ladder = ""
		r.Evidence[theSoak].Soak.Ladder = "blog"
	}, nil},
	{"another chart", soak(func(s *gate.Soak) { s.Chart.Digest = digestOf("other") }), codes{gate.OtherChart}},
	{"a soak of no known chart", soak(func(s *gate.Soak) { s.Chart.Digest = "" }), codes{gate.OtherChart}},
	{"an object of no known chart", func(r *gate.Request) { r.Stamps.ChartDigest = "" }, codes{gate.OtherChart}},
	{"another chart, and nothing asks for it", func(r *gate.Request) {
		r.Stamps.ChartDigest = ""
		r.Gate.Spec.Requires.Soak.Chart = ""
	}, nil},

	// Figures that contradict each other.
	{"more healthy time than the window has", window(func(w *gate.SoakWindow) { w.HealthySeconds++ }), codes{gate.SoakInconsistent}},
	{"more healthy time than a cut list of interruptions leaves", window(func(w *gate.SoakWindow) { w.Interruptions, w.InterruptedSeconds = nil, 3601 }), codes{gate.SoakInconsistent}},
	{"more healthy time than the list of interruptions leaves", window(func(w *gate.SoakWindow) {
		w.Interruptions[0].To, w.InterruptedSeconds = w.Interruptions[0].To.Add(time.Second), 0
	}), codes{gate.SoakInconsistent}},
	{"so much healthy time that it overflows", window(func(w *gate.SoakWindow) { w.HealthySeconds = 1<<63 - 1 }), codes{gate.SoakInconsistent}},
	{"so much healthy time that its nanoseconds overflow to enough", window(func(w *gate.SoakWindow) { w.HealthySeconds = 1<<63/1_000_000_000 + day.Nanoseconds() }), codes{gate.SoakInconsistent}},
	{"so many interruptions that they overflow", window(func(w *gate.SoakWindow) { w.InterruptedSeconds = 1<<63 - 1 }), codes{gate.SoakInconsistent}},
	{"interruptions that are longer than the window together", window(func(w *gate.SoakWindow) {
		piece := gate.Interruption{From: w.StartedAt, To: *w.FinishedAt}
		w.Interruptions = []gate.Interruption{piece, piece}
	}), codes{gate.SoakInconsistent}},
	{"an interruption outside the window", window(func(w *gate.SoakWindow) { w.Interruptions[0].From = w.StartedAt.Add(-time.Second) }), codes{gate.SoakInconsistent}},
	{"an interruption backwards", window(func(w *gate.SoakWindow) { w.Interruptions[0].To = w.Interruptions[0].From.Add(-1) }), codes{gate.SoakInconsistent}},
	{"a window that ends before it begins", window(func(w *gate.SoakWindow) { w.FinishedAt = new(w.StartedAt.Add(-time.Second)) }), codes{gate.SoakInconsistent}},
	{"a window without beginning", window(func(w *gate.SoakWindow) { w.StartedAt = time.Time{} }), codes{gate.SoakInconsistent}},
	{"a window of a thousand years", window(func(w *gate.SoakWindow) { w.StartedAt = now.AddDate(-1000, 0, 0) }), nil},
	{"a piece that is longer than the whole", window(func(w *gate.SoakWindow) { w.LongestHealthySeconds = w.HealthySeconds + 1 }), codes{gate.SoakInconsistent}},
	{"a gap that is longer than the window", window(func(w *gate.SoakWindow) { w.LongestGapSeconds = 25*3600 + 1 }), codes{gate.SoakInconsistent}},
	{"negative restarts", window(func(w *gate.SoakWindow) { w.Restarts = -1 }), codes{gate.SoakInconsistent}},
	{"negative interruptions", window(func(w *gate.SoakWindow) { w.InterruptedSeconds = -1 }), codes{gate.SoakInconsistent}},
	{"a platform with more time than there was", soak(func(s *gate.Soak) {
		s.Image.Platforms = []gate.SoakPlatform{{Digest: digestOf("child"), HealthySeconds: 1 << 62}}
	}), codes{gate.SoakInconsistent}},

	{"a platform with negative time", soak(func(s *gate.Soak) {
		s.Image.Platforms = []gate.SoakPlatform{{Digest: digestOf("child"), HealthySeconds: -1}}
	}), codes{gate.SoakInconsistent}},

	// Which soak is reported.
	{"a soak with one problem is nearer than a longer one with two", func(r *gate.Request) {
		r.Gate.Spec.Requires.Soak.Duration = asked(time.Hour)
		far := short(24 * 3600)
		far.Soak.Window.Restarts, far.Soak.Window.LongestGapSeconds = 4, 301
		r.Evidence[theSoak] = short(12 * 3600)
		r.Evidence[theSoak].Soak.Window.Restarts = 4
		r.Evidence = append(r.Evidence, far)
	}, codes{gate.SoakRestarts}},
	{"one soak of two is enough", func(r *gate.Request) { r.Evidence = append(r.Evidence, short(60)) }, nil},
	{"of two short soaks the longer one is reported", func(r *gate.Request) {
		r.Evidence[theSoak].Soak.Window.HealthySeconds--
		r.Evidence = append(r.Evidence, short(60))
	}, codes{gate.SoakTooShort}},
	{"a short soak here is nearer than a long one elsewhere", func(r *gate.Request) {
		r.Evidence[theSoak].Soak.Environment = "dev"
		r.Evidence = append(r.Evidence, short(60))
	}, codes{gate.SoakTooShort}},
	{"junk doesn't hide what is nearest", func(r *gate.Request) {
		r.Evidence[theSoak].Soak.Window.HealthySeconds--
		for i := range 1000 {
			junk := r.Evidence[theSoak]
			junk.Soak, junk.Malformed, junk.Source = nil, "junk", fmt.Sprint(i)
			r.Evidence = append(r.Evidence, junk)
		}
	}, codes{gate.SoakTooShort}},
	{"only the first of much junk is named", func(r *gate.Request) {
		junk := r.Evidence[theSoak]
		r.Evidence = slices.Delete(r.Evidence, theSoak, theSoak+1)
		for i := range 1000 {
			junk.Soak, junk.Malformed, junk.Source = nil, "junk", fmt.Sprint(i)
			r.Evidence = append(r.Evidence, junk)
		}
	}, codes{gate.NoSoak, gate.Undecodable, gate.Undecodable, gate.Undecodable}},

	// Tests.
	{"a failed test", func(r *gate.Request) { r.Evidence[theE2E].Test.FailedTests = []string{"pay\x1b[2J"} }, codes{gate.TestFailed}},
	{"a result that is FAILED, without failed tests", func(r *gate.Request) { r.Evidence[theE2E].Test.Result = "FAILED" }, codes{gate.TestFailed}},
	{"no result", func(r *gate.Request) { r.Evidence[theE2E].Test.Result = "" }, codes{gate.TestFailed}},
	{"a result of nothing", func(r *gate.Request) { r.Evidence[theE2E].Test.PassedTests = nil }, codes{gate.TestEmpty}},
	{"warnings", func(r *gate.Request) {
		test := r.Evidence[theE2E].Test
		test.Result, test.WarnedTests, test.PassedTests = "WARNED", test.PassedTests, nil
	}, nil},
	{"a suite that failed and passed again", func(r *gate.Request) {
		failed := r.Evidence[theE2E]
		failed.Test = passed("e2e")
		failed.Test.FailedTests = []string{"pay"}
		r.Evidence = append(r.Evidence, failed)
	}, nil},
	{"another suite", func(r *gate.Request) { r.Evidence[theE2E].Test.Configuration[0].Name = "unit" }, codes{gate.NoTest}},
	{"a suite named second", func(r *gate.Request) {
		r.Evidence[theE2E].Test.Configuration = []gate.TestConfiguration{{Name: "unit"}, {Name: "e2e"}}
	}, codes{gate.NoTest}},
	{"a suite without name", func(r *gate.Request) { r.Evidence[theE2E].Test.Configuration = nil }, codes{gate.NoTest}},
	{"a suite by CI", func(r *gate.Request) { r.Evidence[theE2E].Signer = "ci" }, codes{gate.NoTest, gate.WrongSigner}},

	// Approvals.
	{"an approval for another environment", func(r *gate.Request) { r.Evidence[theApproval].Approval.Environment = "staging" }, codes{gate.NoApproval, gate.OtherEnvironment}},
	{"an approval for another ladder", func(r *gate.Request) { r.Evidence[theApproval].Approval.Ladder = "blog" }, codes{gate.NoApproval, gate.OtherLadder}},
	{"an approval by CI", func(r *gate.Request) { r.Evidence[theApproval].Signer = "ci" }, codes{gate.NoApproval, gate.WrongSigner}},
	{"one approval of two", func(r *gate.Request) { r.Gate.Spec.Requires.Approvals.Count = 2 }, codes{gate.NoApproval}},
	{"one person twice", func(r *gate.Request) {
		r.Gate.Spec.Requires.Approvals.Count = 2
		again := r.Evidence[theApproval]
		again.Source = digestOf("again")
		r.Evidence = append(r.Evidence, again)
	}, codes{gate.NoApproval}},
	{"one identity under two signers", func(r *gate.Request) {
		r.Gate.Spec.Requires.Approvals.Count = 2
		again := r.Evidence[theApproval]
		r.Evidence[theApproval].Identity, again.Identity, again.Signer = "ana@example.com", "ana@example.com", "bo"
		r.Evidence = append(r.Evidence, again)
	}, codes{gate.NoApproval}},
	{"two people of one signer", func(r *gate.Request) {
		r.Gate.Spec.Requires.Approvals.Count = 2
		other := r.Evidence[theApproval]
		r.Evidence[theApproval].Identity, other.Identity = "ana@example.com", "bo@example.com"
		r.Evidence = append(r.Evidence, other)
	}, nil},
	{"two people", func(r *gate.Request) {
		r.Gate.Spec.Requires.Approvals.Count = 2
		bo := r.Evidence[theApproval]
		bo.Signer = "bo"
		r.Evidence = append(r.Evidence, bo)
	}, nil},
	{"one person, and another whose approval has ended", func(r *gate.Request) {
		r.Gate.Spec.Requires.Approvals.Count = 2
		bo := r.Evidence[theApproval]
		bo.Signer, bo.Approval = "bo", approved()
		bo.Approval.ExpiresAt = new(now)
		r.Evidence = append(r.Evidence, bo)
	}, codes{gate.ApprovalExpired, gate.NoApproval}},

	// The pod template.
	{"the pod template that soaked", sameTemplate(digestOf("template")), nil},
	{"another pod template", sameTemplate(digestOf("other")), codes{gate.OtherTemplate}},
	{"no pod template", sameTemplate(""), codes{gate.OtherTemplate}},

	// What has proven itself here; provenhere_test.go has the rest.
	{"proven here", provenHere(func(*gate.Soak) {}), nil},
	{"proven here for a second less", provenHere(func(s *gate.Soak) { s.Window.HealthySeconds-- }), notProvenHere},
	{"proven in another cluster", provenHere(func(s *gate.Soak) { s.Cluster = "there" }), notProvenHere},
	{"proven here, and never deployed by proof", func(r *gate.Request) {
		provenHere(func(*gate.Soak) {})(r)
		r.Evidence = slices.Delete(r.Evidence, theApproval, theApproval+1)
	}, codes{gate.NoApproval, gate.NotProvenHere, gate.SoakTooOld, gate.TestTooOld}},
	{"proven here without signature", func(r *gate.Request) {
		provenHere(func(*gate.Soak) {})(r)
		r.Evidence = slices.Delete(r.Evidence, theSignature, theSignature+1)
	}, codes{gate.NoSignature}},

	// Provenance; provenance_test.go has the rest.
	{"no provenance", func(r *gate.Request) { r.Evidence = r.Evidence[:theProvenance] }, codes{gate.NoProvenance}},
	{"provenance of another builder and source", func(r *gate.Request) {
		r.Evidence[theProvenance].Provenance = built("https://example.com/laptop", "git+https://github.com/org-evil/shop@refs/heads/main")
	}, codes{gate.OtherBuilder, gate.OtherSource}},

	// A ClusterImagePolicy.
	{"a policy that lets the image by", policy(gate.Evidence{Policy: "corp", PredicateType: gate.PredicateSignature}), nil},
	{"a policy that doesn't", policy(gate.Evidence{Policy: "corp", PredicateType: gate.PredicateSignature, Malformed: "no matching signatures"}), codes{gate.PolicyRefused}},
	{"another policy that does", policy(gate.Evidence{Policy: "other", PredicateType: gate.PredicateSignature}), codes{gate.PolicyRefused}},
	{"a policy that wasn't asked", policy(gate.Evidence{}), codes{gate.PolicyRefused}},

	// Signers' ends and exceptions; people_test.go and exceptions_test.go have the rest.
	{"a signature after its signer's end", func(r *gate.Request) {
		r.Gate.Spec.Signers[2].NotAfter = new(metav1.NewTime(now.Add(-time.Second)))
	}, codes{gate.SignerEnded, gate.SignerEnded}},
	{"an exception for another namespace", excepted(func(x *gate.Exception) { x.Spec.Namespaces = []string{"blog"} }), codes{gate.ExceptionElsewhere, gate.NoSignature}},
	{"an exception that has ended", excepted(func(x *gate.Exception) { x.Spec.ExpiresAt = metav1.NewTime(now) }), codes{gate.ExceptionExpired, gate.NoSignature}},
	{"an exception by one of two", excepted(func(x *gate.Exception) { x.Evidence = x.Evidence[1:] }), codes{gate.ExceptionUnsigned, gate.NoSignature}},
	{"an exception", excepted(func(*gate.Exception) {}), nil},
	{"an exception, and the Gate takes none", func(r *gate.Request) {
		excepted(func(*gate.Exception) {})(r)
		r.Gate.Spec.Exceptions = nil
	}, codes{gate.ExceptionRefused, gate.NoSignature}},

	// Whatever it shows.
	{"recalled", func(r *gate.Request) { r.Recalls = []v1alpha1.Recall{recallOf(digest)} }, codes{gate.Recalled}},
	{"recalled in another spelling", func(r *gate.Request) {
		r.Recalls = []v1alpha1.Recall{recallOf(" " + strings.ToUpper(digest))}
	}, codes{gate.Recalled}},
	{"recalled, of what runs already", func(r *gate.Request) {
		r.Recalls, r.Rescheduled = []v1alpha1.Recall{recallOf(digest)}, true
	}, codes{gate.Recalled}},
	{"another digest recalled", func(r *gate.Request) { r.Recalls = []v1alpha1.Recall{recallOf(digestOf("other"))} }, nil},
	{"rendered for another environment", func(r *gate.Request) { r.Stamps.Environment = "staging" }, codes{gate.OtherStamp}},
	{"rendered from another ladder", func(r *gate.Request) { r.Stamps.Ladder = "blog" }, codes{gate.OtherStamp}},
	{"without stamps", func(r *gate.Request) { r.Stamps = gate.Stamps{ChartDigest: chart} }, nil},
	{"a Gate that asks for a soak in its own environment", func(r *gate.Request) {
		r.Gate.Spec.Requires.Soak.Environment, r.Evidence[theSoak].Soak.Environment = "prod", "prod"
	}, codes{gate.GateInvalid}},
	{"a Gate that is invalid", func(r *gate.Request) { r.Gate.Spec.Namespaces = nil }, codes{gate.GateInvalid}},
	{"a signer whose clock isn't believed", func(r *gate.Request) { r.Gate.Spec.Signers[1].Time = "" }, codes{gate.GateInvalid, gate.NoTrustedTime}},

	// What can't be judged.
	{"a field that isn't known", func(r *gate.Request) { r.Unknown = []string{".spec.requires.quorum"} }, codes{gate.Unsupported}},
	{"an action that isn't known", func(r *gate.Request) { r.Gate.Spec.Action = "Maybe" }, codes{gate.Unsupported}},
	{"a chart policy that isn't known", func(r *gate.Request) { r.Gate.Spec.Requires.Soak.Chart = "Similar" }, codes{gate.Unsupported}},
	{"tags that aren't known", func(r *gate.Request) {
		r.Gate.Spec.ExemptImages = []v1alpha1.ExemptImage{{Repository: "docker.io/istio/*", Tags: "Maybe"}}
	}, codes{gate.Unsupported}},
	{"a template policy that isn't known", func(r *gate.Request) { r.Gate.Spec.Requires.Soak.Template = "Similar" }, codes{gate.Unsupported}},
	{"a source of time that isn't known", func(r *gate.Request) { r.Gate.Spec.Signers[0].Time = "Guess" }, codes{gate.Unsupported}},
	{"a KMS signer, a keyless one and a timestamping authority", func(r *gate.Request) {
		r.Gate.Spec.Signers = append(r.Gate.Spec.Signers,
			v1alpha1.Signer{Name: "kms", KMS: "awskms:///x", Timestamp: "corp-tsa"},
			v1alpha1.Signer{Name: "keyless", Keyless: &v1alpha1.KeylessSigner{Issuer: "https://a.example.com", Subject: "b"}})
	}, nil},
	{"observe is the observer's", func(r *gate.Request) {
		r.Gate.Spec.Observe = &v1alpha1.Observe{AttestAfter: []asking{asked(time.Hour)}}
	}, nil},
}

// sameTemplate asks for the pod template that soaked.
func sameTemplate(is string) func(*gate.Request) {
	return func(r *gate.Request) {
		r.Gate.Spec.Requires.Soak.Template = v1alpha1.TemplateSame
		r.Stamps.TemplateDigest = is
		r.Evidence[theSoak].Soak.Workloads = []gate.Workload{{TemplateDigest: digestOf("worker")}, {TemplateDigest: digestOf("template")}}
	}
}

// policy has a ClusterImagePolicy in place of the signature.
func policy(e gate.Evidence) func(*gate.Request) {
	return func(r *gate.Request) {
		r.Gate.Spec.Requires.Signature = &v1alpha1.SignatureRequirement{ClusterImagePolicy: "corp"}
		r.Evidence[theSignature] = e
	}
}

// excepted has an exception in place of the signature.
func excepted(change func(*gate.Exception)) func(*gate.Request) {
	return func(r *gate.Request) {
		r.Evidence = slices.Delete(r.Evidence, theSignature, theSignature+1)
		x := exception("hotfix", "ana", "bo")
		change(&x)
		r.Exceptions = []gate.Exception{x}
	}
}

// older moves a soak into the past.
func older(w *gate.SoakWindow, by time.Duration) {
	w.StartedAt, w.FinishedAt = w.StartedAt.Add(-by), new(w.FinishedAt.Add(-by))
	for i := range w.Interruptions {
		w.Interruptions[i].From, w.Interruptions[i].To = w.Interruptions[i].From.Add(-by), w.Interruptions[i].To.Add(-by)
	}
}

func short(seconds int64) gate.Evidence {
	return gate.Evidence{Signer: "observer", PredicateType: gate.PredicateSoak, Source: digestOf(fmt.Sprint(seconds)), Soak: soaked(seconds)}
}

func recallOf(digest string) v1alpha1.Recall {
	r := v1alpha1.Recall{Spec: v1alpha1.RecallSpec{Digests: []string{digestOf("x"), digest}, Reason: "CVE-2026-1\nrotate keys"}}
	r.Name = "openssl"
	return r
}

func TestDecide(t *testing.T) {
	seen := map[gate.Code]bool{}
	var text bytes.Buffer
	for _, test := range verdicts {
		t.Run(test.name, func(t *testing.T) {
			r := proven()
			test.change(&r)
			v := gate.Decide(r)
			want := test.want
			if want == nil {
				want = codes{}
			}
			if diff := cmp.Diff(want, codesOf(v)); diff != "" {
				t.Errorf("codes (-want +got):\n%s\n%+v", diff, v.Reasons)
			}
			if v.Allowed != (len(v.Reasons) == 0) {
				t.Errorf("allowed %v with %d reasons", v.Allowed, len(v.Reasons))
			}
			fmt.Fprintf(&text, "# %s\n", test.name)
			for _, reason := range v.Reasons {
				seen[reason.Code] = true
				fmt.Fprintf(&text, "%s: %s\n", reason.Code, reason.Message)
			}
		})
	}
	golden(t, "testdata/verdicts.golden", text.Bytes())

	// These are verdict's and webhook's to give.
	elsewhere := codes{gate.NotInjected, gate.RegistryUnavailable, gate.ProofTooLarge, gate.SignerUnavailable}
	for _, doc := range gate.Codes() {
		if !seen[doc.Code] && !slices.Contains(elsewhere, doc.Code) {
			t.Errorf("no test leads to %s", doc.Code)
		}
	}
}

func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (go test -update writes it)", err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func TestDecideExplainsVerdict(t *testing.T) {
	r := proven()
	r.Evidence = slices.Delete(r.Evidence, theApproval, theApproval+1)
	v := gate.Decide(r)
	if want := repository + "@" + digest; v.Image != want {
		t.Errorf("image %q, want %q", v.Image, want)
	}
	if v.Gate.Name != "shop-prod" || v.Gate.Generation != 3 || !strings.HasPrefix(v.Gate.Digest, "sha256:") {
		t.Errorf("gate %+v", v.Gate)
	}
	want := "ask an accepted signer for approval: envladder attest approval --key KEY --ladder LADDER --environment ENVIRONMENT IMAGE@DIGEST"
	if got := v.Reasons[0].Remedy; got != want {
		t.Errorf("remedy %q, want %q", got, want)
	}
}

func TestGateDigestCoversOnlySpec(t *testing.T) {
	a := fullGate()
	b := fullGate()
	b.Name, b.Generation, b.Spec.Action = "other", 9, "" // Deny is the default
	if gate.RefTo(a).Digest != gate.RefTo(b).Digest {
		t.Error("names, generations or defaults make another digest")
	}
	if b.Spec.Action != "" {
		t.Error("asking for the digest has changed the Gate")
	}
	b.Spec.Requires.Soak.Duration = asked(day + 1)
	if gate.RefTo(a).Digest == gate.RefTo(b).Digest {
		t.Error("another duration makes no other digest")
	}
}

func TestDecideOtherRequiresNoProof(t *testing.T) {
	r := proven()
	r.Evidence, r.Image.Repository, r.Stamps = nil, "docker.io/istio/proxy", gate.Stamps{}
	if v := gate.DecideExempt(r); !v.Allowed {
		t.Errorf("denied: %+v", v.Reasons)
	}
	r.Recalls, r.Unknown = []v1alpha1.Recall{recallOf(digest)}, []string{".spec.new"}
	if diff := cmp.Diff(codes{gate.Recalled, gate.Unsupported}, codesOf(gate.DecideExempt(r))); diff != "" {
		t.Errorf("codes (-want +got):\n%s", diff)
	}
}

func TestDecideReportsSameSoakInAnyOrder(t *testing.T) {
	gap, restarts := soaked(24*3600), soaked(24*3600)
	gap.Window.LongestGapSeconds++
	restarts.Window.Restarts++
	r := proven()
	proof := slices.Delete(r.Evidence, theSoak, theSoak+1)
	r.Evidence = append(slices.Clone(proof), soakBy("observer", gap), soakBy("observer", restarts))
	want := gate.Decide(r)
	r.Evidence = append(slices.Clone(proof), soakBy("observer", restarts), soakBy("observer", gap))
	if diff := cmp.Diff(want, gate.Decide(r)); diff != "" {
		t.Errorf("another order, another verdict:\n%s", diff)
	}
}
