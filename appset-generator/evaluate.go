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

// atOnce bounds the pull requests of a ladder whose images are looked for at once: kind
// to a registry, and 200 of them take no longer than some seconds.
const atOnce = 8

// evaluator decides which pull requests have a preview.
type evaluator struct {
	ladders  folder
	forges   forges
	registry Registry
	memory   *memory
	now      func() time.Time
	log      *slog.Logger

	// lists are the pull requests by source: several ladders may share one.
	lists shared[[]scm.PullRequest]
	// reports are by ladder.
	reports shared[Report]
}

// keepLists is how long a list of pull requests is used again: several ApplicationSets
// that ask at once are one question to the forge, and nobody waits longer for it.
const keepLists = 5 * time.Second

// report is the report of a ladder, whole, or an error.
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
	before := e.memory.of(name)
	candidates := e.candidates(plan, pulls, before.Pulls)
	finder := finder{plan, e.registry, repository.Commits, e.now}
	if err := findAll(ctx, finder, candidates); err != nil {
		e.remember(name, before.Answered, candidates)
		return Report{}, err
	}
	e.searchAgain(ctx, finder, candidates)
	choose(plan, candidates, before.Answered)
	if spared := countSpared(candidates); !before.Answered && spared > 0 {
		e.log.Warn("nothing is remembered of who has a preview: nobody's is taken, and there are more than the ladder's max", "ladder", name, "max", plan.max, "beyond", spared)
	}
	for _, c := range candidates {
		c.answered()
	}
	e.remember(name, true, candidates)
	return reportOf(name, candidates), nil
}

// candidate is a pull request on its way to a preview.
type candidate struct {
	pull    scm.PullRequest
	held    held
	preview Preview
	// known is set once its images were looked up; found is nil where it has none.
	known bool
	found *images
}

// candidates are all open pull requests; those that can't have a preview have their
// reason already.
func (e *evaluator) candidates(plan plan, pulls []scm.PullRequest, remembered map[int]held) []*candidate {
	all := make([]*candidate, len(pulls))
	for i, p := range pulls {
		c := &candidate{pull: p, held: remembered[p.Number].clone(), preview: previewOf(p)}
		switch idle := e.now().Sub(p.UpdatedAt); {
		case p.Fork && !plan.forks:
			c.preview.out(ReasonFork, "its branch is in another repository, and the ladder says forks: Deny")
		case plan.ttl > 0 && !p.UpdatedAt.IsZero() && idle > plan.ttl:
			c.preview.out(ReasonExpired, fmt.Sprintf("nothing happened in it since %s, and the ladder says ttl: %v: a push or a comment brings it back",
				p.UpdatedAt.UTC().Format(time.RFC3339), plan.ttl))
		}
		all[i] = c
	}
	return all
}

// maxFailures is how many pull requests may fail before the rest is left alone: the
// registry is down, or refuses us.
const maxFailures = atOnce

// findAll finds the images of all that could have a preview, those that have one first.
// One that isn't known makes the whole report unknown: its preview may exist. The error is
// about the first that failed, in the order in which they are looked up, so that it doesn't
// depend on which was faster.
func findAll(ctx context.Context, f finder, all []*candidate) error {
	order := lookupOrder(all)
	failed := make([]error, len(order))
	var failures atomic.Int32
	goOn := func() bool { return ctx.Err() == nil && failures.Load() < maxFailures }
	eachAtOnce(len(order), goOn, func(i int) {
		c := order[i]
		err := panics.Catch(func() (err error) {
			c.found, err = f.find(ctx, c.pull, &c.held)
			c.known = err == nil
			return err
		})
		if err != nil && ctx.Err() == nil { // else it failed because the time is over
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
	return fmt.Errorf("finding the images of %d pull requests: %d are known, and the next request goes on with the others: %w", len(order), known, ctx.Err())
}

// eachAtOnce calls do for 0 to n-1 in their order, atOnce at a time, while goOn allows it.
func eachAtOnce(n int, goOn func() bool, do func(i int)) {
	var group errgroup.Group
	group.SetLimit(atOnce)
	for i := 0; i < n && goOn(); i++ {
		group.Go(func() error {
			do(i)
			return nil
		})
	}
	_ = group.Wait() // none fails
}

// lookupOrder returns those that could have a preview: first those that have one, then
// those whose images were seen before, then the others by their numbers.
func lookupOrder(all []*candidate) []*candidate {
	var order []*candidate
	for _, c := range all {
		if c.preview.Reason == "" {
			order = append(order, c)
		}
	}
	rank := func(c *candidate) int {
		switch {
		case c.held.In:
			return 0
		case c.held.SHA != "":
			return 1
		}
		return 2
	}
	slices.SortStableFunc(order, func(a, b *candidate) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.pull.Number, b.pull.Number))
	})
	return order
}

