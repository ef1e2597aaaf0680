package appset

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/envladder/envladder/internal/panics"
	"github.com/envladder/envladder/internal/printable"
	"github.com/envladder/envladder/internal/scm"
)

// maxConcurrent bounds the pull requests of a ladder whose images are looked up
// concurrently: few for a registry, and 200 pull requests take some seconds.
const maxConcurrent = 8

// evaluator decides which pull requests have a preview.
type evaluator struct {
	ladders  folder
	forges   forges
	registry Registry
	states   *stateStore
	now      func() time.Time
	log      *slog.Logger

	// lists are the open pull requests by source, which several ladders may share.
	lists singleflight[[]scm.PullRequest]
	// reports are by ladder.
	reports singleflight[Report]
}

// listTTL is how long a list of pull requests is cached: several ApplicationSets that send
// requests at the same time need one list, and no change is delayed noticeably.
const listTTL = 5 * time.Second

// report returns the complete report of a ladder, or an error.
func (e *evaluator) report(ctx context.Context, name string) (Report, error) {
	return e.reports.do(ctx, name, func(ctx context.Context) (Report, error) { return e.evaluate(ctx, name) })
}

func (e *evaluator) evaluate(ctx context.Context, name string) (Report, error) {
	plan, err := e.ladders.plan(name)
	if err != nil {
		return Report{}, err
	}
	repository, err := e.forges.repository(plan.source)
	if err != nil {
		return Report{}, err
	}
	pulls, err := e.lists.do(ctx, string(plan.source.Forge)+" "+plan.source.Repository, repository.Open)
	if err != nil {
		return Report{}, err
	}
	before := e.states.get(name)
	candidates := e.candidates(plan, pulls, before.Pulls)
	finder := finder{plan, e.registry, repository.Commits, e.now}
	if err := findAll(ctx, finder, candidates); err != nil {
		e.remember(name, before.Answered, candidates)
		return Report{}, err
	}
	e.searchAgain(ctx, finder, candidates)
	choosePreviews(plan, candidates, before.Answered)
	if overMax := countOverMax(candidates); !before.Answered && overMax > 0 {
		e.log.Warn("no state of who has a preview: none is removed, and there are more than the ladder's max", "ladder", name, "max", plan.max, "overMax", overMax)
	}
	for _, c := range candidates {
		c.finish()
	}
	e.remember(name, true, candidates)
	return newReport(name, candidates), nil
}

// candidate is a pull request that may get a preview.
type candidate struct {
	pull    scm.PullRequest
	state   pullState
	preview Preview
	// known is set once its images are looked up; found is nil where it has none.
	known bool
	found *images
}

// candidates returns all open pull requests; those that can't have a preview have their
// reason already.
func (e *evaluator) candidates(plan plan, pulls []scm.PullRequest, known map[int]pullState) []*candidate {
	all := make([]*candidate, len(pulls))
	for i, p := range pulls {
		c := &candidate{pull: p, state: known[p.Number].clone(), preview: newPreview(p)}
		switch idle := e.now().Sub(p.UpdatedAt); {
		case p.Fork && !plan.forks:
			c.preview.exclude(ReasonFork, "its branch is in another repository, and the ladder has forks: Deny")
		case plan.ttl > 0 && !p.UpdatedAt.IsZero() && idle > plan.ttl:
			c.preview.exclude(ReasonExpired, fmt.Sprintf("no activity since %s, and the ladder has ttl: %v: a push or a comment restores it",
				p.UpdatedAt.UTC().Format(time.RFC3339), plan.ttl))
		}
		all[i] = c
	}
	return all
}

// maxFailures is how many pull requests may fail before the rest is skipped: the registry
// is down, or denies access.
const maxFailures = maxConcurrent

// findAll finds the images of all candidates, those with a preview first. One failure fails
// the whole report, since that pull request's preview may exist. It returns the error of the
// first that failed in the order of lookups, so that the error doesn't depend on timing.
func findAll(ctx context.Context, f finder, all []*candidate) error {
	order := lookupOrder(all)
	failed := make([]error, len(order))
	var failures atomic.Int32
	proceed := func() bool { return ctx.Err() == nil && failures.Load() < maxFailures }
	forEach(len(order), proceed, func(i int) {
		c := order[i]
		err := panics.Catch(func() (err error) {
			c.found, err = f.find(ctx, c.pull, &c.state)
			c.known = err == nil
			return err
		})
		if err != nil && ctx.Err() == nil { // otherwise it timed out
			failed[i] = err
			failures.Add(1)
		}
	})
	for _, err := range failed {
		if err != nil {
			return err
		}
	}
	known := 0
	for _, c := range order {
		if c.known {
			known++
		}
	}
	if known == len(order) {
		return nil
	}
	return fmt.Errorf("finding the images of %d pull requests: %d are known, the next request continues with the others: %w", len(order), known, ctx.Err())
}

