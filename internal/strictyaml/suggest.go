package strictyaml

import (
	"fmt"
	"strings"
)

// maxGuess is the longest word in bytes that is compared with others: names are DNS labels
// (63) and fields of documents. The cost of a comparison is the product of the lengths.
const maxGuess = 64

// DidYouMean returns a hint such as `, did you mean "tier"?` where one of the names is
// similar to the written one, or nothing. It doesn't suggest the written name itself.
func DidYouMean(written string, names []string) string {
	// Two typos are allowed, and fewer in words of less than four letters.
	best, least := "", min(2, len(written)/2)+1
	if len(written) > maxGuess {
		return ""
	}
	for _, name := range names {
		if len(name) > maxGuess || name == written {
			continue
		}
		if d := distance(strings.ToLower(written), strings.ToLower(name)); d < least {
			best, least = name, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(", did you mean %q?", best)
}

// distance returns how many bytes to insert, delete, replace or swap with the next one to
// turn a into b (the Levenshtein distance with swaps of neighbours).
func distance(a, b string) int {
	var before, last, row []int
	for i := range len(a) + 1 {
		row = make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			if i == 0 {
				row[j] = j
				continue
			}
			replace := last[j-1]
			if a[i-1] != b[j-1] {
				replace++
			}
			row[j] = min(last[j]+1, row[j-1]+1, replace)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return row[len(b)]
}
