package promote

import (
	"context"
	"errors"
	"fmt"
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

// Run promotes, into one environment or target, or into all of a wave. Results that come
// with an error are of what was done before it.
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
	if err := p.findBase(ctx); err != nil {
		return nil, err
	}
	if p.quarantine, err = repository.Quarantine(ctx); err != nil {
		return nil, err
	}
	defer p.quarantine.Close()
	slots, err := p.plan(ctx)
	if err != nil {
		return nil, err
	}
	var results []Result
	for _, s := range slots {
		result, err := p.write(ctx, s)
		if err == nil || result.done() {
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
	quarantine *gitrepo.Quarantine
	// defaultBranch is the remote's own.
	defaultBranch string
	// base is its newest known state; nil where it has moved.
	base *snapshot
	// candidate and forge are found once; everything else is read again from the base
	// at each attempt.
	candidate candidate
	forge     scm.Repository
}

// findBase finds the branch that is promoted on.
func (p *promotion) findBase(ctx context.Context) (err error) {
	if p.Base != "" {
		if err := p.repository.CheckBranch(ctx, p.Base); err != nil {
			return err
		}
	}
	p.defaultBranch, err = p.repository.DefaultBranch(ctx)
	switch {
	case p.Base == "":
		p.Base = p.defaultBranch
		return err
	case errors.Is(err, gitrepo.ErrNoDefaultBranch):
		return nil
	}
	return err
}

// plan finds the candidate, and where it goes.
func (p *promotion) plan(ctx context.Context) (slots []slot, err error) {
	base, err := p.newest(ctx)
	if err != nil {
		return nil, err
	}
	if err := p.checkClean(ctx, base.document); err != nil {
		return nil, err
	}
	if _, err := base.document.Places(p.Environment); err != nil { // a typo is said first
		return nil, err
	}
	if p.candidate, err = p.findCandidate(base.document); err != nil {
		return nil, err
	}
	if slots, err = choose(base.document, p.Environment, p.Target, p.candidate); err != nil {
		return nil, err
	}
	if len(slots) == 0 { // all are on it: each says so
		places, err := base.document.Places(p.Environment)
		return slotsOf(places), err
	}
	return slots, p.findForge(ctx, base.document)
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
