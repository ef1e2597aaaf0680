package scm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// page reads one page of a list, 1 being the first.
type page func(ctx context.Context, number int) ([]PullRequest, *http.Response, error)

// tries of a listing that changes while it is read.
const tries = 4

// list reads all pages. Where there are several, they aren't of one moment: a pull
// request that is closed meanwhile moves another one from a page that is still to be
// read to one that was read. So they are read until two readings agree. A reading that
// has not what the forge's headers promise counts for none.
func list(ctx context.Context, read page) ([]PullRequest, *http.Response, error) {
	var before map[int]PullRequest
	for range tries {
		all, err := readAll(ctx, read)
		switch {
		case err != nil:
			return nil, all.response, err
		case !all.complete():
			before = nil
			continue
		case all.pages <= 1, before != nil && sameNumbers(before, all.found):
			return slices.SortedFunc(maps.Values(all.found), func(a, b PullRequest) int { return cmp.Compare(a.Number, b.Number) }), all.response, nil
		}
		before = all.found
	}
	return nil, nil, fmt.Errorf("each of the %d times that it was read the list had changed, or wasn't as long as the forge says: try again", tries)
}

// reading is one way through all pages.
type reading struct {
	found map[int]PullRequest
	pages int
	// total is how many there are as the forge counts them, -1 where it doesn't say
	// (GitHub), or a proxy dropped the header.
	total int
	// more is set where the last page that has any named another one.
	more     bool
	response *http.Response
}

// complete says whether the reading has what the forge says there is.
func (r reading) complete() bool { return !r.more && (r.total < 0 || r.total == len(r.found)) }

// readAll reads until a page is empty: a forge may send fewer than it was asked for,
// and a proxy may drop the header that says whether there are more.
func readAll(ctx context.Context, read page) (reading, error) {
	r := reading{found: map[int]PullRequest{}, total: -1}
	for number := 1; number <= maxPages; number++ {
		some, response, err := read(ctx, number) //nolint:bodyclose // the forge's library has read and closed it
		r.response = response
		if err != nil {
			return r, err
		}
		if total, err := strconv.Atoi(response.Header.Get("X-Total-Count")); err == nil {
			r.total = total
		}
		if len(some) == 0 {
			return r, nil
		}
		r.pages++
		r.more = strings.Contains(response.Header.Get("Link"), `rel="next"`)
		for _, p := range some {
			if p.Number <= 0 || !commit.MatchString(p.HeadSHA) {
				return r, errors.New("the answer has a pull request without number or commit: it isn't what this forge's API answers")
			}
			r.found[p.Number] = p
		}
	}
	return r, fmt.Errorf("there are more than %d pages of open pull requests", maxPages)
}

// commit is a name of SHA-1 or SHA-256. It becomes a part of URLs and tags.
var commit = regexp.MustCompile(`^[0-9a-f]{40}([0-9a-f]{24})?$`)

// checkCommits refuses what names no commits.
func checkCommits(all []string) error {
	for _, sha := range all {
		if !commit.MatchString(sha) {
			return errors.New("the answer has a commit without a name: it isn't what this forge's API answers")
		}
	}
	return nil
}

func sameNumbers(a, b map[int]PullRequest) bool {
	return len(a) == len(b) && !slices.ContainsFunc(slices.Collect(maps.Keys(a)), func(n int) bool {
		_, ok := b[n]
		return !ok
	})
}
