package observer

import (
	"slices"
	"time"

	"github.com/envladder/envladder/api/v1alpha1"
)

const (
	// clockTolerance is how far the wall clock may move against the monotonic one
	// before the time between isn't believed: NTP slews both alike, and a leap second
	// is one.
	clockTolerance = 2 * time.Second
	// maxInterruptions bounds the list; the sum is kept when it is cut.
	maxInterruptions = 64
	// maxPlatforms bounds the platforms of one image that pods run on.
	maxPlatforms = 16
)

// observation is what was seen of a digest at an instant.
type observation struct {
	// At is the wall clock.
	At time.Time
	// Elapsed is the monotonic clock, since any instant of this process.
	Elapsed time.Duration
	// Reason why the digest isn't healthy; empty where it is.
	Reason v1alpha1.SoakReason
	// Dip is the reason of a bad moment since the observation before this one.
	Dip v1alpha1.SoakReason
	// Ready is the number of ready pods.
	Ready int32
	// Restarts since the observation before this one.
	Restarts int32
	// Platforms that ready pods run on.
	Platforms []string
}

// observation is one of this instant.
func (i instant) observation(dip v1alpha1.SoakReason) observation {
	return observation{At: i.wall, Elapsed: i.elapsed, Dip: dip}
}

// interruption is time that doesn't count.
type interruption struct {
	From, To time.Time
	Reason   v1alpha1.SoakReason
}

// account turns observations into time that counts. It has no clock and does no I/O.
//
// It reckons in whole seconds: healthy time ends at the last full second, bad time at
// the next one, so that rounding adds nothing. Healthy time is what both clocks say has
// passed; where the wall clock says more, ObservedAt lags behind it, by no more than
// twice clockTolerance: from that much too late to that much too early.
type account struct {
	StartedAt, ObservedAt time.Time // zero until it was healthy for the first time

	Healthy, LongestHealthy, LongestGap, Interrupted int64 // seconds
	MinReady, Restarts                               int32
	Interruptions                                    []interruption
	Platforms                                        map[string]int64 // seconds

	// Reason at the last observation; empty where it was healthy.
	Reason v1alpha1.SoakReason

	// watched says that this process would have seen it run since the notebook's last
	// page.
	watched bool

	run int64 // seconds of health without interruption
	// What this process saw last; a restart forgets it.
	seen      bool
	at        time.Time
	elapsed   time.Duration
	offset    time.Duration // of the wall clock to the monotonic one
	reckoned  time.Duration // the monotonic time that ObservedAt stands for
	platforms []string
}

// begun says whether the window is open.
func (a *account) begun() bool { return !a.StartedAt.IsZero() }

// observe adds an observation. maxInterval is the longest time between two of them that
// can count. It says whether the window began with it, for the first time or anew.
func (a *account) observe(o observation, maxInterval time.Duration) (began bool) {
	if a.begun() && a.movedBack(o) {
		// What was measured by a clock that was wrong can't be mended.
		*a = account{}
	}
	if !a.begun() {
		if o.Reason == "" {
			a.begin(o)
		}
		a.remember(o)
		return a.begun()
	}
	a.Restarts += max(o.Restarts, 0)
	if o.Reason == "" {
		a.MinReady = min(a.MinReady, o.Ready)
	}
	if reason := a.reasonSince(o, maxInterval); reason == "" {
		a.credit(o)
	} else {
		a.interrupt(ceil(o.At), reason)
		a.reckoned = o.until(a.ObservedAt)
	}
	a.remember(o)
	return false
}

func (a *account) begin(o observation) {
	start := ceil(o.At)
	*a = account{StartedAt: start, ObservedAt: start, MinReady: o.Ready, reckoned: o.until(start)}
}

// until is the monotonic time of an instant close by.
func (o observation) until(instant time.Time) time.Duration { return o.Elapsed + instant.Sub(o.At) }

// movedBack says whether the wall clock went back, against the monotonic clock or, after
// a restart, against the notebook.
func (a *account) movedBack(o observation) bool {
	if !a.seen {
		return o.At.Before(a.ObservedAt.Add(-clockTolerance))
	}
	return a.drift(o) < -clockTolerance
}

// drift is how far the wall clock has moved against the monotonic one. It is measured
// from the first observation of the process, so that many small steps are seen as well.
func (a *account) drift(o observation) time.Duration {
	return o.At.Sub(a.at) - (o.Elapsed - a.elapsed) + a.offset
}

