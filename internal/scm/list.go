package scm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
)

// page reads one page of a list, 1 being the first.
type page func(ctx context.Context, number int) ([]PullRequest, *http.Response, error)

// tries of a listing that changes while it is read.
const tries = 4

// list reads all pages. Where there are several, they aren't of one moment: a pull
// request that is closed meanwhile moves another one from a page that is still to be
// read to one that was read. So they are read until two readings agree.
func list(ctx context.Context, read page) ([]PullRequest, *http.Response, error) {
	var before map[int]PullRequest
	for range tries {
		all, pages, response, err := readAll(ctx, read)
		if err != nil {
			return nil, response, err
		}
		if pages <= 1 || before != nil && sameNumbers(before, all) {
			return slices.SortedFunc(maps.Values(all), func(a, b PullRequest) int { return cmp.Compare(a.Number, b.Number) }), response, nil
		}
		before = all
	}
	return nil, nil, fmt.Errorf("the list changed each of the %d times that it was read: try again", tries)
}

// readAll reads until a page is empty: a forge may send fewer than it was asked for,
// and a proxy may drop the header that says whether there are more.
func readAll(ctx context.Context, read page) (all map[int]PullRequest, pages int, response *http.Response, err error) {
	all = map[int]PullRequest{}
	for number := 1; number <= maxPages; number++ {
		some, response, err := read(ctx, number)
		if err != nil {
			return nil, 0, response, err
		}
		if len(some) == 0 {
			return all, pages, response, nil
		}
		pages++
		for _, p := range some {
			if p.Number <= 0 || p.HeadSHA == "" {
				return nil, 0, response, errors.New("the answer has a pull request without number or commit: it isn't what this forge's API answers")
			}
			all[p.Number] = p
		}
	}
	return nil, 0, nil, fmt.Errorf("there are more than %d pages of open pull requests", maxPages)
}

func sameNumbers(a, b map[int]PullRequest) bool {
	return len(a) == len(b) && !slices.ContainsFunc(slices.Collect(maps.Keys(a)), func(n int) bool {
		_, ok := b[n]
		return !ok
	})
}
