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
	// Place is prod, or prod/eu.
	Place string `json:"place"`
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

// Proposals reads what the promotions' branches of a remote propose for the ladder in a
// folder of a work tree. It needs no forge: whether a pull request is open isn't known.
// The proposals that come with an error are those of the branches that could be read.
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
		all  []Proposal
		errs []error
	)
	for _, environment := range base.document.Spec.Environments {
		if environment.Promotion == ladder.PromotionCommit {
			continue
		}
		p.Environment = environment.Name
		found, err := p.proposals(ctx, base)
		all, errs = append(all, found...), append(errs, err)
	}
	return all, errors.Join(errs...)
}

// proposals reads the branches of one environment.
func (p *promotion) proposals(ctx context.Context, base *snapshot) ([]Proposal, error) {
	places, err := base.document.Places(p.Environment)
	if err != nil {
		return nil, err
	}
	var (
		all  []Proposal
		errs []error
	)
	for _, s := range slotsOf(places) {
		if s.file == "" {
			continue
		}
		place, err := base.document.Place(s.environment, s.target())
		if err != nil {
			return nil, err
		}
		branch := s.branch(base.document, p.Base, p.defaultBranch)
		onBranch, err := p.proposed(ctx, base, branch, place)
		if err != nil {
			errs = append(errs, fmt.Errorf("reading what is proposed for %s: %w", s.name(), err))
			continue
		}
		for _, c := range onBranch.open(base.document, place.Pins) {
			all = append(all, Proposal{
				Place: s.name(), Image: c.Image, Value: c.New, Branch: branch,
				Source: onBranch.source.name, Withdrawn: onBranch.source.withdrew(c.value, c.New),
			})
		}
	}
	return all, errors.Join(errs...)
}

// open returns the values that the branch still proposes.
func (o proposal) open(document *ladder.Document, base ladder.Pins) []Change {
	var open []Change
	add := func(c Change) {
		value, what := o.fate(c.value, base)
		if what == carriedOver || what == withdrawn {
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
