package chart

import (
	"bytes"
	"path"
	"slices"
	"strings"

	helm "helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"

	"github.com/envladder/envladder/internal/layers"
)

// Defaults returns the chart's own values and those of its subcharts, each below its name,
// parents first. It includes subcharts that are disabled.
func (c *Chart) Defaults() []layers.Default {
	c.findDefaults.Do(func() {
		c.defaults = defaults(c.pristine, locationOf(c.Path), nil)
		for i, d := range c.defaults {
			if name, ok := strings.CutPrefix(d.File, c.Path+"/"); ok {
				c.defaults[i].File = c.Locate(name)
			}
		}
	})
	return c.defaults
}

// location is a chart's folder or package.
type location struct {
	path string
	// packed is set where path is a package, whose files can't be opened by name.
	packed bool
}

// locationOf returns the location of a chart by its name.
func locationOf(name string) location {
	return location{path: name, packed: !InRegistry(name) && path.Ext(name) == packageSuffix}
}

// values returns the default values of a chart at the location.
func (l location) values(c *helm.Chart, prefix []string) layers.Default {
	own := layers.Default{File: l.path, Prefix: prefix, Values: c.Values}
	if !l.packed {
		own.File += "/" + chartutil.ValuesfileName
		own.Data = rawFile(c, chartutil.ValuesfileName)
	}
	return own
}

// child returns the location of a chart's dependency.
func (l location) child(parent, child *helm.Chart) location {
	if l.packed {
		return l
	}
	entry := entryOf(parent, child)
	return location{path: l.path + "/charts/" + entry, packed: path.Ext(entry) == packageSuffix}
}

// defaults returns the values of a chart and of its subcharts, below prefix.
func defaults(c *helm.Chart, at location, prefix []string) []layers.Default {
	all := []layers.Default{at.values(c, prefix)}
	for _, child := range c.Dependencies() {
		for _, name := range SubchartNames(child, c) {
			all = append(all, defaults(child, at.child(c, child), append(slices.Clone(prefix), name))...)
		}
	}
	return all
}

// entryOf returns the name of the folder or package in charts/ that a dependency was
// loaded from, which may differ from the dependency's name. It compares Chart.yaml.
func entryOf(parent, child *helm.Chart) string {
	metadata := rawFile(child, chartutil.ChartfileName)
	for _, file := range parent.Raw {
		rest, isChild := strings.CutPrefix(file.Name, "charts/")
		entry, inside, nested := strings.Cut(rest, "/")
		switch {
		case !isChild:
		case nested && inside == chartutil.ChartfileName && bytes.Equal(file.Data, metadata):
			return entry
		case !nested && path.Ext(entry) == packageSuffix && bytes.Equal(packedMetadata(file.Data), metadata):
			return entry
		}
	}
	return child.Name()
}

// packedMetadata returns a package's Chart.yaml.
func packedMetadata(data []byte) []byte {
	files, err := loader.LoadArchiveFiles(bytes.NewReader(data))
	if err != nil {
		return nil // it was loaded before
	}
	for _, file := range files {
		if file.Name == chartutil.ChartfileName {
			return file.Data
		}
	}
	return nil
}

// rawFile returns the content of a chart's file.
func rawFile(c *helm.Chart, name string) []byte {
	for _, file := range c.Raw {
		if file.Name == name {
			return file.Data
		}
	}
	return nil
}

// SubchartNames returns the names under which a parent's values have those of a child: the
// alias or the name of each dependency that the child matches.
func SubchartNames(child, parent *helm.Chart) []string {
	var names []string
	for _, dependency := range parent.Metadata.Dependencies {
		if dependency == nil || dependency.Name != child.Name() || !chartutil.IsCompatibleRange(dependency.Version, child.Metadata.Version) {
			continue
		}
		name := dependency.Name
		if dependency.Alias != "" {
			name = dependency.Alias
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		names = []string{child.Name()}
	}
	return names
}
