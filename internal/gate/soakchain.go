package gate

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/digests"
	"github.com/envladder/envladder/internal/printable"
)

// minCheckpointEvery is the least that a requirement's checkpointEvery defaults to. Observers
// sign at most one checkpoint a minute.
const minCheckpointEvery = 5 * time.Minute

// checkpointEvery returns how far apart two proven times may be so that the time between them
// counts: a quarter of the duration by default, twice what observers aim at, so that a
// statement that is late, or missing, costs no time.
func checkpointEvery(required *v1alpha1.SoakRequirement) time.Duration {
	if required.CheckpointEvery != nil {
		return required.CheckpointEvery.Duration
	}
	return max(required.Duration.Duration/4, minCheckpointEvery)
}

// provenSeconds returns the healthy time that a soak's chain of statements proves, in seconds.
//
// A signer can claim any window, so where its clock isn't trusted, time counts only between
// two statements of one window that each have a proven time: no more than passed between
// these times, no more than the later statement adds to the earlier one's figures, and
// nothing if they are further apart than checkpointEvery. Statements that are near enough
// form a run. A run that ended longer ago than maxAge doesn't count: one new statement must
// not renew what was proven long ago. With contiguous, only the longest run counts.
func (j *decision) provenSeconds(e Evidence, required *v1alpha1.SoakRequirement) int64 {
	var oldest time.Time
	if required.MaxAge != nil && !j.ageless {
		oldest = j.at.Add(-required.MaxAge.Duration)
	}
	window := j.windowOf(e, required.By)
	byStatement := map[string][]int{}
	proofs := make([]proof, len(window))
	for i, statement := range window {
		for _, p := range byStatement[statement.Soak.Window.Previous] {
			if predecessor := window[p]; statement.follows(predecessor) {
				proofs[i] = proofs[i].or(proofs[p].extended(predecessor, statement, checkpointEvery(required), oldest))
			}
		}
		if statement.Statement == e.Statement && statement.Signed.Equal(e.Signed) {
			return proofs[i].seconds(required.Contiguous)
		}
		byStatement[statement.Statement] = append(byStatement[statement.Statement], i)
	}
	return 0
}

// unproven reports a soak that claims enough time and proves less.
func (j *decision) unproven(e Evidence, required *v1alpha1.SoakRequirement, how string, proven int64) Reason {
	claim := fmt.Sprintf("needs %s%s in %s between proven times at most %s apart, has %s: %s", printable.Duration(required.Duration.Duration), how,
		quote(required.Environment), printable.Duration(checkpointEvery(required)), printable.Duration(time.Duration(proven)*time.Second), e.title())
	switch previous := e.Soak.Window.Previous; {
	case e.Soak.Window.ID == "" || previous == "":
		return NewReason(SoakUnproven, "%s names no earlier statement of its window", claim)
	case !slices.ContainsFunc(j.windowOf(e, required.By), func(other Evidence) bool { return other.Statement == previous }):
		return NewReason(SoakUnproven, "%s follows statement %s, which is missing", claim, digests.Short(previous))
	}
	return NewReason(SoakUnproven, "%s", claim)
}

// windowOf returns the consistent statements of a soak's window with proven times, the oldest
// first. They are by accepted signers who are one observer, as several keys of one person are:
// a new key continues the windows of the old one.
func (j *decision) windowOf(e Evidence, by []string) []Evidence {
	var window []Evidence
	for _, other := range j.Evidence {
		if other.Soak == nil || other.Soak.Window.ID == "" || other.Soak.Window.ID != e.Soak.Window.ID {
			continue
		}
		if slices.Contains(by, other.Signer) && j.person(other) == j.person(e) && !other.Signed.IsZero() && other.inconsistent() == "" {
			window = append(window, other)
		}
	}
	slices.SortFunc(window, func(a, b Evidence) int {
		return cmp.Or(a.Signed.Compare(b.Signed), cmp.Compare(a.Soak.Window.HealthySeconds, b.Soak.Window.HealthySeconds), cmp.Compare(a.Statement, b.Statement))
	})
	return window
}

// proof is the healthy time that is proven up to a statement, in seconds. Each figure is that
// of one path through its predecessors.
type proof struct {
	total   int64 // of the runs that count, the statement's own included
	earlier int64 // of the runs that count, without the statement's own
	run     int64 // of the statement's own run
	longest int64 // of the longest earlier run that counts
}

// or returns the larger of two proofs, figure by figure: a statement may have been stored
// twice, with different proven times.
func (p proof) or(other proof) proof {
	return proof{max(p.total, other.total), max(p.earlier, other.earlier), max(p.run, other.run), max(p.longest, other.longest)}
}

// extended returns the proof up to a statement, from that up to its predecessor.
func (p proof) extended(from, to Evidence, every time.Duration, oldest time.Time) proof {
	if passed := to.Signed.Sub(from.Signed); passed <= every && to.sameWorkloads(from) {
		gained := min(to.Soak.Window.HealthySeconds-from.Soak.Window.HealthySeconds, int64(passed/time.Second))
		return proof{p.total + gained, p.earlier, p.run + gained, p.longest}
	}
	if from.Signed.Before(oldest) {
		return proof{p.earlier, p.earlier, 0, p.longest}
	}
	return proof{p.total, p.total, 0, max(p.longest, p.run)}
}

func (p proof) seconds(contiguous bool) int64 {
	if contiguous {
		return max(p.run, p.longest)
	}
	return p.total
}

// follows reports whether a statement can continue another of its window: it is about the same
// measurement, and takes no figure back.
func (e Evidence) follows(predecessor Evidence) bool {
	is, was := e.Soak, predecessor.Soak
	same := is.Ladder == was.Ladder && is.Environment == was.Environment && is.Target == was.Target &&
		is.Cluster == was.Cluster && is.Namespace == was.Namespace &&
		is.Image.Repository == was.Image.Repository && is.Image.Digest == was.Image.Digest &&
		is.Window.StartedAt.Equal(was.Window.StartedAt) && equalTimes(is.FirstSeenAt, was.FirstSeenAt)
	// A chart that has changed is no longer stated.
	same = same && (is.Chart.Digest == "" || is.Chart.Digest == was.Chart.Digest)
	return same && is.Window.adds(was.Window)
}

// sameWorkloads reports whether all workloads of a statement were in its predecessor: the time
// between the two isn't known to be that of a workload that was added, or created again.
func (e Evidence) sameWorkloads(predecessor Evidence) bool {
	for _, workload := range e.Soak.Workloads {
		if !slices.ContainsFunc(predecessor.Soak.Workloads, func(w Workload) bool { return w.UID != "" && w.UID == workload.UID }) {
			return false
		}
	}
	return len(e.Soak.Workloads) > 0
}

// adds reports whether no figure of a window contradicts those of an earlier statement.
func (w SoakWindow) adds(before SoakWindow) bool {
	return w.HealthySeconds >= before.HealthySeconds && w.LongestHealthySeconds >= before.LongestHealthySeconds &&
		w.InterruptedSeconds >= before.InterruptedSeconds && w.Restarts >= before.Restarts && w.MinReady <= before.MinReady &&
		(before.FinishedAt == nil || w.FinishedAt != nil && !w.FinishedAt.Before(*before.FinishedAt))
}

func equalTimes(a, b *time.Time) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Equal(*b)
}
