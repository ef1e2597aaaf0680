package promote

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/chart"
	"github.com/envladder/envladder/internal/gitrepo"
	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/scm"
	"github.com/envladder/envladder/internal/verdict"
)

type clock func() time.Time

// Options of a promotion.
type Options struct {
	// Dir is the ladder's folder in the user's work tree.
	Dir string
	// Remote is Git's name of it; Base the branch that is promoted on, by default the
	// remote's own.
	Remote, Base string
	// Environment, and Target of it: none for the next wave.
	Environment, Target string
	// Images are the candidate (NAME@DIGEST), in place of the environment before.
	Images []string
	// Gates to ask in place of the one that the ladder names, and Recalls that count.
	Gates   []verdict.Gate
	Recalls []v1alpha1.Recall
	// AllowUnproven promotes what the cluster would refuse, as a draft.
	AllowUnproven bool
	// DryRun changes nothing.
	DryRun bool
	// Flags are what the pull request's text tells of the command beside environment and
	// target, so that whoever runs it again asks the same: paths relative to Dir, and no
	// token.
	Flags []string
	Forge Forge
	Judge Judge
	// Charts reads those that are in registries, where a Gate asks for their digest.
	Charts *chart.Puller
	Now    func() time.Time
}

// Run promotes, into one place or into all of a wave. Results beside an error are of
// what was done before it.
func Run(ctx context.Context, o Options) ([]Result, error) {
	repository, err := gitrepo.Open(ctx, o.Dir, o.Remote)
	if err != nil {
		return nil, err
	}
	p := &promotion{Options: o, repository: repository}
	if !o.DryRun {
		if err := repository.CheckIdentity(ctx); err != nil {
			return nil, err
		}
	}
	if p.Base == "" {
		if p.Base, err = repository.DefaultBranch(ctx); err != nil {
			return nil, err
		}
	} else if err := repository.CheckBranch(ctx, p.Base); err != nil {
		return nil, err
	}
	slots, err := p.plan(ctx)
	if err != nil {
		return nil, err
	}
	var results []Result
	for _, s := range slots {
		result, err := p.write(ctx, s)
		if err == nil || result.PullRequest != nil {
			results = append(results, result)
		}
		if err != nil {
			return results, err
		}
	}
	return results, nil
}

// promotion is one run.
type promotion struct {
	Options

	repository *gitrepo.Repository
	// candidate and forge are found once; everything else is read again from the base
	// at each attempt.
	candidate candidate
	forge     scm.Repository
}

// plan finds the candidate, and where it goes.
func (p *promotion) plan(ctx context.Context) (slots []slot, err error) {
	err = p.inWorktree(ctx, func(w *worktree) error {
		if err := p.checkClean(ctx, w.document); err != nil {
			return err
		}
		if _, err := w.document.Places(p.Environment); err != nil { // a typo is said first
			return err
		}
		if p.candidate, err = p.findCandidate(w.document); err != nil {
			return err
		}
		if slots, err = choose(w.document, p.Environment, p.Target, p.candidate); err != nil {
			return err
		}
		if len(slots) == 0 { // all are on it: each says so
			places, err := w.document.Places(p.Environment)
			slots = slotsOf(places)
			return err
		}
		return p.findForge(ctx, w.document)
	})
	return slots, err
}

func (p *promotion) findCandidate(document *ladder.Document) (candidate, error) {
	if len(p.Images) > 0 {
		return named(document, p.Images)
	}
	return fromBefore(document, p.Environment)
}

// findForge fails before anything is pushed where no pull request could be opened: the
// forge can't be reached, or the token may not read the repository.
func (p *promotion) findForge(ctx context.Context, document *ladder.Document) error {
	places, err := document.Places(p.Environment)
	if err != nil || p.DryRun || places[0].Environment.Promotion == ladder.PromotionCommit {
		return err
	}
	remote, err := p.repository.RemoteURL(ctx)
	if err != nil {
		return err
	}
	options, err := p.Forge.options(remote)
	if err != nil {
		return err
	}
	if p.forge, err = scm.New(options); err != nil {
		return err
	}
	if err := p.forge.Check(ctx); err != nil {
		return fmt.Errorf("checking the forge, before anything is pushed: %w", err)
	}
	return nil
}

// checkClean refuses where the user may think of what isn't pushed yet.
func (p *promotion) checkClean(ctx context.Context, document *ladder.Document) error {
	files := []string{document.File}
	for _, environment := range document.Spec.Environments {
		places, err := document.Places(environment.Name)
		if err != nil {
			continue // other environments' faults are theirs
		}
		for _, place := range places {
			for _, file := range []string{place.PinsFile, place.GateFile} {
				if file != "" {
					files = append(files, file)
				}
			}
		}
	}
	changed, err := p.repository.Changed(ctx, files...)
	if err != nil {
		return err
	}
	if len(changed) > 0 {
		return fmt.Errorf("promoting from a dirty work tree: %s isn't committed, and a promotion starts from %s of %s: commit and push it, or take it back",
			strings.Join(changed, ", "), p.Base, p.Remote)
	}
	return nil
}

// worktree is a temporary work tree with the ladder in it.
type worktree struct {
	*gitrepo.Worktree

	repo     *ladder.Repository
	document *ladder.Document
}

func (w *worktree) fs() fs.FS { return w.repo.FS() }

// inWorktree does something in a work tree of the base's tip, and takes it away.
func (p *promotion) inWorktree(ctx context.Context, do func(*worktree) error) (err error) {
	tree, err := p.repository.Worktree(ctx, p.Base)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, tree.Close(ctx)) }()
	repo, err := ladder.FindRepository(tree.Root)
	if err != nil {
		return err
	}
	defer repo.Close()
	document, err := ladder.Open(repo.FS(), p.repository.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading the ladder: folder %q has none on branch %s of %s, where a promotion starts from: push it first, or name the branch (--base)",
			p.repository.Dir, p.Base, p.Remote)
	}
	if err != nil {
		return fmt.Errorf("reading the ladder of branch %s: %w", p.Base, err)
	}
	return do(&worktree{Worktree: tree, repo: repo, document: document})
}

// maxAttempts: each failed one means that somebody else's push came through, so that ten
// who promote at once are all served.
const maxAttempts = 12

// errAgain is that another one came first.
var errAgain = errors.New("the branch has moved")

// write promotes into one place, again from the new tip where another push came first.
func (p *promotion) write(ctx context.Context, s slot) (Result, error) {
	for attempt := 1; ; attempt++ {
		var result Result
		err := p.inWorktree(ctx, func(w *worktree) (err error) {
			result, err = p.attempt(ctx, w, s)
			return err
		})
		again := errors.Is(err, gitrepo.ErrMoved) || errors.Is(err, errAgain)
		if err == nil || !again {
			return result, err
		}
		if attempt == maxAttempts {
			return result, fmt.Errorf("promoting to %s: others came first %d times: %w", s.name(), maxAttempts, err)
		}
		select {
		case <-ctx.Done():
			return result, context.Cause(ctx)
		case <-time.After(rand.N(time.Duration(attempt) * 50 * time.Millisecond)): //nolint:gosec // who comes next is no secret
		}
	}
}
