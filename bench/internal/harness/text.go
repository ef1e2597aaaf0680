package harness

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Round leaves the digits that mean something.
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

// MiB of bytes; empty where nothing is known.
func MiB(bytes int64) string {
	if bytes == 0 {
		return ""
	}
	return fmt.Sprintf("%d MiB", bytes>>20)
}

// CPU of one; empty where nothing is known.
func CPU(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return Round(d).String()
}

// Row of a table in Markdown.
func Row(cells ...string) string { return "| " + strings.Join(cells, " | ") + " |\n" }

// Head of a table in Markdown.
func Head(cells ...string) string {
	rule := make([]string, len(cells))
	for i := range rule {
		rule[i] = "---"
	}
	return Row(cells...) + Row(rule...)
}

// Counts reads numbers of one or more, separated by commas.
func Counts(text string) ([]int, error) {
	var counts []int
	for word := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(word)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%q is no number of one or more", word)
		}
		counts = append(counts, n)
	}
	return counts, nil
}
