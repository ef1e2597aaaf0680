package gate_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
)

// deployed is when what has proven itself here was deployed: by proof that was as old as
// the Gate allows, and is too old by now.
var deployed = now.Add(-40 * day)

// notProvenHere are the reasons where only provenHere could admit.
var notProvenHere = codes{gate.ApprovalExpired, gate.ApprovalTooOld, gate.NoApproval, gate.NotProvenHere, gate.SoakTooOld, gate.TestTooOld}

// theSoakHere is the place in evidence of the soak that provenHere adds.
const theSoakHere = theProvenance + 1

// provenHere makes all proof 40 days older, and adds a soak here since then.
func provenHere(change func(*gate.Soak)) func(*gate.Request) {
	return func(r *gate.Request) {
		r.Cluster = "here"
		r.Gate.Spec.ProvenHere = &v1alpha1.ProvenHere{By: []string{"observer"}, Duration: asked(day)}
		for i := range r.Evidence {
			switch e := r.Evidence[i]; {
			case e.Soak != nil:
				older(&e.Soak.Window, now.Sub(deployed))
			case e.Test != nil:
				e.Test.FinishedAt = new(e.Test.FinishedAt.Add(deployed.Sub(now)))
			case e.Approval != nil:
				e.Approval.ApprovedAt, e.Approval.ExpiresAt = new(e.Approval.ApprovedAt.Add(deployed.Sub(now))), new(e.Approval.ExpiresAt.Add(deployed.Sub(now)))
			}
		}
		here := soakBy("observer", soaked(24*3600))
		here.Soak.Environment, here.Soak.Cluster, here.Soak.Namespace = "prod", "here", "shop"
		older(&here.Soak.Window, now.Add(-26*time.Hour).Sub(deployed))
		change(here.Soak)
		r.Evidence = append(r.Evidence, here)
	}
}

