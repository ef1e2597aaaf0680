package observer

import "time"

// clock is the wall clock and the monotonic one, which nobody can set.
type clock interface {
	// Now is the wall clock's time.
	Now() time.Time
	// Elapsed is the monotonic clock's, since some instant of this process.
	Elapsed() time.Duration
}

type systemClock struct{ start time.Time }

func newSystemClock() clock { return systemClock{time.Now()} }

// Now leaves out the monotonic reading, so that differences are those of the wall clock.
func (systemClock) Now() time.Time { return time.Now().Round(0).UTC() }

func (c systemClock) Elapsed() time.Duration { return time.Since(c.start) }
