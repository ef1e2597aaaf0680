package window

import (
	"slices"
	"time"

	"github.com/envladder/envladder/api/v1alpha1"
)

const (
	// ClockTolerance is how far the wall clock may move against the monotonic one before
	// the time between two samples is rejected: NTP slews both clocks alike, and a leap
	// second is one second.
	ClockTolerance = 2 * time.Second
	// MaxInterruptions bounds the list of interruptions; their sum covers those that were
	// dropped from it too.
	MaxInterruptions = 64
	// maxPlatforms bounds the platforms of one image that pods run on.
	maxPlatforms = 16
)

// Sample is what was observed of a digest at an instant.
type Sample struct {
	// At is the time by the wall clock.
	At time.Time
	// Elapsed is the time by the monotonic clock, since any instant of this process.
	Elapsed time.Duration
	// Reason why the digest isn't healthy; empty where it is.
	Reason v1alpha1.SoakReason
	// Dip is why the digest was unhealthy at some moment since the previous sample.
	Dip v1alpha1.SoakReason
	// Ready is the number of ready pods.
	Ready int32
	// Restarts since the previous sample.
	Restarts int32
	// Platforms that ready pods run on.
	Platforms []string
}

// Interruption is time that doesn't count as healthy.
type Interruption struct {
	From, To time.Time
	Reason   v1alpha1.SoakReason
}

// Window is the time since a digest was healthy for the first time, split into healthy
// time and interruptions.
//
// It is measured in whole seconds: healthy time is rounded down and interruptions are
// rounded up, so that rounding never adds healthy time. Healthy time is what both clocks
// agree has passed. Where the wall clock gained, ObservedAt lags behind it by at most
// twice ClockTolerance: from that much too late to that much too early.
type Window struct {
	StartedAt, ObservedAt time.Time // zero until the digest was healthy for the first time

	Healthy, LongestHealthy, LongestGap, Interrupted int64 // seconds
	MinReady, Restarts                               int32
	Interruptions                                    []Interruption
	Platforms                                        map[string]int64 // seconds

	// Reason at the last sample; empty where the digest was healthy.
	Reason v1alpha1.SoakReason

	// Watched is set where this process has watched the namespace without a break since
	// the Window was stored: it would have seen the digest run.
	Watched bool

	run int64 // seconds of health without interruption
	// The last sample of this process; not stored.
	sampled   bool
	at        time.Time
	elapsed   time.Duration
	offset    time.Duration // of the wall clock to the monotonic one
	measured  time.Duration // the monotonic time that corresponds to ObservedAt
	platforms []string
}

// Started reports whether the digest has been healthy, which starts the window.
func (w *Window) Started() bool { return !w.StartedAt.IsZero() }

// Add adds a sample. maxInterval is the longest time between two samples that can count.
// Add reports whether the sample started the window, for the first time or again.
func (w *Window) Add(s Sample, maxInterval time.Duration) (started bool) {
	if w.Started() && w.movedBack(s) {
		// Time that was measured by a wrong clock can't be corrected.
		*w = Window{}
	}
	if !w.Started() {
		if s.Reason == "" {
			w.start(s)
		}
		w.remember(s)
		return w.Started()
	}
	w.Restarts += max(s.Restarts, 0)
	if s.Reason == "" {
		w.MinReady = min(w.MinReady, s.Ready)
	}
	if reason := w.reasonSince(s, maxInterval); reason == "" {
		w.addHealthy(s)
	} else {
		w.interrupt(ceilSecond(s.At), reason)
		w.measured = s.elapsedAt(w.ObservedAt)
	}
	w.remember(s)
	return false
}

func (w *Window) start(s Sample) {
	start := ceilSecond(s.At)
	*w = Window{StartedAt: start, ObservedAt: start, MinReady: s.Ready, measured: s.elapsedAt(start)}
}

// elapsedAt returns the monotonic time of an instant close to the sample.
func (s Sample) elapsedAt(instant time.Time) time.Duration { return s.Elapsed + instant.Sub(s.At) }

// movedBack reports whether the wall clock went back: compared with the monotonic clock
// or, after a restart, with the stored window.
func (w *Window) movedBack(s Sample) bool {
	if !w.sampled {
		return s.At.Before(w.ObservedAt.Add(-ClockTolerance))
	}
	return w.drift(s) < -ClockTolerance
}

// drift returns how far the wall clock has moved against the monotonic one since the
// first sample of this process, so that many small steps add up.
func (w *Window) drift(s Sample) time.Duration {
	return s.At.Sub(w.at) - (s.Elapsed - w.elapsed) + w.offset
}

// reasonSince returns why the time since the last sample doesn't count, or "".
func (w *Window) reasonSince(s Sample, maxInterval time.Duration) v1alpha1.SoakReason {
	switch {
	case !w.sampled && w.Watched && w.Reason == v1alpha1.SoakNotRunning:
		return v1alpha1.SoakNotRunning
	case !w.sampled:
		return v1alpha1.SoakUnobserved
	case w.drift(s) > ClockTolerance:
		return v1alpha1.SoakClockMoved
	case w.Reason == v1alpha1.SoakNotRunning:
		return w.Reason // of any length: a digest that doesn't run isn't sampled
	case s.Elapsed-w.elapsed > maxInterval:
		return v1alpha1.SoakUnobserved
	case s.Dip != "":
		return s.Dip
	case w.Reason != "":
		return w.Reason
	default:
		return s.Reason
	}
}

// addHealthy counts the time since the last sample as healthy.
func (w *Window) addHealthy(s Sample) {
	seconds := int64(min(s.At.Sub(w.ObservedAt), s.Elapsed-w.measured) / time.Second)
	if seconds <= 0 {
		return
	}
	w.ObservedAt = w.ObservedAt.Add(time.Duration(seconds) * time.Second)
	w.measured += time.Duration(seconds) * time.Second
	w.Healthy += seconds
	w.run += seconds
	w.LongestHealthy = max(w.LongestHealthy, w.run)
	for _, platform := range s.Platforms {
		if slices.Contains(w.platforms, platform) {
			w.addPlatform(platform, seconds)
		}
	}
}

func (w *Window) addPlatform(platform string, seconds int64) {
	if _, known := w.Platforms[platform]; !known && len(w.Platforms) >= maxPlatforms {
		return
	}
	if w.Platforms == nil {
		w.Platforms = map[string]int64{}
	}
	w.Platforms[platform] += seconds
}

// remember stores what the next sample is compared with.
func (w *Window) remember(s Sample) {
	if w.sampled {
		w.offset = w.drift(s)
	}
	if w.offset > ClockTolerance {
		w.offset = 0 // that jump is accounted for
	}
	w.sampled = true
	w.at = s.At
	w.elapsed = s.Elapsed
	w.Reason = s.Reason
	w.platforms = nil
	if s.Reason == "" {
		w.platforms = s.Platforms
	}
}

// ceilSecond rounds up to the next full second.
func ceilSecond(t time.Time) time.Time {
	if whole := t.Truncate(time.Second); whole.Before(t) {
		return whole.Add(time.Second)
	}
	return t
}
