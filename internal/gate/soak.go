package gate

import (
	"fmt"
	"slices"
	"time"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/digests"
	"github.com/envladder/envladder/internal/printable"
)

func (j *decision) soak() []Reason {
	required := j.Gate.Spec.Requires.Soak
	if required == nil {
		return nil
	}
	k := soakKind
	k.need = fmt.Sprintf("a soak of %s in %s", printable.Duration(required.Duration.Duration), quote(required.Environment))
	k.about = func(e Evidence) bool { return e.Soak != nil }
	assess := func(e Evidence) candidate {
		c := j.assessSoak(e, required)
		if c.figure > 0 { // else its figures aren't compared, or there is no time at all
			c.problems = append(c.problems, j.soakPlatforms(e, required)...)
		}
		return c
	}
	if required.Count <= 1 { // unset in a file is 1
		return j.need(k, required.By, assess)
	}
	return j.needObservers(k, required, assess)
}

// needObservers requires soaks by several observers. It counts as approvals are counted: the
// same signer twice is one.
func (j *decision) needObservers(k kind, required *v1alpha1.SoakRequirement, assess func(Evidence) candidate) []Reason {
	f := j.find(k, required.By, assess)
	observers := j.people(f.candidates)
	if len(observers) >= int(required.Count) {
		return nil
	}
	reasons := []Reason{NewReason(SoakObservers, "needs %s by %d of %s, has %d", k.need, required.Count, names(required.By), len(observers))}
	return append(reasons, j.nearestOther(f, k, required.By, observers)...)
}

// assessSoak returns a soak with every reason why it doesn't count. Figures that contradict
// each other aren't compared with the requirement.
func (j *decision) assessSoak(e Evidence, required *v1alpha1.SoakRequirement) candidate {
	claimed := j.healthy(e.Soak, required)
	c := candidate{Evidence: e, figure: claimed, claimed: claimed}
	if !j.trustsClock(e) {
		c.figure = min(claimed, j.provenSeconds(e, required))
	}
	elsewhere := j.soakedElsewhere(e, required)
	c.unrelated = len(elsewhere) > 0
	c.problems = slices.Concat(elsewhere, j.otherChart(e, required), j.otherTemplate(e, required))
	if why := e.inconsistent(); why != "" {
		c.problems = append(c.problems, NewReason(SoakInconsistent, "%s: %s", e.title(), why))
		c.figure = 0
		return c
	}
	if e.Soak.Window.FinishedAt == nil {
		c.problems = append(c.problems, NewReason(SoakOpen, "%s started %s and hasn't finished", e.title(), stamp(e.Soak.Window.StartedAt)))
		c.figure = 0
		return c
	}
	c.problems = append(c.problems, j.soakTime(e, required, claimed, c.figure)...)
	c.problems = append(c.problems, soakFigures(e, required)...)
	return c
}

// soakedElsewhere reports a soak of another environment or ladder. Without a ladder in the
// Gate, the repository identifies the service.
func (j *decision) soakedElsewhere(e Evidence, required *v1alpha1.SoakRequirement) []Reason {
	var reasons []Reason
	s := e.Soak
	if s.Environment != required.Environment {
		reasons = append(reasons, NewReason(OtherEnvironment, "%s is for environment %s, not %s", e.title(), quote(s.Environment), quote(required.Environment)))
	}
	switch want := j.Image.Ladder; {
	case want != "" && s.Ladder != want:
		reasons = append(reasons, NewReason(OtherLadder, "%s is for ladder %s, not %s", e.title(), quote(s.Ladder), quote(want)))
	case want == "" && s.Image.Repository != j.Image.Repository:
		reasons = append(reasons, NewReason(OtherRepository, "%s is for repository %s, not %s", e.title(), quote(s.Image.Repository), quote(j.Image.Repository)))
	}
	return reasons
}

func (j *decision) otherChart(e Evidence, required *v1alpha1.SoakRequirement) []Reason {
	is, want := j.Stamps.ChartDigest, e.Soak.Chart.Digest
	switch {
	case required.Chart != v1alpha1.ChartSame:
		return nil
	case is == "":
		return []Reason{NewReason(OtherChart, "the object has no annotation envladder.dev/chart-digest, and the Gate requires the chart that soaked")}
	case want == "":
		return []Reason{NewReason(OtherChart, "%s names no chart", e.title())}
	case is != want:
		return []Reason{NewReason(OtherChart, "%s is for chart %s, but %s is deployed", e.title(), digests.Short(want), digests.Short(is))}
	}
	return nil
}

