package lint

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"slices"

	"github.com/envladder/envladder/internal/chart"
	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/layers"
	"github.com/envladder/envladder/internal/strictyaml"
	"github.com/envladder/envladder/internal/verdict"
)

// Options are what the charts are rendered with.
type Options struct {
	// Release that templates see. It has the ladder's name where Name is empty.
	Release chart.Release
	// AllowEmpty accepts a rendering without objects.
	AllowEmpty bool
}

// releaseOf returns the release that a resolved is rendered as.
func (o Options) releaseOf(resolved ladder.Resolved) chart.Release {
	release := o.Release
	release.Name = cmp.Or(release.Name, resolved.Ladder)
	return release
}

// Run lints the ladder in the folder dir of a repository. The findings include warnings
// and accepted findings. An error means that the ladder couldn't be checked.
func Run(ctx context.Context, repository fs.FS, dir string, o Options) (strictyaml.Problems, error) {
	document, err := ladder.Open(repository, dir)
	if findings := strictyaml.ProblemsOf(err); findings != nil {
		return findings, nil
	}
	if err != nil {
		return nil, err
	}
	l := &linter{repository: repository, dir: dir, document: document, options: o, charts: map[string]*chart.Chart{}}
	findings := l.documents(ctx)
	l.accepted, err = readAcceptance(repository, dir)
	if err != nil {
		return append(findings, strictyaml.ProblemsOf(err)...), exceptProblems(err)
	}
	findings = l.accepted.apply(append(findings, l.layers()...))
	if !hasOpen(findings) {
		inValues, err := l.values(ctx)
		if err != nil {
			return nil, err
		}
		findings = append(findings, inValues...)
	}
	findings = append(findings, l.uncheckedCharts()...)
	return strictyaml.ProblemsOf(findings.Err()), nil
}

// linter lints one ladder.
type linter struct {
	repository fs.FS
	dir        string
	document   *ladder.Document
	options    Options
	// charts are the loaded charts by name; charts in registries aren't loaded.
	charts   map[string]*chart.Chart
	accepted *acceptance
}

// documents checks the ladder, the files that it names, its charts and its Gates.
func (l *linter) documents(ctx context.Context) strictyaml.Problems {
	inCharts := l.document.CheckCharts(func(name string) error {
		if chart.InRegistry(name) {
			return nil // lint uses no network
		}
		source, err := chart.Read(ctx, l.repository, name, l.document.Owns)
		if err != nil {
			return err
		}
		l.charts[name], err = source.Load()
		return err
	})
	inGates := l.document.CheckGates(func(file string, data []byte) error {
		_, err := verdict.ReadGate(file, data)
		return err
	})
	return slices.Concat(
		strictyaml.ProblemsOf(l.document.Check()),
		strictyaml.ProblemsOf(inCharts),
		strictyaml.ProblemsOf(inGates),
	)
}

// layers checks each layer's file alone.
func (l *linter) layers() strictyaml.Problems {
	var problems strictyaml.Problems
	for _, file := range l.document.LayerFiles() {
		data, err := strictyaml.ReadFile(l.repository, file)
		if err != nil {
			continue // documents reports it
		}
		checks := []func(string, []byte) error{layers.Check}
		if !l.document.LiteralSecrets() {
			checks = append(checks, layers.CheckUnresolved)
		}
		for _, check := range checks {
			problems = append(problems, strictyaml.ProblemsOf(check(file, data))...)
		}
		problems = append(problems, withCode(codeSecret, strictyaml.ProblemsOf(layers.CheckSecrets(file, data)))...)
	}
	return problems
}

// values checks the merged values of each environment and target, and then what they
// render to.
func (l *linter) values(ctx context.Context) (strictyaml.Problems, error) {
	views, err := l.views(ctx)
	if findings := strictyaml.ProblemsOf(err); findings != nil {
		return findings, nil
	}
	if err != nil {
		return nil, err
	}
	findings := l.accepted.apply(compareViews(views, l.document.Spec.MayDiffer))
	if hasOpen(findings) {
		return findings, nil
	}
	rendered, err := l.rendered(ctx, views)
	if err != nil {
		return nil, err
	}
	return slices.Concat(findings, l.accepted.apply(rendered), l.accepted.unused()), nil
}

// exceptProblems returns err unless that is problems, which are findings.
func exceptProblems(err error) error {
	if strictyaml.ProblemsOf(err) == nil {
		return err
	}
	return nil
}

// uncheckedCharts returns a warning for each chart that isn't checked.
func (l *linter) uncheckedCharts() strictyaml.Problems {
	warnings := strictyaml.ProblemsOf(l.document.CheckCharts(func(name string) error {
		if chart.InRegistry(name) {
			return errors.New("is in a registry, which lint doesn't query: its own values, its schema and its templates aren't checked (envladder render does query it)")
		}
		return nil
	}))
	for i := range warnings {
		warnings[i].Warning = true
	}
	return warnings
}