// reasonSince is why the time since the last observation doesn't count, or empty.
func (a *account) reasonSince(o observation, maxInterval time.Duration) v1alpha1.SoakReason {
	switch {
	case !a.seen && a.watched && a.Reason == v1alpha1.SoakNotRunning:
		return v1alpha1.SoakNotRunning
	case !a.seen:
		return v1alpha1.SoakUnobserved
	case a.drift(o) > clockTolerance:
		return v1alpha1.SoakClockMoved
	case a.Reason == v1alpha1.SoakNotRunning:
		return a.Reason // it may have been long: nobody looks at what doesn't run
	case o.Elapsed-a.elapsed > maxInterval:
		return v1alpha1.SoakUnobserved
	case o.Dip != "":
		return o.Dip
	case a.Reason != "":
		return a.Reason
	default:
		return o.Reason
	}
}

// credit reckons the time since the last observation as healthy.
func (a *account) credit(o observation) {
	seconds := int64(min(o.At.Sub(a.ObservedAt), o.Elapsed-a.reckoned) / time.Second)
	if seconds <= 0 {
		return
	}
	a.ObservedAt = a.ObservedAt.Add(time.Duration(seconds) * time.Second)
	a.reckoned += time.Duration(seconds) * time.Second
	a.Healthy += seconds
	a.run += seconds
	a.LongestHealthy = max(a.LongestHealthy, a.run)
	for _, platform := range o.Platforms {
		if slices.Contains(a.platforms, platform) {
			a.addPlatform(platform, seconds)
		}
	}
}

func (a *account) addPlatform(platform string, seconds int64) {
	if _, known := a.Platforms[platform]; !known && len(a.Platforms) >= maxPlatforms {
		return
	}
	if a.Platforms == nil {
		a.Platforms = map[string]int64{}
	}
	a.Platforms[platform] += seconds
}

// interrupt reckons time up to `to` as not healthy.
func (a *account) interrupt(to time.Time, reason v1alpha1.SoakReason) {
	a.run = 0
	if !to.After(a.ObservedAt) {
		return
	}
	from := a.ObservedAt
	a.ObservedAt = to
	a.Interrupted += int64(to.Sub(from) / time.Second)
	if last := len(a.Interruptions) - 1; last >= 0 && a.Interruptions[last].To.Equal(from) && a.Interruptions[last].Reason == reason {
		a.Interruptions[last].To = to
	} else {
		a.Interruptions = append(a.Interruptions, interruption{from, to, reason})
	}
	if extra := len(a.Interruptions) - maxInterruptions; extra > 0 {
		a.Interruptions = slices.Delete(a.Interruptions, 0, extra)
	}
	if unseen(reason) {
		a.LongestGap = max(a.LongestGap, a.Interruptions[len(a.Interruptions)-1].seconds())
	}
}

// untilHealthy is the account up to the end of its last healthy time. What came after it
// would make the statement look younger than what it proves.
func (a *account) untilHealthy() account {
	cut := *a
	if a.Healthy == 0 {
		return cut
	}
	pieces := a.Interruptions
	for n := len(pieces); n > 0 && pieces[n-1].To.Equal(cut.ObservedAt); n-- {
		cut.ObservedAt = pieces[n-1].From
		cut.Interrupted -= pieces[n-1].seconds()
		pieces = pieces[:n-1]
	}
	cut.Interruptions = pieces
	cut.LongestGap = longestGap(pieces, cut.Interrupted, a.LongestGap)
	return cut
}

// longestGap is that of some interruptions. Where their list was cut, it is the one that
// was known before, as far as it fits into their sum.
func longestGap(pieces []interruption, sum, known int64) int64 {
	var longest, listed int64
	for _, piece := range pieces {
		listed += piece.seconds()
		if unseen(piece.Reason) {
			longest = max(longest, piece.seconds())
		}
	}
	if listed < sum {
		return min(known, sum)
	}
	return longest
}

func (i interruption) seconds() int64 { return int64(i.To.Sub(i.From) / time.Second) }

// unseen says whether a reason is that nobody looked.
func unseen(reason v1alpha1.SoakReason) bool {
	return reason == v1alpha1.SoakUnobserved || reason == v1alpha1.SoakClockMoved
}

// stoppedUntil reckons the time up to an instant at which it was still seen not to run.
func (a *account) stoppedUntil(seen time.Time) {
	if a.begun() && a.Reason == v1alpha1.SoakNotRunning {
		a.interrupt(seen.Truncate(time.Second), a.Reason)
	}
}

// remember keeps what the next observation is compared with.
func (a *account) remember(o observation) {
	if a.seen {
		a.offset = a.drift(o)
	}
	if a.offset > clockTolerance {
		a.offset = 0 // that jump has been reckoned with
	}
	a.seen, a.at, a.elapsed = true, o.At, o.Elapsed
	a.Reason = o.Reason
	a.platforms = nil
	if o.Reason == "" {
		a.platforms = o.Platforms
	}
}

// ceil is the next full second, or this one.
func ceil(t time.Time) time.Time {
	if whole := t.Truncate(time.Second); whole.Before(t) {
		return whole.Add(time.Second)
	}
	return t
}
