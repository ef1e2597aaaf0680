package main

import (
	"context"
	"errors"
	"fmt"
	"path"

	"github.com/envladder/envladder/internal/chart"
	"github.com/envladder/envladder/internal/chart/chartlint"
	"github.com/envladder/envladder/internal/chart/manifest"
	"github.com/envladder/envladder/internal/chart/postrender"
	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/printable"
	"github.com/envladder/envladder/internal/strictyaml"
)

// lintRendered renders each place, and finds what only that shows: what the cluster or
// the plugin would refuse, images that nothing runs, values that nothing reads, and
// templates that give something else each time. A place whose chart is in a registry,
// which isn't asked, may do anything.
func lintRendered(ctx context.Context, document *ladder.Document, dir string, views []placeView) (strictyaml.Problems, error) {
	var problems strictyaml.Problems
	images, values := idleImages{}, newIdleValues(dir)
	for _, view := range views {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("rendering %s: %w", view.Name, err)
		}
		var rendered manifest.Manifests
		if view.chart != nil {
			var found strictyaml.Problems
			rendered, found = view.render()
			problems = append(problems, found...)
		}
		images.look(view, rendered)
		if err := values.look(ctx, view, rendered); err != nil {
			return nil, err
		}
		if rendered != nil {
			numbers, err := view.numbers(ctx, rendered)
			if err != nil {
				return nil, err
			}
			problems = append(problems, coded(codeNumberFormat, numbers)...)
		}
		if rendered != nil && !view.Template { // previews differ from one to the next anyway
			chances, err := view.chances(ctx)
			if err != nil {
				return nil, err
			}
			problems = append(problems, coded(codeNondeterministic, chances)...)
		}
	}
	problems = append(problems, coded(codeUnusedImage, images.problems(document))...)
	return append(problems, coded(codeUnusedValue, values.problems())...), nil
}

// recipe returns what the plugin renders the place by, without what it adds. An empty
// rendering is a finding of its own.
func (v placeView) recipe() chart.RenderOptions {
	return chart.RenderOptions{
		Values: v.bare.Values, Release: v.release.of(v.step), AllowEmpty: true,
		LiteralSecrets: v.step.LiteralSecrets, Pins: v.step.Pins,
	}
}

// finished is recipe with all that the plugin adds.
func (v placeView) finished() chart.RenderOptions {
	recipe := v.recipe()
	recipe.Preflight = v.step.Preflight
	if v.step.Stamps != ladder.StampsOff {
		recipe.Stamps = &postrender.Stamps{Ladder: v.step.Ladder, Environment: v.step.Environment, Target: v.step.Target, ChartDigest: v.chart.Digest}
	}
	return recipe
}

// render renders the place. What render and the plugin would reject is a finding, so that
// lint passes nothing that can't be deployed.
func (v placeView) render() (manifest.Manifests, strictyaml.Problems) {
	rendered, err := v.chart.Render(v.recipe())
	if err == nil {
		_, err = v.chart.Render(v.finished())
	}
	if err != nil {
		return nil, v.failures(err)
	}
	rendered = append(manifest.Manifests{}, rendered...) // empty, not nil
	if v.release.allowEmpty || rendered.HasObject() {
		return rendered, nil
	}
	return rendered, strictyaml.Problems{{File: v.step.Chart, Message: fmt.Sprintf(
		"%s renders to nothing, and Argo CD would delete everything: if that is meant, set the Application's parameter allowEmpty and lint with --allow-empty", v.Name)}}
}

// failures returns a finding for each of the errors that err joins, such as one for each
// object that runs something else than the pins say.
func (v placeView) failures(err error) strictyaml.Problems {
	all := []error{err}
	if joined, ok := errors.AsType[interface {
		error
		Unwrap() []error
	}](err); ok {
		all = joined.Unwrap()
	}
	var problems strictyaml.Problems
	for _, one := range all {
		problems = append(problems, strictyaml.Problem{File: v.step.Chart, Message: fmt.Sprintf("%s can't be rendered: %s", v.Name, printable.Line(one.Error(), 500))})
	}
	return problems
}

// chances finds what makes two renders of the place differ: then Argo CD never sees it in
// sync, and what was reviewed isn't what is applied.
func (v placeView) chances(ctx context.Context) (strictyaml.Problems, error) {
	chances, err := chartlint.FindNondeterminism(ctx, v.chart, v.recipe())
	if err != nil {
		return nil, fmt.Errorf("rendering %s twice: %w", v.Name, err)
	}
	var problems strictyaml.Problems
	for _, chance := range chances {
		problem := strictyaml.Problem{File: v.step.Chart, Message: chance.String()}
		if chance.File != "" && path.Ext(v.step.Chart) != ".tgz" {
			problem.File, problem.Line, problem.Column = v.chart.Locate(chance.File), chance.Line, chance.Column
		}
		problems = append(problems, problem)
	}
	return problems, nil
}