// forEach calls do for 0 to n-1 in order, maxConcurrent at a time, while proceed allows it.
func forEach(n int, proceed func() bool, do func(i int)) {
	var group errgroup.Group
	group.SetLimit(maxConcurrent)
	for i := 0; i < n && proceed(); i++ {
		group.Go(func() error {
			do(i)
			return nil
		})
	}
	_ = group.Wait() // none fails
}

// lookupOrder returns the candidates that could have a preview: first those that have one,
// then those whose images were found before, then the others by number.
func lookupOrder(all []*candidate) []*candidate {
	var order []*candidate
	for _, c := range all {
		if c.preview.Reason == "" {
			order = append(order, c)
		}
	}
	rank := func(c *candidate) int {
		switch {
		case c.state.In:
			return 0
		case c.state.SHA != "":
			return 1
		}
		return 2
	}
	slices.SortStableFunc(order, func(a, b *candidate) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.pull.Number, b.pull.Number))
	})
	return order
}

// searchAgain repeats the search of earlier commits for some pull requests without images:
// a commit may have them since. They have no preview, so a failure removes none, and the
// next request continues.
func (e *evaluator) searchAgain(ctx context.Context, f finder, all []*candidate) {
	var again []*candidate
	for _, c := range all {
		isDue := c.state.Searched == c.pull.HeadSHA && e.now().Sub(c.state.SearchedAt) >= searchInterval
		if c.preview.Reason == "" && c.found == nil && isDue && len(again) < maxSearches {
			again = append(again, c)
		}
	}
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/2) // the rest is for the response
		defer cancel()
	}
	forEach(len(again), func() bool { return ctx.Err() == nil }, func(i int) {
		c := again[i]
		if err := panics.Catch(func() (err error) {
			c.found, err = f.search(ctx, c.pull, &c.state)
			return err
		}); err != nil {
			e.log.Warn("searching earlier commits again failed; retrying with the next request", "pullRequest", c.pull.Number, "error", printable.Line(err.Error(), maxError))
		}
	})
}

// finish updates the state after a successful request.
func (c *candidate) finish() {
	c.state.Head = nil
	if c.state.In = c.preview.In; !c.state.In {
		c.state.OverMax = 0
	}
}

// choosePreviews sets the reason of each candidate. Beyond the ladder's max, pull requests
// with a preview keep it, and the others wait in the order of their numbers: a new pull
// request removes no preview that is in use. If it isn't known who has one, all that can
// have one get it, and keep it beyond the max.
func choosePreviews(plan plan, all []*candidate, known bool) {
	order := slices.Clone(all)
	slices.SortStableFunc(order, func(a, b *candidate) int {
		if a.state.In != b.state.In {
			if a.state.In {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.pull.Number, b.pull.Number)
	})
	taken := 0
	for _, c := range order {
		switch {
		case c.preview.Reason != "":
		case c.found == nil:
			c.preview.exclude(ReasonNoImage, "not all of its images exist in the registry yet, neither of "+short(c.pull.HeadSHA)+" nor of an earlier commit")
		case plan.max > 0 && taken >= plan.max && known && !c.state.allowedOverMax(plan.max):
			c.preview.exclude(ReasonMaxReached, fmt.Sprintf("%d have a preview, and the ladder has max: %d: it gets one when another ends", taken, plan.max))
		default:
			c.preview.include(c.pull, plan.ladder, *c.found)
			c.noteOverMax(plan.max, taken)
			taken++
		}
	}
}

// noteOverMax notes whether a preview is beyond the ladder's max, after so many others.
func (c *candidate) noteOverMax(most, taken int) {
	switch {
	case most == 0 || taken < most:
		c.state.OverMax = 0
	default:
		if c.state.OverMax == 0 {
			c.state.OverMax = most
		}
		c.preview.Message += fmt.Sprintf("; it is beyond the ladder's max: %d, and keeps its preview because it may have had it before the state was stored", most)
	}
}

func countOverMax(all []*candidate) (overMax int) {
	for _, c := range all {
		if c.state.OverMax > 0 {
			overMax++
		}
	}
	return overMax
}

// remember stores what was found, also for requests that fail, without the pull requests
// that aren't open any more.
func (e *evaluator) remember(name string, answered bool, all []*candidate) {
	pulls := map[int]pullState{}
	for _, c := range all {
		pulls[c.pull.Number] = c.state
	}
	// The state stays in memory in any case.
	if err := e.states.set(name, ladderState{answered, pulls}); err != nil {
		e.log.Error("writing the state failed; it won't survive a restart", "ladder", name, "error", err)
	}
}

func newReport(name string, all []*candidate) Report {
	r := Report{Ladder: name, Previews: make([]Preview, len(all))}
	for i, c := range all {
		r.Previews[i] = c.preview
	}
	return r
}