func TestProvenHere(t *testing.T) {
	same := func(*gate.Request) {}
	// away adds an interruption of so many days from the tenth day on, and ends the window
	// a day later.
	away := func(days int, reason string) func(*gate.Request) {
		return func(r *gate.Request) {
			w := &r.Evidence[theSoakHere].Soak.Window
			from := deployed.Add(10 * day)
			to := from.Add(time.Duration(days) * day)
			w.Interruptions = append(w.Interruptions, gate.Interruption{From: from, To: to, Reason: reason})
			w.InterruptedSeconds += int64(to.Sub(from) / time.Second)
			w.FinishedAt = new(to.Add(day))
		}
	}
	within := func(maxAge time.Duration, then func(*gate.Request)) func(*gate.Request) {
		return func(r *gate.Request) {
			r.Gate.Spec.ProvenHere.MaxAge = upTo(maxAge)
			then(r)
		}
	}
	soakHere := func(change func(*gate.Soak)) func(*gate.Request) {
		return func(r *gate.Request) { change(r.Evidence[theSoakHere].Soak) }
	}
	for name, test := range map[string]struct {
		change func(*gate.Request)
		want   codes
	}{
		"deployed by proof":                  {same, nil},
		"not healthy here for long enough":   {soakHere(func(s *gate.Soak) { s.Window.HealthySeconds-- }), notProvenHere},
		"figures that contradict each other": {soakHere(func(s *gate.Soak) { s.Window.Restarts = -1 }), notProvenHere},
		"only begun":                         {soakHere(func(s *gate.Soak) { s.Window.FinishedAt = nil }), notProvenHere},
		"of another environment":             {soakHere(func(s *gate.Soak) { s.Environment = "staging" }), without1(notProvenHere, gate.NotProvenHere)},
		"of another ladder":                  {soakHere(func(s *gate.Soak) { s.Ladder = "blog" }), notProvenHere},
		"by another signer":                  {func(r *gate.Request) { r.Gate.Spec.ProvenHere.By = []string{"e2e"} }, without1(notProvenHere, gate.NotProvenHere)},

		// Where it ran.
		"of another cluster":           {soakHere(func(s *gate.Soak) { s.Cluster = "there" }), notProvenHere},
		"of no cluster":                {soakHere(func(s *gate.Soak) { s.Cluster = "" }), notProvenHere},
		"of no cluster, asked in none": {func(r *gate.Request) { r.Cluster, r.Evidence[theSoakHere].Soak.Cluster = "", "" }, notProvenHere},
		"asked in another cluster":     {func(r *gate.Request) { r.Cluster = "there" }, notProvenHere},
		"of a cluster that the Gate names": {func(r *gate.Request) {
			r.Cluster, r.Gate.Spec.ProvenHere.Clusters = "rebuilt", []string{"here"}
		}, nil},
		"of another namespace": {soakHere(func(s *gate.Soak) { s.Namespace = "shop-trial" }), notProvenHere},
		"of no namespace":      {soakHere(func(s *gate.Soak) { s.Namespace = "" }), notProvenHere},
		"of another of the Gate's namespaces": {func(r *gate.Request) {
			r.Gate.Spec.Namespaces = append(r.Gate.Spec.Namespaces, "shop-eu")
			r.Evidence[theSoakHere].Soak.Namespace = "shop-eu"
		}, nil},

		// How long ago.
		"as old as maxAge allows":      {within(now.Sub(deployed.Add(25*time.Hour)), same), nil},
		"a second older than maxAge":   {within(now.Sub(deployed.Add(25*time.Hour))-time.Second, same), notProvenHere},
		"as old as the default allows": {soakHere(func(s *gate.Soak) { s.Window.FinishedAt = new(now.Add(-time.Hour)) }), nil},
		"older than the default":       {func(r *gate.Request) { r.Now = r.Now.Add(v1alpha1.DefaultProvenHereMaxAge) }, notProvenHere},
		"older than maxAge, of what runs already": {func(r *gate.Request) {
			r.Now, r.Rescheduled = r.Now.Add(v1alpha1.DefaultProvenHereMaxAge), true
		}, nil},

		// What it had when it was deployed. Under an Exception, Warn and Audit it lacks any
		// of these.
		"deployed without a soak":      {without(theSoak), codes{gate.ApprovalExpired, gate.ApprovalTooOld, gate.NoApproval, gate.NotProvenHere, gate.OtherEnvironment, gate.SoakTooOld, gate.TestTooOld}},
		"deployed without a suite":     {without(theE2E), codes{gate.ApprovalExpired, gate.ApprovalTooOld, gate.NoApproval, gate.NoTest, gate.NotProvenHere, gate.SoakTooOld, gate.TestTooOld}},
		"deployed without an approval": {without(theApproval), codes{gate.NoApproval, gate.NotProvenHere, gate.SoakTooOld, gate.TestTooOld}},
		"approved after it was deployed": {func(r *gate.Request) {
			a := r.Evidence[theApproval].Approval
			a.ApprovedAt, a.ExpiresAt = new(deployed.Add(2*time.Minute)), nil
		}, without1(notProvenHere, gate.ApprovalExpired)},
		"approved after it was deployed, with an older date": {func(r *gate.Request) {
			r.Evidence[theApproval].Signed = deployed.Add(2 * time.Minute)
			r.Evidence[theApproval].Approval.ExpiresAt = nil
		}, without1(notProvenHere, gate.ApprovalExpired)},
		"approved after it was deployed, and nothing asks how old approvals are": {func(r *gate.Request) {
			r.Gate.Spec.Requires.Approvals.MaxAge = nil
			r.Evidence[theApproval].Approval.ApprovedAt, r.Evidence[theApproval].Approval.ExpiresAt = new(now), nil
		}, codes{gate.NotProvenHere, gate.SoakTooOld, gate.TestTooOld}},
		"soaked elsewhere after it was deployed": {func(r *gate.Request) { older(&r.Evidence[theSoak].Soak.Window, -2*time.Hour) }, notProvenHere},
		"deployed when the approval had ended": {func(r *gate.Request) {
			r.Evidence[theApproval].Approval.ExpiresAt = new(deployed)
		}, notProvenHere},
		"deployed when the soak was too old": {func(r *gate.Request) { older(&r.Evidence[theSoak].Soak.Window, 31*day) }, notProvenHere},
		"approved by a signer that ended before it was deployed": {func(r *gate.Request) {
			r.Gate.Spec.Signers[3].NotAfter = new(metav1.NewTime(deployed.Add(-day)))
		}, append(slices.Clone(notProvenHere), gate.SignerEnded)},
		"approved by a signer that ended since, at no proven time": {func(r *gate.Request) {
			r.Gate.Spec.Signers[3].NotAfter = new(metav1.NewTime(now.Add(-day)))
		}, append(slices.Clone(notProvenHere), gate.SignerEnded)},
		"approved at a proven time by a signer that ended since": {func(r *gate.Request) {
			r.Gate.Spec.Signers[3].NotAfter = new(metav1.NewTime(now.Add(-day)))
			r.Evidence[theApproval].Signed = deployed.Add(-time.Hour)
		}, nil},
		"another chart than the one that soaked": {func(r *gate.Request) { r.Stamps.ChartDigest = digestOf("other") }, append(slices.Clone(notProvenHere), gate.OtherChart)},

		// When it was deployed: a canary is healthy only later.
		"healthy long after it was deployed": {soakHere(func(s *gate.Soak) {
			s.FirstSeenAt = new(deployed)
			older(&s.Window, -2*day)
		}), nil},
		"healthy long after proof had gone": {soakHere(func(s *gate.Soak) { older(&s.Window, -2*day) }), notProvenHere},
		"seen after it was healthy":         {soakHere(func(s *gate.Soak) { s.FirstSeenAt = new(now) }), nil},
		"seen long before proof came":       {soakHere(func(s *gate.Soak) { s.FirstSeenAt = new(deployed.Add(-2 * day)) }), notProvenHere},

		// Away, and back: under an Exception, perhaps.
		"away for less than maxAge":                {within(30*day, away(20, "NotRunning")), nil},
		"away for longer than maxAge":              {within(15*day, away(20, "NotRunning")), notProvenHere},
		"unobserved for longer than maxAge":        {within(15*day, away(20, "Unobserved")), notProvenHere},
		"for an unknown reason longer than maxAge": {within(15*day, away(20, "Vacation")), notProvenHere},
		"degraded for longer than maxAge":          {within(15*day, away(20, "Degraded")), nil},
		"away in pieces that are longer than maxAge together": {within(15*day, func(r *gate.Request) {
			away(10, "NotRunning")(r)
			w := &r.Evidence[theSoakHere].Soak.Window
			last := w.Interruptions[len(w.Interruptions)-1]
			w.Interruptions = append(w.Interruptions, gate.Interruption{From: last.To, To: last.To.Add(10 * day), Reason: "Unobserved"})
			w.InterruptedSeconds += int64(10 * day / time.Second)
			w.FinishedAt = new(w.FinishedAt.Add(10 * day))
		}), notProvenHere},
		"away in pieces that were cut from the list": {within(15*day, func(r *gate.Request) {
			away(20, "NotRunning")(r)
			w := &r.Evidence[theSoakHere].Soak.Window
			w.Interruptions = w.Interruptions[:1]
		}), notProvenHere},
		"away in pieces of which the older was cut from the list": {within(15*day, func(r *gate.Request) {
			away(10, "NotRunning")(r)
			w := &r.Evidence[theSoakHere].Soak.Window
			w.Interruptions = w.Interruptions[1:]
			w.InterruptedSeconds += int64(8 * day / time.Second)
			w.StartedAt = w.StartedAt.Add(-8 * day)
			r.Evidence[theSoakHere].Soak.FirstSeenAt = nil
			r.Gate.Spec.Requires.Soak.MaxAge, r.Gate.Spec.Requires.Tests[1].MaxAge, r.Gate.Spec.Requires.Approvals.MaxAge = nil, upTo(15*day), nil
			older(&r.Evidence[theSoak].Soak.Window, 8*day)
			r.Evidence[theLoad].Test.FinishedAt = new(deployed.Add(-8 * day))
			r.Evidence[theApproval].Approval.ApprovedAt, r.Evidence[theApproval].Approval.ExpiresAt = new(deployed.Add(-8*day)), nil
		}), codes{gate.NotProvenHere, gate.TestTooOld}},
		"away for longer than maxAge, and proven again when it came back": {within(15*day, func(r *gate.Request) {
			away(20, "NotRunning")(r)
			r.Gate.Spec.Requires.Soak.MaxAge, r.Gate.Spec.Requires.Tests[1].MaxAge, r.Gate.Spec.Requires.Approvals.MaxAge = upTo(30*day+time.Hour), nil, nil
			r.Evidence[theApproval].Approval.ExpiresAt = new(deployed.Add(31 * day))
		}), nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := proven()
			provenHere(func(*gate.Soak) {})(&r)
			test.change(&r)
			v := gate.Decide(r)
			want := append(codes{}, test.want...)
			slices.Sort(want)
			if diff := cmp.Diff(want, codesOf(v)); diff != "" {
				t.Errorf("%+v (-want +got):\n%s", v.Reasons, diff)
			}
		})
	}
}

func without1(all codes, code gate.Code) codes {
	return slices.DeleteFunc(slices.Clone(all), func(c gate.Code) bool { return c == code })
}
