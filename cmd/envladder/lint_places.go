package main

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

// lintLayers checks each layer by itself.
func lintLayers(repo *ladder.Repository, document *ladder.Document) strictyaml.Problems {
	var problems strictyaml.Problems
	for _, file := range document.LayerFiles() {
		data, err := strictyaml.ReadFile(repo.FS(), file)
		if err != nil {
			continue // Check has it
		}
		checks := []func(string, []byte) error{layers.Check}
		if !document.LiteralSecrets() {
			checks = append(checks, layers.CheckUnresolved)
		}
		for _, check := range checks {
			problems = append(problems, strictyaml.ProblemsOf(check(file, data))...)
		}
		problems = append(problems, coded(codeSecret, strictyaml.ProblemsOf(layers.CheckSecrets(file, data)))...)
	}
	return problems
}

// lintPlaces checks the values of each environment and target, and what differs between
// neighbours on the climb. A preview is compared with dev, or the lowest place.
func lintPlaces(views []placeView, mayDiffer *ladder.MayDiffer) strictyaml.Problems {
	if mayDiffer == nil {
		return nil
	}
	all := make([]layers.View, len(views))
	for i, view := range views {
		all[i] = view.View
	}
	problems := coded(codeRealData, layers.CheckData(all, mayDiffer))
	for i, view := range views[min(1, len(views)):] {
		before := views[i]
		if view.Template {
			dev := slices.IndexFunc(views, func(v placeView) bool { return v.Name == "dev" })
			before = views[max(dev, 0)]
		}
		problems = append(problems, coded(codeMayDiffer, view.compare(before, mayDiffer.Patterns()))...)
	}
	return problems
}

// viewsOf are the values of each environment and target. The error is a strictyaml.Problems
// where layers or values are invalid.
func viewsOf(ctx context.Context, repo *ladder.Repository, document *ladder.Document, charts map[string]*chart.Chart, release releaseFlags) ([]placeView, error) {
	var (
		problems strictyaml.Problems
		views  []placeView
	)
	for _, step := range document.Steps() {
		view, err := viewOf(ctx, repo, step, charts[step.Chart])
		if found := strictyaml.ProblemsOf(err); found != nil {
			problems = append(problems, found...)
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("checking the values of %s: %w", view.Name, err)
		}
		view.release = release
		view.Real = slices.ContainsFunc(document.Spec.Environments, func(e ladder.Environment) bool {
			return e.Name == step.Environment && e.Data == ladder.DataReal
		})
		views = append(views, view)
	}
	return views, problems.Err()
}

// placeView is a place's values with those of its chart.
type placeView struct {
	layers.View

	step ladder.Step
	// bare are its values without the chart's.
	bare *layers.Merged
	// chart is nil where it is in a registry, which isn't asked; then the view is bare.
	chart   *chart.Chart
	release releaseFlags
}

// compare finds what differs from the place before and may not. Where one of the two
// charts isn't known, neither's values count.
func (v placeView) compare(before placeView, mayDiffer []string) strictyaml.Problems {
	a, b := before.View, v.View
	if before.chart == nil || v.chart == nil {
		a.Merged, a.Values = before.bare, before.bare.Values
		b.Merged, b.Values = v.bare, v.bare.Values
	}
	return layers.Compare(a, b, mayDiffer)
}

// viewOf is the view of a step; loaded is nil where its chart is in a registry.
func viewOf(ctx context.Context, repo *ladder.Repository, step ladder.Step, loaded *chart.Chart) (placeView, error) {
	view := placeView{step: step, chart: loaded}
	view.Name, view.Template = step.Environment, ladder.IsPreview(step.Environment)
	if step.Target != "" {
		view.Name += "/" + step.Target
	}
	merged, err := layers.Merge(ctx, repo.FS(), step)
	if err != nil {
		return view, err
	}
	view.bare = merged
	if loaded == nil {
		view.Merged, view.Values = merged, merged.Values
		return view, nil
	}
	view.Merged = loaded.WithDefaults(merged)
	if err := view.Merged.CheckChart(); err != nil {
		return view, err
	}
	if view.Values, err = loaded.Values(merged.Values); err != nil {
		return view, err
	}
	return view, asProblems(loaded.CheckValues(merged.Values), view.Merged, loaded)
}

// asProblems makes problems of what a schema finds, each at the layer that sets the value.
func asProblems(err error, merged *layers.Merged, loaded *chart.Chart) error {
	invalid, ok := errors.AsType[*chart.SchemaError](err)
	if !ok {
		return err
	}
	var problems strictyaml.Problems
	for _, unfit := range invalid.Charts {
		message := fmt.Sprintf(" in values.schema.json of chart %q", unfit.Chart)
		if unfit.Cause != "" {
			problems = append(problems, strictyaml.Problem{File: loaded.Path, Message: unfit.Cause + message})
		}
		for _, breach := range unfit.Violations {
			f := strictyaml.Problem{File: loaded.Path, Path: valuepath.Format(unfit.Path(breach)), Message: breach.Message + message}
			if s, ok := merged.At(unfit.Path(breach)); ok {
				f.File, f.Line, f.Column = s.File, s.Line, s.Column
			}
			problems = append(problems, f)
		}
	}
	return problems.Err()
}
