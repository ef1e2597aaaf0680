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

// tries bounds the readings of a list that changes while it is read.
const tries = 4

// list reads all pages. Several pages are not of the same moment: closing a pull request
// meanwhile moves another one from a page that is not read yet to one that was read. The
// pages are therefore read until two readings agree. A reading that lacks what the forge's
// headers promise doesn't count.
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
	return nil, nil, fmt.Errorf("read %d times, the list changed each time, or was shorter than the forge reports: try again", tries)
}

// reading is the result of reading all pages once.
type reading struct {
	found map[int]PullRequest
	pages int
	// total is the number that the forge reports, -1 where it reports none (GitHub), or a
	// proxy dropped the header.
	total int
	// more is set where the last non-empty page linked to another one.
	more     bool
	response *http.Response
}

// complete reports whether the reading has as many as the forge reports.
func (r reading) complete() bool { return !r.more && (r.total < 0 || r.total == len(r.found)) }

// readAll reads until a page is empty: a forge may send fewer than requested, and a proxy
// may drop the header that links to the next page.
func readAll(ctx context.Context, read page) (reading, error) {
	r := reading{found: map[int]PullRequest{}, total: -1}
	for number := 1; number <= maxPages; number++ {
		pulls, response, err := read(ctx, number) //nolint:bodyclose // the forge's library has read and closed it
		r.response = response
		if err != nil {
			return r, err
		}
		if total, err := strconv.Atoi(response.Header.Get("X-Total-Count")); err == nil {
			r.total = total
		}
		if len(pulls) == 0 {
			return r, nil
		}
		r.pages++
		r.more = strings.Contains(response.Header.Get("Link"), `rel="next"`)
		for _, p := range pulls {
			if p.Number <= 0 || !commit.MatchString(p.HeadSHA) {
				return r, errors.New("the response has a pull request without number or commit, unlike this forge's API")
			}
			r.found[p.Number] = p
		}
	}
	return r, fmt.Errorf("more than %d pages of open pull requests", maxPages)
}

// commit matches a SHA-1 or SHA-256 ID. It becomes part of URLs and tags.
var commit = regexp.MustCompile(`^[0-9a-f]{40}([0-9a-f]{24})?$`)

// checkCommits rejects invalid IDs of commits.
func checkCommits(all []string) error {
	for _, sha := range all {
		if !commit.MatchString(sha) {
			return errors.New("the response has a commit without an ID, unlike this forge's API")
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