// searchAgain goes through the earlier commits of some pull requests again that have no
// images: one may have got them since. They have no preview, so that it is no harm if it
// fails: it goes on with the next answer.
func (e *evaluator) searchAgain(ctx context.Context, f finder, all []*candidate) {
	var again []*candidate
	for _, c := range all {
		old := c.held.Searched == c.pull.HeadSHA && e.now().Sub(c.held.SearchedAt) >= searchAgain
		if c.preview.Reason == "" && c.found == nil && old && len(again) < maxAgain {
			again = append(again, c)
		}
	}
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/2) // the rest is for the answer
		defer cancel()
	}
	eachAtOnce(len(again), func() bool { return ctx.Err() == nil }, func(i int) {
		c := again[i]
		if err := panics.Catch(func() (err error) {
			c.found, err = f.search(ctx, c.pull, &c.held)
			return err
		}); err != nil {
			e.log.Warn("can't search earlier commits for images again; the next request tries it", "pullRequest", c.pull.Number, "error", printable.Line(err.Error(), maxError))
		}
	})
}

// answered notes what an answer ends.
func (c *candidate) answered() {
	c.held.Head = nil
	if c.held.In = c.preview.In; !c.held.In {
		c.held.Spared = 0
	}
}

// choose gives each its reason. Where there are more than the ladder's max, those that
// have a preview keep it, the others wait in the order of their numbers: a new pull
// request takes no preview from anybody who works with it. Where it isn't known who has
// one, anybody who can may have it, and keeps it beyond the max.
func choose(plan plan, all []*candidate, known bool) {
	order := slices.Clone(all)
	slices.SortStableFunc(order, func(a, b *candidate) int {
		if a.held.In != b.held.In {
			if a.held.In {
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
			c.preview.out(ReasonNoImage, "not all of its images exist yet in the registry, neither of "+short(c.pull.HeadSHA)+" nor of an earlier commit")
		case plan.max > 0 && taken >= plan.max && known && !c.held.spared(plan.max):
			c.preview.out(ReasonMaxReached, fmt.Sprintf("%d have a preview, and the ladder says max: %d: its turn comes when one of them goes", taken, plan.max))
		default:
			c.preview.in(c.pull, plan.ladder, *c.found)
			c.spare(plan.max, taken)
			taken++
		}
	}
}

// spare notes whether a preview is beyond the ladder's max, behind so many others.
func (c *candidate) spare(most, taken int) {
	switch {
	case most == 0 || taken < most:
		c.held.Spared = 0
	default:
		if c.held.Spared == 0 {
			c.held.Spared = most
		}
		c.preview.Message += fmt.Sprintf("; it is beyond the ladder's max: %d, and keeps its preview because it may have had it before the service began to remember", most)
	}
}

func countSpared(all []*candidate) (spared int) {
	for _, c := range all {
		if c.held.Spared > 0 {
			spared++
		}
	}
	return spared
}

// remember stores what was found, also where no answer can be given, and forgets pull
// requests that aren't open any more.
func (e *evaluator) remember(name string, answered bool, all []*candidate) {
	pulls := map[int]held{}
	for _, c := range all {
		pulls[c.pull.Number] = c.held
	}
	// It is known all the same, as long as this process lives.
	if err := e.memory.set(name, remembered{answered, pulls}); err != nil {
		e.log.Error("what is remembered of previews won't survive a restart", "ladder", name, "error", err)
	}
}

func reportOf(name string, all []*candidate) Report {
	r := Report{Ladder: name, Previews: make([]Preview, len(all))}
	for i, c := range all {
		r.Previews[i] = c.preview
	}
	return r
}
