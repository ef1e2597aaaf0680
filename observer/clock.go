package observer

import "time"

// clock is the wall clock and the monotonic one, which nobody can set.
type clock interface {
	// Read is the time by both, as of one moment. The monotonic one counts from some
	// instant of this process.
	Read() (wall time.Time, elapsed time.Duration)
}

// instant is one moment by both clocks.
type instant struct {
	wall    time.Time
	elapsed time.Duration
}

func read(c clock) instant {
	wall, elapsed := c.Read()
	return instant{wall, elapsed}
}

type systemClock struct{ start time.Time }

func newSystemClock() clock { return systemClock{time.Now()} }

// Read takes one reading apart: without its monotonic part, differences are those of the
// wall clock.
func (c systemClock) Read() (wall time.Time, elapsed time.Duration) {
	now := time.Now()
	return now.Round(0).UTC(), now.Sub(c.start)
}
