package promote

import (
	"context"
	"fmt"
	"io/fs"
	"slices"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/chart"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/strictyaml"
	"github.com/envladder/envladder/internal/verdict"
)

// Judge says what Gates say: internal/verdict's.
type Judge interface {
	Judge(ctx context.Context, query verdict.Query) []verdict.Outcome
}

// inquiry is what is asked about images.
type inquiry struct {
	judge   Judge
	recalls []v1alpha1.Recall
	now     clock
}

// ask asks the Gates about each image, with the stamps that the plugin would set on what
// runs there.
func (q inquiry) ask(ctx context.Context, gates []verdict.Gate, stamps gate.Stamps, images []pinnedImage) []Judged {
	all := []Judged{}
	if len(gates) == 0 {
		return all
	}
	for _, image := range images {
		query := verdict.Query{Gates: gates, Recalls: q.recalls, Reference: image.Repository + "@" + image.digest, Stamps: stamps, Now: q.now()}
		all = append(all, judged(image.Name, gates, q.judge.Judge(ctx, query), q.now)...)
	}
	return all
}

// pinnedImage is an image of the ladder at a digest.
type pinnedImage struct {
	ladder.Image

	digest string
}

// affected are the images whose verdict a change may turn: those that it moves, and all
// that are pinned where it moves the chart. Another chart deploys all of them anew, and a
// Gate may ask whether they soaked with it.
func affected(document *ladder.Document, pins ladder.Pins, changes []Change) []pinnedImage {
	changed := func(name string) bool {
		return slices.ContainsFunc(changes, func(c Change) bool { return c.Image == name })
	}
	var images []pinnedImage
	for _, image := range document.Spec.Images {
		digest := pins.Images[image.Name]
		if digest != "" && (changed(image.Name) || changed("")) {
			images = append(images, pinnedImage{image, digest})
		}
	}
	return images
}

// gatesOf are the Gates that were given, or the one that the ladder names.
func gatesOf(fsys fs.FS, place ladder.Place, given []verdict.Gate) ([]verdict.Gate, error) {
	if len(given) > 0 || place.GateFile == "" {
		return given, nil
	}
	data, err := strictyaml.ReadFile(fsys, place.GateFile)
	if submodule, ok := ladder.SubmoduleOf(fsys, place.GateFile); ok && err != nil {
		return nil, fmt.Errorf("reading the Gate of %q: %q is in submodule %q, which promotions don't read: name a copy of it (--gate FILE), or keep the Gate's file in this repository",
			place.Environment.Name, place.GateFile, submodule)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the Gate of %q: %w", place.Environment.Name, err)
	}
	guard, err := verdict.ReadGate(place.GateFile, data)
	if err != nil {
		return nil, fmt.Errorf("reading the Gate of %q: %w", place.Environment.Name, err)
	}
	return []verdict.Gate{guard}, nil
}

// stampsOf are the stamps of what a place renders. The chart is only looked at where a
// Gate asks for the one that soaked.
func stampsOf(ctx context.Context, fsys fs.FS, charts *chart.Puller, document *ladder.Document, place ladder.Place, gates []verdict.Gate) (gate.Stamps, error) {
	if document.Spec.Stamps == ladder.StampsOff {
		return gate.Stamps{}, nil
	}
	stamps := gate.Stamps{Ladder: document.Metadata.Name, Environment: place.Environment.Name, Target: place.Target.Name}
	if !asksForChart(gates) {
		return stamps, nil
	}
	name, err := document.ChartOf(place)
	if err != nil {
		return gate.Stamps{}, err
	}
	source, err := charts.Read(ctx, fsys, name, document.Owns)
	switch {
	case err != nil && chart.InRegistry(name):
		return gate.Stamps{}, &remoteChartError{err}
	case err != nil:
		return gate.Stamps{}, err
	}
	stamps.ChartDigest = source.Digest
	return stamps, nil
}

// remoteChartError is that a chart in a registry can't be read now.
type remoteChartError struct{ cause error }

func (e *remoteChartError) Error() string { return e.cause.Error() }
func (e *remoteChartError) Unwrap() error { return e.cause }

// unasked is what stands for the Gates' verdicts on an image while the chart that it runs
// with can't be read.
func unasked(image pinnedImage, gates []verdict.Gate, unread *remoteChartError) []Judged {
	all := make([]Judged, len(gates))
	for i, g := range gates {
		reason := gate.NewReason(gate.RegistryUnavailable, "the chart that it runs with: %v", unread)
		all[i] = Judged{
			Verdict: gate.Deny(gate.Image{Repository: image.Repository, Digest: image.digest}, gate.RefTo(g.Gate), reason),
			Name:    image.Name, Action: string(g.Spec.Action.Effective()), Environment: g.Spec.Environment, Proofs: []Proof{},
		}
	}
	return all
}

func asksForChart(gates []verdict.Gate) bool {
	for _, g := range gates {
		if soak := g.Spec.Requires.Soak; soak != nil && soak.Chart == v1alpha1.ChartSame {
			return true
		}
	}
	return false
}
