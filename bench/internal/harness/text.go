package harness

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Round rounds to the significant digits.
func Round(d time.Duration) time.Duration {
	switch {
	case d > time.Second:
		return d.Round(10 * time.Millisecond)
	case d > 10*time.Millisecond:
		return d.Round(100 * time.Microsecond)
	default:
		return d.Round(10 * time.Microsecond)
	}
}

// MiB formats bytes, or returns an empty string for 0.
func MiB(bytes int64) string {
	if bytes == 0 {
		return ""
	}
	return fmt.Sprintf("%d MiB", bytes>>20)
}

// CPU formats processor time, or returns an empty string for 0.
func CPU(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return Round(d).String()
}

// Row returns a row of a Markdown table.
func Row(cells ...string) string { return "| " + strings.Join(cells, " | ") + " |\n" }

// Head returns the head of a Markdown table.
func Head(cells ...string) string {
	rule := make([]string, len(cells))
	for i := range rule {
		rule[i] = "---"
	}
	return Row(cells...) + Row(rule...)
}

// Counts parses a comma-separated list of numbers, each at least 1.
func Counts(text string) ([]int, error) {
	var counts []int
	for word := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(word)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%q isn't a number of at least 1", word)
		}
		counts = append(counts, n)
	}
	return counts, nil
}