// otherTemplate compares the pod template with those that soaked, of which an image may
// have had several: a web server and a worker.
func (j *decision) otherTemplate(e Evidence, required *v1alpha1.SoakRequirement) []Reason {
	is := j.Stamps.TemplateDigest
	switch {
	case required.Template != v1alpha1.TemplateSame:
		return nil
	case is == "":
		return []Reason{NewReason(OtherTemplate, "the object has no pod template, and the Gate requires the one that soaked")}
	}
	for _, workload := range e.Soak.Workloads {
		if workload.TemplateDigest == is {
			return nil
		}
	}
	return []Reason{NewReason(OtherTemplate, "%s has no workload with the pod template that is deployed (%s)", e.title(), digests.Short(is))}
}

// soakTime judges how long it soaked, by its own figures and by those that are proven, and how
// long ago.
func (j *decision) soakTime(e Evidence, required *v1alpha1.SoakRequirement, claimed, proven int64) []Reason {
	var reasons []Reason
	at, reason := j.madeAt(e, e.Soak.Window.FinishedAt)
	if reason != nil {
		reasons = append(reasons, *reason)
	}
	// Consistent figures fit a window, so they fit a Duration.
	need, has := required.Duration.Duration, time.Duration(proven)*time.Second
	how := ""
	if required.Contiguous {
		how = " without interruption"
	}
	switch {
	case time.Duration(claimed)*time.Second < need:
		reasons = append(reasons, NewReason(SoakTooShort, "needs %s%s in %s, has %s: %s", printable.Duration(need), how, quote(required.Environment), printable.Duration(has), e.title()))
		reasons = append(reasons, e.noReadinessProbe()...)
	case has < need && reason == nil:
		reasons = append(reasons, j.unproven(e, required, how, proven))
	}
	if required.MaxAge != nil && reason == nil && !j.ageless {
		if age := j.at.Sub(at); age > required.MaxAge.Duration {
			reasons = append(reasons, NewReason(SoakTooOld, "%s ended %s ago, at most %s are allowed", e.title(), printable.Duration(age), printable.Duration(required.MaxAge.Duration)))
		}
	}
	return reasons
}

// noReadinessProbe reports time that doesn't count because pods had no readiness probe.
func (e Evidence) noReadinessProbe() []Reason {
	for _, piece := range e.Soak.Window.Interruptions {
		if piece.Reason == InterruptedNoReadinessProbe {
			return []Reason{NewReason(NoReadinessProbe, "%s: pods without a readiness probe ran from %s on; their time doesn't count", e.title(), stamp(piece.From))}
		}
	}
	return nil
}

// soakFigures judges the figures other than time.
func soakFigures(e Evidence, required *v1alpha1.SoakRequirement) []Reason {
	var reasons []Reason
	w := e.Soak.Window
	if need := required.MinReady; need != nil && w.MinReady < *need {
		reasons = append(reasons, NewReason(SoakFewPods, "%s had only %d ready pods at times, needs %d", e.title(), w.MinReady, *need))
	}
	if gap, most := time.Duration(w.LongestGapSeconds)*time.Second, required.MaxGap; most != nil && gap > most.Duration {
		reasons = append(reasons, NewReason(SoakGap, "%s went unobserved for %s, at most %s are allowed", e.title(), printable.Duration(gap), printable.Duration(most.Duration)))
	}
	if most := required.MaxRestarts; most != nil && w.Restarts > *most {
		reasons = append(reasons, NewReason(SoakRestarts, "%s had %d restarts, at most %d are allowed", e.title(), w.Restarts, *most))
	}
	return reasons
}

// healthy returns the time that counts: all of it or the longest piece, and where the
// image is one platform's, no more than that platform had.
func (j *decision) healthy(s *Soak, required *v1alpha1.SoakRequirement) int64 {
	seconds := s.Window.HealthySeconds
	if required.Contiguous {
		seconds = s.Window.LongestHealthySeconds
	}
	own := s.Image.Digest == j.Image.Digest
	// A statement that names no digest and no platforms is about its subject alone.
	own = own || s.Image.Digest == "" && len(s.Image.Platforms) == 0
	for _, p := range s.Image.Platforms {
		if p.Digest == j.Image.Digest {
			own, seconds = true, min(seconds, p.HealthySeconds)
		}
	}
	if !own {
		return 0 // a subject of the statement that ran nowhere: another platform's child
	}
	return seconds
}
