package main

import (
	"context"
	"fmt"
	"path"

	"github.com/envladder/envladder/internal/chart"
	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/strictyaml"
)

// lintChance finds what makes two renders of an environment differ: then Argo CD never
// sees it in sync, and what was reviewed isn't what is applied. Only charts whose
// templates might do so are rendered at all; what fails then is a warning, since it may be
// for want of a cluster's version.
func lintChance(ctx context.Context, repo *ladder.Repository, document *ladder.Document, charts map[string]*chart.Chart) strictyaml.Faults {
	var faults strictyaml.Faults
	seen := map[strictyaml.Fault]bool{}
	for _, step := range document.Steps() {
		loaded := charts[step.Chart]
		if loaded == nil || ladder.IsPreview(step.Environment) {
			continue // in a registry, which isn't asked; or what differs from one to the next anyway
		}
		for _, fault := range chanceOf(ctx, repo, step, loaded) {
			if !seen[fault] {
				seen[fault] = true
				faults = append(faults, fault)
			}
		}
	}
	return faults
}

func chanceOf(ctx context.Context, repo *ladder.Repository, step ladder.Step, loaded *chart.Chart) strictyaml.Faults {
	chances, err := renderTwice(ctx, repo, step, loaded)
	if err != nil {
		return strictyaml.Faults{{File: step.Chart, Message: fmt.Sprintf("environment %q can't be rendered here, so it isn't known whether two renders differ: %v", step.Environment, err), Warning: true}}
	}
	var faults strictyaml.Faults
	for _, chance := range chances {
		fault := strictyaml.Fault{File: step.Chart, Message: chance.String()}
		if chance.File != "" && path.Ext(step.Chart) != ".tgz" {
			fault.File, fault.Line, fault.Column = path.Join(step.Chart, chance.File), chance.Line, chance.Column
		}
		faults = append(faults, fault)
	}
	return faults
}

func renderTwice(ctx context.Context, repo *ladder.Repository, step ladder.Step, loaded *chart.Chart) ([]chart.Chance, error) {
	values, err := chart.Merge(ctx, repo.FS(), step)
	if err != nil {
		return nil, nil //nolint:nilerr // others find that, with its place
	}
	return loaded.Chances(ctx, chart.Recipe{Values: values, Release: chart.Release{Name: step.Ladder}, AllowEmpty: true})
}
