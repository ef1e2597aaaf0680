package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/envladder/envladder/internal/chart"
	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/layers"
	"github.com/envladder/envladder/internal/strictyaml"
)

// lintLayers checks each layer by itself.
func lintLayers(repo *ladder.Repository, document *ladder.Document) strictyaml.Faults {
	var faults strictyaml.Faults
	for _, file := range document.LayerFiles() {
		data, err := strictyaml.ReadFile(repo.FS(), file)
		if err != nil {
			continue // Check has it
		}
		for _, check := range []func(string, []byte) error{layers.Check, layers.CheckSecrets} {
			faults = append(faults, strictyaml.FaultsOf(check(file, data))...)
		}
	}
	return faults
}

// lintPlaces checks the values of each environment and target, and what differs between
// neighbours on the climb. A preview is compared with dev, or the lowest place.
func lintPlaces(ctx context.Context, repo *ladder.Repository, document *ladder.Document, charts map[string]*chart.Chart) (strictyaml.Faults, error) {
	var (
		faults strictyaml.Faults
		views  []placeView
	)
	for _, step := range document.Steps() {
		view, err := viewOf(ctx, repo, step, charts[step.Chart])
		if found := strictyaml.FaultsOf(err); found != nil {
			faults = append(faults, found...)
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("checking the values of %s: %w", view.Name, err)
		}
		views = append(views, view)
		if view.chart != nil {
			faults = append(faults, unread(view, repo.Dir)...)
		}
	}
	wrong := slices.ContainsFunc(faults, func(f strictyaml.Fault) bool { return !f.Warning })
	if document.Spec.MayDiffer == nil || wrong {
		return faults, nil
	}
	mayDiffer := document.Spec.MayDiffer.Patterns()
	for i, view := range views[min(1, len(views)):] {
		before := views[i]
		if view.Template {
			dev := slices.IndexFunc(views, func(v placeView) bool { return v.Name == "dev" })
			before = views[max(dev, 0)]
		}
		faults = append(faults, view.compare(before, mayDiffer)...)
	}
	return faults, nil
}

// placeView is a place's values with those of its chart.
type placeView struct {
	layers.View

	// bare are its values without the chart's.
	bare *layers.Merged
	// chart is nil where it is in a registry, which isn't asked.
	chart *chart.Chart
}

// compare finds what differs from the place before and may not. Where one of the two
// charts isn't known, neither's values count.
func (v placeView) compare(before placeView, mayDiffer []string) strictyaml.Faults {
	a, b := before.View, v.View
	if before.chart == nil || v.chart == nil {
		a.Merged, a.Values = before.bare, before.bare.Values
		b.Merged, b.Values = v.bare, v.bare.Values
	}
	return layers.Compare(a, b, mayDiffer)
}

// viewOf is the view of a step; loaded is nil where its chart is in a registry.
func viewOf(ctx context.Context, repo *ladder.Repository, step ladder.Step, loaded *chart.Chart) (placeView, error) {
	view := placeView{chart: loaded}
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
		return view, nil
	}
	view.Merged = merged.WithChart(loaded.Defaults())
	if err := view.Merged.CheckChart(); err != nil {
		return view, err
	}
	if view.Values, err = loaded.Values(merged.Values); err != nil {
		return view, err
	}
	return view, asFaults(loaded.CheckValues(merged.Values), view.Merged, loaded)
}

// asFaults makes faults of what a schema finds, each at the layer that sets the value.
func asFaults(err error, merged *layers.Merged, loaded *chart.Chart) error {
	invalid, ok := errors.AsType[*chart.SchemaError](err)
	if !ok {
		return err
	}
	var faults strictyaml.Faults
	for _, unfit := range invalid.Charts {
		message := fmt.Sprintf(" in values.schema.json of chart %q", unfit.Chart)
		if unfit.Cause != "" {
			faults = append(faults, strictyaml.Fault{File: loaded.Path, Message: unfit.Cause + message})
		}
		for _, breach := range unfit.Breaches {
			f := strictyaml.Fault{File: loaded.Path, Path: layers.PathText(unfit.Path(breach)), Message: breach.Message + message}
			if s, ok := merged.At(unfit.Path(breach)); ok {
				f.File, f.Line, f.Column = s.File, s.Line, s.Column
			}
			faults = append(faults, f)
		}
	}
	return faults.Err()
}

// unread are warnings of values that no template reads, where that can be told without
// running the templates. A layer outside of the ladder's folder, dir, is other services'
// too.
func unread(view placeView, dir string) strictyaml.Faults {
	reads := view.chart.Reads()
	if reads.Unknown || reads.Evaluates && view.Merged.Evaluated() {
		return nil
	}
	known := make([]string, len(reads.Paths))
	for i, path := range reads.Paths {
		known[i] = layers.PathText(path)
	}
	return slices.DeleteFunc(view.Merged.Unread(reads.Has, known), func(f strictyaml.Fault) bool {
		return dir != "." && !strings.HasPrefix(f.File, dir+"/")
	})
}
