package lint

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/envladder/envladder/internal/chart"
	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/layers"
	"github.com/envladder/envladder/internal/strictyaml"
	"github.com/envladder/envladder/internal/valuepath"
)

// view is the values of one environment or target with those of its chart.
type view struct {
	layers.View

	resolved ladder.Resolved
	// ownValues are its values without the chart's.
	ownValues *layers.Merged
	// chart is nil where it is in a registry, which lint doesn't query; the view has only
	// its own values then.
	chart   *chart.Chart
	options Options
}

// views returns the values of each environment and target, in order. The error is a
// strictyaml.Problems where layers or values are invalid.
func (l *linter) views(ctx context.Context) ([]view, error) {
	var (
		problems strictyaml.Problems
		views    []view
	)
	for _, resolved := range l.document.ResolveAll() {
		v, err := l.view(ctx, resolved)
		if found := strictyaml.ProblemsOf(err); found != nil {
			problems = append(problems, found...)
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("checking the values of %s: %w", v.Name, err)
		}
		v.Real = slices.ContainsFunc(l.document.Spec.Environments, func(e ladder.Environment) bool {
			return e.Name == resolved.Environment && e.Data == ladder.DataReal
		})
		views = append(views, v)
	}
	return views, problems.Err()
}

// view merges the values of one environment or target, and checks them against the chart.
func (l *linter) view(ctx context.Context, resolved ladder.Resolved) (view, error) {
	v := view{resolved: resolved, chart: l.charts[resolved.Chart], options: l.options}
	v.Name, v.Template = resolved.Environment, ladder.IsPreview(resolved.Environment)
	if resolved.Target != "" {
		v.Name += "/" + resolved.Target
	}
	merged, err := layers.Merge(ctx, l.repository, resolved)
	if err != nil {
		return v, err
	}
	v.ownValues = merged
	if v.chart == nil {
		v.Merged, v.Values = merged, merged.Values
		return v, nil
	}
	v.Merged = v.chart.WithDefaults(merged)
	if err := v.Merged.CheckChart(); err != nil {
		return v, err
	}
	if v.Values, err = v.chart.Values(merged.Values); err != nil {
		return v, err
	}
	return v, schemaProblems(v.chart.CheckValues(merged.Values), v.Merged, v.chart)
}

// schemaProblems returns the violations of a schema as problems, each at the layer that
// sets the value, and other errors as they are.
func schemaProblems(err error, merged *layers.Merged, loaded *chart.Chart) error {
	invalid, ok := errors.AsType[*chart.SchemaError](err)
	if !ok {
		return err
	}
	var problems strictyaml.Problems
	for _, violated := range invalid.Charts {
		suffix := fmt.Sprintf(" in values.schema.json of chart %q", violated.Chart)
		if violated.Cause != "" {
			problems = append(problems, strictyaml.Problem{File: loaded.Path, Message: violated.Cause + suffix})
		}
		for _, violation := range violated.Violations {
			path := violated.Path(violation)
			p := strictyaml.Problem{File: loaded.Path, Path: valuepath.Format(path), Message: violation.Message + suffix}
			if s, ok := merged.Setting(path); ok {
				p.File, p.Line, p.Column = s.File, s.Line, s.Column
			}
			problems = append(problems, p)
		}
	}
	return problems.Err()
}

// compareViews checks each environment's data isolation, and that neighbouring
// environments differ only where they may. A preview is compared with dev, or with the
// first environment.
func compareViews(views []view, mayDiffer *ladder.MayDiffer) strictyaml.Problems {
	if mayDiffer == nil {
		return nil
	}
	all := make([]layers.View, len(views))
	for i, v := range views {
		all[i] = v.View
	}
	problems := withCode(codeRealData, layers.CheckDataIsolation(all, mayDiffer))
	for i, v := range views[min(1, len(views)):] {
		before := views[i]
		if v.Template {
			dev := slices.IndexFunc(views, func(v view) bool { return v.Name == "dev" })
			before = views[max(dev, 0)]
		}
		problems = append(problems, withCode(codeMayDiffer, v.compareWith(before, mayDiffer.Patterns()))...)
	}
	return problems
}

// compareWith returns what differs from the view before and may not. If one of the two
// charts isn't known, it leaves out the values of both charts.
func (v view) compareWith(before view, mayDiffer []string) strictyaml.Problems {
	a, b := before.View, v.View
	if before.chart == nil || v.chart == nil {
		a.Merged, a.Values = before.ownValues, before.ownValues.Values
		b.Merged, b.Values = v.ownValues, v.ownValues.Values
	}
	return layers.Compare(a, b, mayDiffer)
}
