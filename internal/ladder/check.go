package ladder

import (
	"github.com/envladder/envladder/internal/printable"
	"github.com/envladder/envladder/internal/strictyaml"
)

// Check checks the Ladder with all files that it names: every environment and target can be
// resolved, and every layer and all pins are valid. CheckCharts checks the charts. The error
// is a strictyaml.Problems.
func (d *Document) Check() error {
	problems := d.checkTargets()
	for _, e := range d.Spec.Environments {
		problems = append(problems, d.checkGate(e)...)
	}
	problems = append(problems, d.checkLayers()...)
	return problems.Err()
}

// checkTargets checks the pins and the chart of every environment and target.
func (d *Document) checkTargets() strictyaml.Problems {
	var problems strictyaml.Problems
	d.eachPins(func(p pinned, found strictyaml.Problems) bool {
		problems = append(problems, found...)
		_, found = d.chart(p)
		problems = append(problems, found...)
		return !problems.Full()
	})
	return problems
}

// CheckCharts calls load for each chart that the Ladder or its pins name, once, unless the
// name is invalid. load gets a chart as Resolved.Chart has it; its error becomes a problem at
// the position that names the chart. The error is a strictyaml.Problems.
func (d *Document) CheckCharts(load func(chart string) error) error {
	var problems strictyaml.Problems
	loaded := map[string]bool{}
	check := func(p pinned, _ strictyaml.Problems) bool {
		chart, wrong := d.chart(p)
		if wrong == nil && !loaded[chart] {
			loaded[chart] = true
			if err := load(chart); err != nil {
				problems = append(problems, d.chartProblem(p, "%s", printable.Line(err.Error(), 500)))
			}
		}
		return !problems.Full()
	}
	check(pinned{}, nil)
	d.eachPins(check)
	return problems.Err()
}

// CheckGates calls check for each Gate that an environment names, except missing ones, which
// Check reports. An error of check becomes a problem at the position that names the Gate. The
// error is a strictyaml.Problems.
func (d *Document) CheckGates(check func(file string, data []byte) error) error {
	var problems strictyaml.Problems
	for e, environment := range d.Spec.Environments {
		if environment.Gate == "" {
			continue
		}
		own := entry{at: strictyaml.Key(environmentPath(e), "gate"), path: environment.Gate}
		file, problem := d.file(own)
		if problem != nil {
			continue
		}
		if submodule, ok := SubmoduleOf(d.repo, file); ok {
			warning := d.positions.Problem(own.at, "%q is in submodule %q, which promotions don't read: store the Gate's file in this repository, or name a copy of it (envladder promote --gate FILE)", own.path, submodule)
			warning.Warning = true
			problems = append(problems, warning)
		}
		data, err := strictyaml.ReadFile(d.repo, file)
		if err == nil {
			err = check(file, data)
		}
		if err != nil {
			problems = append(problems, d.positions.Problem(own.at, "%s", printable.Line(err.Error(), 500)))
		}
	}
	return problems.Err()
}

// eachPins reads the pins of every environment and target, shared ones once, until visit
// returns false.
func (d *Document) eachPins(visit func(pinned, strictyaml.Problems) bool) {
	for e, environment := range d.Spec.Environments {
		seen := map[string]bool{}
		for _, t := range targetIndexes(environment) {
			if own := d.pinsEntry(e, t); own.path != "" {
				if seen[own.at] {
					continue
				}
				seen[own.at] = true
			}
			if !visit(d.pins(e, t)) {
				return
			}
		}
	}
}

// targetIndexes returns the indexes of the environment's targets: noTarget where it has none.
func targetIndexes(e Environment) []int {
	if len(e.Targets) == 0 {
		return []int{noTarget}
	}
	indexes := make([]int, len(e.Targets))
	for i := range indexes {
		indexes[i] = i
	}
	return indexes
}

// checkLayers checks every layer that is named anywhere, whether an environment uses it or
// not, and each file's content once.
func (d *Document) checkLayers() strictyaml.Problems {
	var problems strictyaml.Problems
	checked := map[string]bool{}
	for _, entry := range d.allLayers() {
		if problems.Full() {
			break
		}
		files, problem := d.files(entry)
		if problem != nil {
			problems = append(problems, *problem)
			continue
		}
		for _, file := range files {
			if !checked[file] {
				checked[file] = true
				problems = append(problems, d.checkLayer(file, entry)...)
			}
		}
	}
	return problems
}

// checkLayer parses the file of a layer.
func (d *Document) checkLayer(file string, entry entry) strictyaml.Problems {
	data, err := strictyaml.ReadFile(d.repo, file)
	if err != nil {
		return strictyaml.Problems{d.unreadable(entry, err)}
	}
	_, err = strictyaml.ParseMapping(file, data)
	return strictyaml.ProblemsOf(err)
}

// checkGate checks that the Gate's file exists.
func (d *Document) checkGate(e Environment) strictyaml.Problems {
	if e.Gate == "" {
		return nil
	}
	at := strictyaml.Key(environmentPath(d.index(e.Name)), "gate")
	if _, problem := d.file(entry{at: at, path: e.Gate}); problem != nil {
		return strictyaml.Problems{*problem}
	}
	return nil
}
