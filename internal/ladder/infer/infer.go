package infer

import (
	"cmp"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// Ladder is a Ladder inferred from a chart and its values files.
type Ladder struct {
	Name  string
	Chart string
	// Values is the folder of the values files.
	Values string
	// Common are the layers of every environment.
	Common []string
	// Environments in the order of promotion, as far as their names show it.
	Environments []Environment
	// LeftOut are the files and folders that aren't in the ladder.
	LeftOut []LeftOut
}

// Environment is an environment with its values files.
type Environment struct {
	Name    string
	Layers  []string
	Targets []Target
	// Unknown is set where the name doesn't show the environment's position in the order.
	Unknown bool
}

// Target is a target with its values files.
type Target struct {
	Name   string
	Layers []string
}

// LeftOut is a file or folder that isn't in the ladder, with the reason.
type LeftOut struct{ File, Reason string }

// Options replace what FromFiles finds. Paths are relative to the ladder's folder.
type Options struct {
	Chart, Values string
	// Service selects among the files of several services in one folder.
	Service string
}

// FromFiles infers a Ladder from the chart and the values files in the folder dir of a
// repository.
func FromFiles(repo fs.FS, dir string, options Options) (Ladder, error) {
	chart, err := findChartFolder(repo, dir, options.Chart)
	if err != nil {
		return Ladder{}, err
	}
	name, err := chartName(repo, dir, chart)
	if err != nil {
		return Ladder{}, err
	}
	values, err := findValuesFolder(repo, dir, chart, options.Values)
	if err != nil {
		return Ladder{}, err
	}
	v := valuesTree{repo: repo, dir: dir, chart: name, service: options.Service}
	if err := v.read(values); err != nil {
		return Ladder{}, fmt.Errorf("finding values files in %q: %w", values, err)
	}
	found := Ladder{Name: cmp.Or(options.Service, name), Chart: chart, Values: values, Common: v.common, LeftOut: v.leftOut}
	for _, e := range v.environments {
		found.Environments = append(found.Environments, *e)
	}
	slices.SortFunc(found.Environments, func(a, b Environment) int {
		return cmp.Or(cmp.Compare(position(a.Name), position(b.Name)), cmp.Compare(a.Name, b.Name))
	})
	if len(found.Environments) == 0 {
		return Ladder{}, fmt.Errorf("finding values files in %q: no file is named after an environment: want values-dev.yaml, dev.yaml or dev/values.yaml, or name their folder (--values)%s",
			values, leftOutText(v.leftOut))
	}
	return found, nil
}

// leftOutText lists the first files that were found and left out.
func leftOutText(all []LeftOut) string {
	texts := make([]string, min(len(all), 5))
	for i := range texts {
		texts[i] = all[i].File + " " + all[i].Reason
	}
	if len(texts) == 0 {
		return ""
	}
	return " (" + strings.Join(texts, "; ") + ")"
}
