package window

import (
	"slices"
	"time"

	"github.com/envladder/envladder/api/v1alpha1"
)

// interrupt counts the time up to `to` as not healthy.
func (w *Window) interrupt(to time.Time, reason v1alpha1.SoakReason) {
	w.run = 0
	if !to.After(w.ObservedAt) {
		return
	}
	from := w.ObservedAt
	w.ObservedAt = to
	w.Interrupted += int64(to.Sub(from) / time.Second)
	if last := len(w.Interruptions) - 1; last >= 0 && w.Interruptions[last].To.Equal(from) && w.Interruptions[last].Reason == reason {
		w.Interruptions[last].To = to
	} else {
		w.Interruptions = append(w.Interruptions, Interruption{from, to, reason})
	}
	if extra := len(w.Interruptions) - MaxInterruptions; extra > 0 {
		w.Interruptions = slices.Delete(w.Interruptions, 0, extra)
	}
	if IsUnobserved(reason) {
		w.LongestGap = max(w.LongestGap, w.Interruptions[len(w.Interruptions)-1].seconds())
	}
}

// AddStopped counts the time up to an instant at which the digest was still seen not to
// run.
func (w *Window) AddStopped(until time.Time) {
	if w.Started() && w.Reason == v1alpha1.SoakNotRunning {
		w.interrupt(until.Truncate(time.Second), w.Reason)
	}
}

// UntilHealthy returns the window up to the end of its last healthy time. Signing the
// interruptions after it would make the statement look younger than what it proves.
func (w *Window) UntilHealthy() Window {
	trimmed := *w
	if w.Healthy == 0 {
		return trimmed
	}
	interruptions := w.Interruptions
	for n := len(interruptions); n > 0 && interruptions[n-1].To.Equal(trimmed.ObservedAt); n-- {
		trimmed.ObservedAt = interruptions[n-1].From
		trimmed.Interrupted -= interruptions[n-1].seconds()
		interruptions = interruptions[:n-1]
	}
	trimmed.Interruptions = interruptions
	trimmed.LongestGap = longestGap(interruptions, trimmed.Interrupted, w.LongestGap)
	return trimmed
}

// longestGap returns the longest unobserved interruption. Where the list was cut, it
// returns the one that was known before, as far as it fits into the sum.
func longestGap(interruptions []Interruption, sum, known int64) int64 {
	var longest, listed int64
	for _, i := range interruptions {
		listed += i.seconds()
		if IsUnobserved(i.Reason) {
			longest = max(longest, i.seconds())
		}
	}
	if listed < sum {
		return min(known, sum)
	}
	return longest
}

func (i Interruption) seconds() int64 { return int64(i.To.Sub(i.From) / time.Second) }

// IsUnobserved reports whether a reason stands for time that no observer saw.
func IsUnobserved(reason v1alpha1.SoakReason) bool {
	return reason == v1alpha1.SoakUnobserved || reason == v1alpha1.SoakClockMoved
}
