package promote

import (
	"cmp"
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
	"github.com/envladder/envladder/promote/summary"
)

// Judge returns the verdicts of Gates. internal/verdict implements it.
type Judge interface {
	Judge(ctx context.Context, query verdict.Query) []verdict.GateVerdict
}

// gateCheck checks images against Gates.
type gateCheck struct {
	judge   Judge
	recalls []v1alpha1.Recall
	now     clock
}

// check returns the result of each Gate for each image, with the stamps that the plugin
// would set on the workloads.
func (q gateCheck) check(ctx context.Context, gates []verdict.Gate, stamps gate.Stamps, images []pinnedImage) []GateResult {
	results := []GateResult{}
	if len(gates) == 0 {
		return results
	}
	for _, image := range images {
		query := verdict.Query{Gates: gates, Recalls: q.recalls, Reference: image.Repository + "@" + image.digest, Stamps: stamps, Now: q.now()}
		results = append(results, gateResults(image.Name, gates, q.judge.Judge(ctx, query), q.now)...)
	}
	return results
}

// gateResults returns verdicts with a summary of their evidence.
func gateResults(image string, gates []verdict.Gate, outcomes []verdict.GateVerdict, now clock) []GateResult {
	results := make([]GateResult, len(outcomes))
	for i, outcome := range outcomes {
		r := GateResult{Verdict: outcome.Verdict, Name: image, Action: string(outcome.Action), Evidence: []summary.Evidence{}}
		if at := slices.IndexFunc(gates, func(g verdict.Gate) bool { return g.Name == outcome.Gate.Name }); at >= 0 {
			r.Environment = gates[at].Spec.Environment
			r.Evidence = summary.Summarize(&gates[at].Spec, outcome.Evidence, now())
		}
		results[i] = r
	}
	return results
}

// pinnedImage is an image of the ladder at a digest.
type pinnedImage struct {
	ladder.Image

	digest string
}

// affectedImages returns the images whose verdict may change: those with a new digest, or
// all that are pinned if the chart changes. Another chart deploys all of them again, and a
// Gate may require that they soaked with it.
func affectedImages(document *ladder.Document, pins ladder.Pins, changes []Change) []pinnedImage {
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

// loadGates returns the given Gates, or the one that the ladder names.
func loadGates(fsys fs.FS, target ladder.EnvTarget, given []verdict.Gate) ([]verdict.Gate, error) {
	if len(given) > 0 || target.GateFile == "" {
		return given, nil
	}
	data, err := strictyaml.ReadFile(fsys, target.GateFile)
	if submodule, ok := ladder.SubmoduleOf(fsys, target.GateFile); ok && err != nil {
		return nil, fmt.Errorf("reading the Gate of %q: %q is in submodule %q, which promotions don't read: pass a copy of it (--gate FILE), or move the Gate's file into this repository",
			target.Environment.Name, target.GateFile, submodule)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the Gate of %q: %w", target.Environment.Name, err)
	}
	g, err := verdict.ReadGate(target.GateFile, data)
	if err != nil {
		return nil, fmt.Errorf("reading the Gate of %q: %w", target.Environment.Name, err)
	}
	return []verdict.Gate{g}, nil
}

// stampsFor returns the stamps of what a target renders. The chart is read only where a
// Gate requires the one that soaked.
func stampsFor(ctx context.Context, fsys fs.FS, charts *chart.Puller, document *ladder.Document, target ladder.EnvTarget, gates []verdict.Gate) (gate.Stamps, error) {
	if document.Spec.Stamps == ladder.StampsOff {
		return gate.Stamps{}, nil
	}
	stamps := gate.Stamps{Ladder: document.Metadata.Name, Environment: target.Environment.Name, Target: target.Target.Name}
	if !requiresChart(gates) {
		return stamps, nil
	}
	name, err := document.Chart(target)
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

// remoteChartError is returned where a chart can't be read from its registry now.
type remoteChartError struct{ cause error }

func (e *remoteChartError) Error() string { return e.cause.Error() }
func (e *remoteChartError) Unwrap() error { return e.cause }

// unavailableResults returns denials of an image for a chart that can't be read now.
func unavailableResults(image pinnedImage, gates []verdict.Gate, unread *remoteChartError) []GateResult {
	results := make([]GateResult, len(gates))
	for i, g := range gates {
		reason := gate.NewReason(gate.RegistryUnavailable, "reading the chart that it runs with: %v", unread)
		results[i] = GateResult{
			Verdict: gate.Deny(gate.Image{Repository: image.Repository, Digest: image.digest}, gate.RefTo(g.Gate), reason),
			Name:    image.Name, Action: string(cmp.Or(g.Spec.Action, v1alpha1.ActionDeny)), Environment: g.Spec.Environment, Evidence: []summary.Evidence{},
		}
	}
	return results
}

// requiresChart reports whether a Gate requires a soak with the same chart.
func requiresChart(gates []verdict.Gate) bool {
	for _, g := range gates {
		if soak := g.Spec.Requires.Soak; soak != nil && soak.Chart == v1alpha1.ChartSame {
			return true
		}
	}
	return false
}

// checkGates checks the order of the targets, and the Gates.
func (p *promotion) checkGates(ctx context.Context, edited *snapshot, g pinsGroup, r *Result) error {
	early, err := tooEarlyReasons(edited.document, g, p.candidate)
	if err != nil {
		return err
	}
	r.Reasons = append(r.Reasons, early...)
	target, err := edited.document.EnvTarget(g.environment, g.target())
	if err != nil {
		return err
	}
	gates, err := loadGates(edited.tree, target, p.Gates)
	if err != nil {
		return err
	}
	stamps, err := stampsFor(ctx, edited.tree, p.Charts, edited.document, target, gates)
	if err != nil {
		return err
	}
	r.gateChecked = len(gates) > 0
	if !r.gateChecked && target.Environment.Data == ladder.DataReal {
		r.Reasons = append(r.Reasons, noGate(g.environment))
	}
	r.Verdicts = gateCheck{p.Judge, p.Recalls, p.Now}.check(ctx, gates, stamps, affectedImages(edited.document, target.Pins, r.Changes))
	if err := ctx.Err(); err != nil { // the verdicts are incomplete then
		return context.Cause(ctx)
	}
	r.note()
	return nil
}

// noGate returns the reason where no Gate checks digests for real data. The cluster has a
// Gate; promoting without one would look as if it had allowed the digests.
func noGate(environment string) Reason {
	return Reason{
		Code:    gate.NoGate,
		Message: fmt.Sprintf("%s has real data, and no Gate was checked: the ladder names none for it (environments[].gate), and --gate isn't set", environment),
		Remedy:  "pass the file of its Gate: --gate FILE, or set `gate` in the ladder if it is in the same repository",
	}
}

// note notes missing Gates, and images that the cluster would admit in spite of a denial.
func (r *Result) note() {
	if !r.gateChecked && !r.has(gate.NoGate) {
		r.Notes = append(r.Notes, fmt.Sprintf("no Gate was checked: the ladder names none for %s (environments[].gate), and --gate isn't set", r.Environment))
	}
	for _, g := range r.Verdicts {
		if !g.Allowed && !g.denies() {
			r.Notes = append(r.Notes, fmt.Sprintf("the action of Gate %s is %s: the cluster would admit %s", g.Gate.Name, g.Action, g.Name))
		}
	}
}
