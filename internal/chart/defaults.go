package chart

import (
	"slices"

	helm "helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"

	"github.com/envladder/envladder/internal/layers"
)

// Defaults are the chart's own values and those of its subcharts, each below its name,
// parents first. Whether a subchart takes part in a rendering they leave open.
func (c *Chart) Defaults() []layers.Default {
	return defaults(c.pristine, c.Path, nil)
}

func defaults(c *helm.Chart, folder string, prefix []string) []layers.Default {
	own := layers.Default{File: folder + "/" + chartutil.ValuesfileName, Prefix: prefix, Values: c.Values}
	for _, file := range c.Raw {
		if file.Name == chartutil.ValuesfileName {
			own.Data = file.Data
		}
	}
	all := []layers.Default{own}
	for _, child := range c.Dependencies() {
		for _, name := range namesOf(child, c) {
			all = append(all, defaults(child, folder+"/charts/"+child.Name(), append(slices.Clone(prefix), name))...)
		}
	}
	return all
}

// namesOf are the names under which a parent has its child: aliases where it gives any.
func namesOf(child, parent *helm.Chart) []string {
	var names []string
	for _, dependency := range parent.Metadata.Dependencies {
		if dependency != nil && dependency.Name == child.Name() && dependency.Alias != "" {
			names = append(names, dependency.Alias)
		}
	}
	if len(names) == 0 {
		names = []string{child.Name()}
	}
	return names
}
