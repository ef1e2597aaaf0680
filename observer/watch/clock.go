package watch

import "time"

// Clock reads the wall clock and the monotonic one, which no one can set.
type Clock interface {
	// Read returns the time by both, as of one moment. The monotonic one counts from some
	// instant of this process.
	Read() (wall time.Time, elapsed time.Duration)
}

// Instant is one moment by both clocks.
type Instant struct {
	Wall    time.Time
	Elapsed time.Duration
}

// Now reads a clock.
func Now(c Clock) Instant {
	wall, elapsed := c.Read()
	return Instant{wall, elapsed}
}

type systemClock struct{ start time.Time }

// NewSystemClock returns the clock of the system.
func NewSystemClock() Clock { return systemClock{time.Now()} }

// Read returns the wall clock without its monotonic part, so that differences are those
// of the wall clock.
func (c systemClock) Read() (wall time.Time, elapsed time.Duration) {
	now := time.Now()
	return now.Round(0).UTC(), now.Sub(c.start)
}
