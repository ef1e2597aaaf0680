package gate

import (
	"fmt"
	"time"
)

// inconsistent recomputes what a soak's raw figures allow, and reports which figure
// contradicts the others; empty if none does. An open window is only checked for negative
// figures, since it proves nothing.
func (e Evidence) inconsistent() string {
	w := e.Soak.Window
	if why := negative(w); why != "" {
		return why
	}
	if w.FinishedAt == nil {
		return ""
	}
	if w.StartedAt.IsZero() {
		return "the window has no startedAt"
	}
	window := w.FinishedAt.Sub(w.StartedAt) // keeps within ±292 years
	if window <= 0 {
		return fmt.Sprintf("the window ends (%s) before it begins (%s)", stamp(*w.FinishedAt), stamp(w.StartedAt))
	}
	if !e.Signed.IsZero() && w.FinishedAt.After(e.Signed.Add(clockSkew)) {
		return fmt.Sprintf("the window ends (%s) after it was signed (%s)", stamp(*w.FinishedAt), stamp(e.Signed))
	}
	interrupted, why := interruptions(w, window)
	if why != "" {
		return why
	}
	return healthyWithin(e.Soak, window, window-interrupted)
}

func negative(w SoakWindow) string {
	for _, figure := range []struct {
		name  string
		value int64
	}{
		{"healthySeconds", w.HealthySeconds},
		{"longestHealthySeconds", w.LongestHealthySeconds},
		{"longestGapSeconds", w.LongestGapSeconds},
		{"interruptedSeconds", w.InterruptedSeconds},
		{"minReady", int64(w.MinReady)},
		{"restarts", int64(w.Restarts)},
	} {
		if figure.value < 0 {
			return fmt.Sprintf("%s is negative (%d)", figure.name, figure.value)
		}
	}
	return ""
}

// interruptions returns the time that doesn't count: the listed interruptions, or the stated
// sum if the list was cut, whichever is more.
func interruptions(w SoakWindow, window time.Duration) (time.Duration, string) {
	var sum time.Duration
	for i, piece := range w.Interruptions {
		if piece.To.Before(piece.From) || piece.From.Before(w.StartedAt) || piece.To.After(*w.FinishedAt) {
			return 0, fmt.Sprintf("interruptions[%d] isn't inside the window", i)
		}
		// Both are at most the window, so the difference can't overflow.
		length := piece.To.Sub(piece.From)
		if length > window-sum {
			return 0, "the interruptions are longer than the window"
		}
		sum += length
	}
	if w.InterruptedSeconds > int64(window/time.Second) {
		return 0, "interruptedSeconds is longer than the window"
	}
	return max(sum, time.Duration(w.InterruptedSeconds)*time.Second), ""
}

// healthyWithin reports healthy times that exceed the window less its interruptions.
func healthyWithin(s *Soak, window, left time.Duration) string {
	w, most := s.Window, int64(left/time.Second)
	switch {
	case w.HealthySeconds > most:
		return fmt.Sprintf("healthySeconds is %d, the window less its interruptions has %d", w.HealthySeconds, most)
	case w.LongestHealthySeconds > w.HealthySeconds:
		return fmt.Sprintf("longestHealthySeconds (%d) is more than healthySeconds (%d)", w.LongestHealthySeconds, w.HealthySeconds)
	case w.LongestGapSeconds > int64(window/time.Second):
		return "longestGapSeconds is longer than the window"
	}
	for i, p := range s.Image.Platforms {
		if p.HealthySeconds < 0 || p.HealthySeconds > most {
			return fmt.Sprintf("image.platforms[%d].healthySeconds (%d) isn't inside the window", i, p.HealthySeconds)
		}
	}
	return ""
}
