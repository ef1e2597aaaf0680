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
	"github.com/envladder/envladder/promote/forge"
)

type clock func() time.Time

// Options of a promotion.
type Options struct {
	// Dir is the ladder's folder in the user's work tree.
	Dir string
	// Remote is its name in Git; Base the branch to promote on, by default the remote's
	// default branch.
	Remote, Base string
	// Environment, and its Target: empty for the next wave.
	Environment, Target string
	// Images are the candidate (NAME@DIGEST), in place of what the environment before has.
	Images []string
	// Gates to check in place of the one that the ladder names, and Recalls.
	Gates   []verdict.Gate
	Recalls []v1alpha1.Recall
	// AllowUnproven promotes what the cluster would deny, as a draft.
	AllowUnproven bool
	// DryRun changes nothing.
	DryRun bool
	// Flags of the command, for the pull request's body, so that anyone can run the same
	// command again: with paths relative to Dir, and without a token.
	Flags []string
	Forge forge.Config
	Judge Judge
	// Charts reads charts from registries, where a Gate requires their digest.
	Charts *chart.Puller
	Now    func() time.Time
}

// Run promotes into one environment or target, or into all targets of a wave. With an error
// it returns the results of what was done before.
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
	groups, err := p.plan(ctx)
	if err != nil {
		return nil, err
	}
	var results []Result
	for _, g := range groups {
		result, err := p.write(ctx, g)
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
	// defaultBranch of the remote.
	defaultBranch string
	// base is the newest known state of the base branch; nil where it has moved.
	base *snapshot
	// candidate and forge are determined once; everything else is read again from the
	// base at each attempt.
	candidate candidate
	forge     scm.Repository
}

// findBase determines the branch to promote on.
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

// plan determines the candidate and the pins to write.
func (p *promotion) plan(ctx context.Context) (groups []pinsGroup, err error) {
	base, err := p.newest(ctx)
	if err != nil {
		return nil, err
	}
	if err := p.checkClean(ctx, base.document); err != nil {
		return nil, err
	}
	if _, err := base.document.EnvTargets(p.Environment); err != nil { // report a typo first
		return nil, err
	}
	if p.candidate, err = p.findCandidate(base.document); err != nil {
		return nil, err
	}
	if groups, err = chooseGroups(base.document, p.Environment, p.Target, p.candidate); err != nil {
		return nil, err
	}
	if len(groups) == 0 { // all have it: each reports so
		targets, err := base.document.EnvTargets(p.Environment)
		return groupByPins(targets), err
	}
	return groups, p.findForge(ctx, base.document)
}

func (p *promotion) findCandidate(document *ladder.Document) (candidate, error) {
	if len(p.Images) > 0 {
		return namedCandidate(document, p.Images)
	}
	return candidateFromBefore(document, p.Environment)
}

// findForge connects to the forge. It fails before anything is pushed if no pull request
// could be opened: the forge can't be reached, or the token may not read the repository.
func (p *promotion) findForge(ctx context.Context, document *ladder.Document) error {
	targets, err := document.EnvTargets(p.Environment)
	if err != nil || p.DryRun || targets[0].Environment.Promotion == ladder.PromotionCommit {
		return err
	}
	remote, err := p.repository.RemoteURL(ctx)
	if err != nil {
		return err
	}
	options, err := p.Forge.Options(remote)
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

// checkClean fails where the ladder, its pins or Gates have changes that aren't pushed:
// the user may expect them to be promoted.
func (p *promotion) checkClean(ctx context.Context, document *ladder.Document) error {
	files := []string{document.File}
	for _, environment := range document.Spec.Environments {
		targets, err := document.EnvTargets(environment.Name)
		if err != nil {
			continue // errors of other environments don't matter here
		}
		for _, target := range targets {
			for _, file := range []string{target.PinsFile, target.GateFile} {
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
		return fmt.Errorf("promoting from a dirty work tree: %s has uncommitted changes, and a promotion starts from %s of %s: commit and push them, or revert them",
			strings.Join(changed, ", "), p.Base, p.Remote)
	}
	return nil
}
