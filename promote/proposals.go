package promote

import (
	"context"
	"errors"
	"fmt"

	"github.com/envladder/envladder/internal/gitrepo"
	"github.com/envladder/envladder/internal/ladder"
)

// Proposal is a value that a promotion's branch has for an environment's pins and that the
// base branch hasn't had yet.
type Proposal struct {
	// EnvTarget is prod, or prod/eu.
	EnvTarget string `json:"envTarget"`
	// Image is its name in the ladder, empty for the chart.
	Image string `json:"image,omitempty"`
	// Value is the digest, or the chart's reference.
	Value string `json:"value"`
	// Branch of the remote that has it.
	Branch string `json:"branch"`
	// Source is the environment before, empty where there is none.
	Source string `json:"source,omitempty"`
	// Withdrawn is set where Source has gone back from the value: the next promotion
	// removes it from the branch, or closes the pull request.
	Withdrawn bool `json:"withdrawn"`
}

// Proposals returns what the branches of promotions on a remote propose for the ladder in a
// folder of a work tree. It needs no forge, so it doesn't know whether a pull request is
// open. With an error it returns the proposals of the branches that could be read.
func Proposals(ctx context.Context, dir, remote string) ([]Proposal, error) {
	repository, err := gitrepo.Open(ctx, dir, remote)
	if err != nil {
		return nil, err
	}
	p := &promotion{Options: Options{Dir: dir, Remote: remote}, repository: repository}
	if err := p.findBase(ctx); err != nil {
		return nil, err
	}
	if p.quarantine, err = repository.Quarantine(ctx); err != nil {
		return nil, err
	}
	defer p.quarantine.Close()
	base, err := p.newest(ctx)
	if err != nil {
		return nil, err
	}
	var (
		proposals []Proposal
		errs      []error
	)
	for _, environment := range base.document.Spec.Environments {
		if environment.Promotion == ladder.PromotionCommit {
			continue
		}
		p.Environment = environment.Name
		found, err := p.proposalsInto(ctx, base)
		proposals, errs = append(proposals, found...), append(errs, err)
	}
	return proposals, errors.Join(errs...)
}

// proposalsInto returns the proposals for one environment.
func (p *promotion) proposalsInto(ctx context.Context, base *snapshot) ([]Proposal, error) {
	targets, err := base.document.EnvTargets(p.Environment)
	if err != nil {
		return nil, err
	}
	var (
		proposals []Proposal
		errs      []error
	)
	for _, g := range groupByPins(targets) {
		if g.file == "" {
			continue
		}
		target, err := base.document.EnvTarget(g.environment, g.target())
		if err != nil {
			return nil, err
		}
		branch := g.branch(base.document, p.Base, p.defaultBranch)
		onBranch, err := p.proposed(ctx, base, branch, target)
		if err != nil {
			errs = append(errs, fmt.Errorf("reading the proposals for %s: %w", g.name(), err))
			continue
		}
		for _, c := range onBranch.openChanges(base.document, target.Pins) {
			proposals = append(proposals, Proposal{
				EnvTarget: g.name(), Image: c.Image, Value: c.New, Branch: branch,
				Source: onBranch.source.name, Withdrawn: onBranch.source.withdrew(c.value, c.New),
			})
		}
	}
	return proposals, errors.Join(errs...)
}

// openChanges returns the values that the branch still proposes.
func (o proposal) openChanges(document *ladder.Document, base ladder.Pins) []Change {
	var open []Change
	add := func(c Change) {
		value, d := o.disposition(c.value, base)
		if d == carriedOver || d == withdrawn {
			c.New = value
			open = append(open, c)
		}
	}
	for _, image := range document.Spec.Images {
		add(Change{Image: image.Name})
	}
	add(Change{})
	return open
}
