package lint

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

// rendered renders each view, and finds what only a rendering shows: what the cluster or
// the plugin would reject, unused images and values, numbers in another notation, and
// nondeterministic templates. Views whose chart is in a registry aren't rendered.
func (l *linter) rendered(ctx context.Context, views []view) (strictyaml.Problems, error) {
	var problems strictyaml.Problems
	images, values := unusedImages{}, newUnusedValues(l.dir)
	for _, v := range views {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("rendering %s: %w", v.Name, err)
		}
		var rendered manifest.Manifests
		if v.chart != nil {
			var found strictyaml.Problems
			rendered, found = v.render()
			problems = append(problems, found...)
		}
		images.add(v, rendered)
		if err := values.add(ctx, v, rendered); err != nil {
			return nil, err
		}
		if rendered == nil {
			continue
		}
		numbers, err := v.numbers(ctx, rendered)
		if err != nil {
			return nil, err
		}
		problems = append(problems, withCode(codeNumberFormat, numbers)...)
		if !v.Template { // a preview differs from the next anyway
			found, err := v.nondeterminism(ctx)
			if err != nil {
				return nil, err
			}
			problems = append(problems, withCode(codeNondeterministic, found)...)
		}
	}
	problems = append(problems, withCode(codeUnusedImage, images.problems(l.document))...)
	return append(problems, withCode(codeUnusedValue, values.problems())...), nil
}

// chartOptions returns the options of a rendering without stamps and preflight object. An
// empty rendering is a finding of its own.
func (v view) chartOptions() chart.RenderOptions {
	return chart.RenderOptions{
		Values:         v.ownValues.Values,
		Release:        v.options.releaseOf(v.resolved),
		AllowEmpty:     true,
		LiteralSecrets: v.resolved.LiteralSecrets,
		Pins:           v.resolved.Pins,
	}
}

// deployedOptions returns the options with which the plugin renders.
func (v view) deployedOptions() chart.RenderOptions {
	options := v.chartOptions()
	options.Preflight = v.resolved.Preflight
	if v.resolved.Stamps != ladder.StampsOff {
		options.Stamps = &postrender.Stamps{
			Ladder:      v.resolved.Ladder,
			Environment: v.resolved.Environment,
			Target:      v.resolved.Target,
			ChartDigest: v.chart.Digest,
		}
	}
	return options
}

// render renders the view. It returns a finding for each error of render and the plugin,
// so that lint passes nothing that can't be deployed.
func (v view) render() (manifest.Manifests, strictyaml.Problems) {
	rendered, err := v.chart.Render(v.chartOptions())
	if err == nil {
		_, err = v.chart.Render(v.deployedOptions())
	}
	if err != nil {
		return nil, v.renderProblems(err)
	}
	rendered = append(manifest.Manifests{}, rendered...) // empty, not nil
	if v.options.AllowEmpty || rendered.HasObject() {
		return rendered, nil
	}
	return rendered, strictyaml.Problems{{File: v.resolved.Chart, Message: fmt.Sprintf(
		"%s renders to nothing, and Argo CD would delete everything: if that is intended, set the Application's parameter allowEmpty and lint with --allow-empty", v.Name)}}
}

// renderProblems returns a finding for each of the errors that err joins, such as one for
// each object that runs another image than its pin.
func (v view) renderProblems(err error) strictyaml.Problems {
	all := []error{err}
	if joined, ok := errors.AsType[interface {
		error
		Unwrap() []error
	}](err); ok {
		all = joined.Unwrap()
	}
	var problems strictyaml.Problems
	for _, err := range all {
		problems = append(problems, strictyaml.Problem{
			File:    v.resolved.Chart,
			Message: fmt.Sprintf("%s can't be rendered: %s", v.Name, printable.Line(err.Error(), 500)),
		})
	}
	return problems
}

// nondeterminism finds what makes two renders of the view differ. Argo CD would never see
// it in sync, and what is applied wouldn't be what was reviewed.
func (v view) nondeterminism(ctx context.Context) (strictyaml.Problems, error) {
	found, err := chartlint.FindNondeterminism(ctx, v.chart, v.chartOptions())
	if err != nil {
		return nil, fmt.Errorf("rendering %s twice: %w", v.Name, err)
	}
	var problems strictyaml.Problems
	for _, n := range found {
		p := strictyaml.Problem{File: v.resolved.Chart, Message: n.String()}
		if n.File != "" && path.Ext(v.resolved.Chart) != ".tgz" {
			p.File, p.Line, p.Column = v.chart.Locate(n.File), n.Line, n.Column
		}
		problems = append(problems, p)
	}
	return problems, nil
}
