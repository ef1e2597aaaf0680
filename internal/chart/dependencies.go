package chart

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	helm "helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
	"sigs.k8s.io/yaml"

	"github.com/envladder/envladder/internal/files"
)

// localScheme is the start of the repository of a dependency in a folder.
const localScheme = "file://"

const (
	// maxNested bounds how deep local dependencies are nested.
	maxNested = 8
	// maxMetadata bounds the files that are parsed for dependencies, in bytes.
	maxMetadata = 1 << 20
)

// requirements are the dependencies in a chart's metadata or lock.
type requirements struct {
	Name         string             `json:"name"`
	Version      string             `json:"version"`
	Dependencies []*helm.Dependency `json:"dependencies"`
}

// dependencies adds the local dependencies (file://) that the folder charts/ lacks to the
// chart at dir, which has the files, as `helm dependency build` does. Charts that are in
// charts/ already take precedence, as in `helm template`.
func (r *folderReader) dependencies(ctx context.Context, dir, prefix string, files []File, above []string) error {
	wanted, locked := requirementsIn(files, prefix)
	added := map[string]bool{}
	taken := findVendored(files, prefix+chartutil.ChartsDir+"/")
	for _, dependency := range wanted {
		if dependency == nil || !strings.HasPrefix(dependency.Repository, localScheme) || taken.has(dependency.Name) {
			continue
		}
		key := dependency.Name + " " + dependency.Repository
		if added[key] { // the same chart by another alias
			continue
		}
		added[key] = true
		if err := r.dependency(ctx, dir, prefix, taken, dependency, locked, above); err != nil {
			return fmt.Errorf("its dependency %q (%s): %w", dependency.Name, dependency.Repository, err)
		}
	}
	return nil
}

// chartName matches the names of charts that are valid as names of folders.
var chartName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// dependency adds one local dependency of the chart at dir.
func (r *folderReader) dependency(ctx context.Context, dir, prefix string, taken vendoredCharts, wanted *helm.Dependency, locked map[string]string, above []string) error {
	folder, err := localFolder(dir, wanted.Repository)
	if err != nil {
		return err
	}
	above = append(slices.Clone(above), dir)
	switch {
	case !chartName.MatchString(wanted.Name):
		return errors.New("its name must be that of a chart: letters, digits, dots, dashes and underscores")
	case slices.Contains(above, folder):
		return errors.New("it depends on itself")
	case len(above) > maxNested:
		return fmt.Errorf("local dependencies are nested deeper than %d", maxNested)
	}
	if err := checkDependency(r.fsys, folder, wanted, locked[wanted.Name]); err != nil {
		return err
	}
	inside := prefix + chartutil.ChartsDir + "/" + taken.folderFor(wanted.Name)
	r.local = append(r.local, LocalChart{inside, folder})
	return r.chart(ctx, folder, inside+"/", above)
}

// Locate returns the path in the repository of a file of the chart. A file of a local
// dependency is in the folder that it was read from.
func (c *Chart) Locate(name string) string {
	located := c.Path + "/" + name  // an address keeps its slashes
	for _, local := range c.local { // inner ones come after those around them
		if rel, ok := strings.CutPrefix(name, local.Inside+"/"); ok {
			located = path.Join(local.Folder, rel)
		}
	}
	return located
}

// localFolder returns the folder in the repository that a file:// address names.
func localFolder(dir, address string) (string, error) {
	written := strings.TrimPrefix(address, localScheme)
	if path.IsAbs(written) {
		return "", errors.New("its path is absolute: write it relative to the chart")
	}
	folder := path.Join(dir, written)
	if !fs.ValidPath(folder) {
		return "", errors.New("its path leads outside the repository")
	}
	return folder, nil
}

// checkDependency checks that a folder has the wanted chart in an allowed version: the
// locked one where there is a lock, as in `helm dependency build`.
func checkDependency(fsys fs.FS, folder string, wanted *helm.Dependency, locked string) error {
	file := path.Join(folder, chartutil.ChartfileName)
	data, err := files.ReadFS(fsys, file, maxMetadata)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%q has no %s", folder, chartutil.ChartfileName)
	case err != nil:
		return err
	}
	var found requirements
	if err := yaml.Unmarshal(data, &found); err != nil {
		return fmt.Errorf("parsing %q: %w", file, err)
	}
	switch {
	case found.Name != wanted.Name:
		return fmt.Errorf("%q has the chart %q", folder, found.Name)
	case !chartutil.IsCompatibleRange(wanted.Version, found.Version):
		return fmt.Errorf("%q has version %s, and %q is required", folder, found.Version, wanted.Version)
	case locked != "" && !chartutil.IsCompatibleRange(locked, found.Version):
		return fmt.Errorf("%q has version %s, and the chart's lock has %s: run `helm dependency update`", folder, found.Version, locked)
	}
	return nil
}

// requirementsIn returns the dependencies that a chart's files name, if one is local, and
// the locked versions. It ignores files that can't be parsed, which Helm's loader reports.
func requirementsIn(files []File, prefix string) (wanted []*helm.Dependency, locked map[string]string) {
	locked = map[string]string{}
	for _, name := range []string{chartutil.ChartfileName, "requirements.yaml"} {
		if data := contentOf(files, prefix+name); bytes.Contains(data, []byte(localScheme)) {
			wanted = append(wanted, parseRequirements(data).Dependencies...)
		}
	}
	if len(wanted) == 0 {
		return nil, nil
	}
	for _, name := range []string{"requirements.lock", "Chart.lock"} {
		for _, dependency := range parseRequirements(contentOf(files, prefix+name)).Dependencies {
			if dependency != nil && strings.HasPrefix(dependency.Repository, localScheme) {
				locked[dependency.Name] = dependency.Version
			}
		}
	}
	return wanted, locked
}

// parseRequirements parses a chart's metadata or lock; it returns none where that is invalid.
func parseRequirements(data []byte) (found requirements) {
	if len(data) > maxMetadata || yaml.Unmarshal(data, &found) != nil {
		return requirements{}
	}
	return found
}

// contentOf returns the content of the file name.
func contentOf(files []File, name string) []byte {
	for _, f := range files {
		if f.Name == name {
			return f.Data
		}
	}
	return nil
}

// vendoredCharts are the names in a chart's folder charts/: of charts, and of the folders
// and packages that contain them.
type vendoredCharts struct {
	charts, folders map[string]bool
	packages        []string
}

// findVendored returns the vendored charts in the files below charts, a folder charts/ with
// its slash.
func findVendored(files []File, charts string) vendoredCharts {
	d := vendoredCharts{charts: map[string]bool{}, folders: map[string]bool{}}
	for _, f := range files {
		rel, ok := strings.CutPrefix(f.Name, charts)
		if !ok {
			continue
		}
		folder, inside, isFolder := strings.Cut(rel, "/")
		d.folders[folder] = true
		switch {
		case !isFolder:
			d.packages = append(d.packages, folder)
		case inside == chartutil.ChartfileName:
			d.charts[parseRequirements(f.Data).Name] = true
		}
	}
	return d
}

// packageVersion matches what follows a chart's name in a package's name.
var packageVersion = regexp.MustCompile(`^-v?[0-9]+\.[0-9]+\.[0-9]+[-+.0-9A-Za-z]*\.tgz$`)

// has reports whether there is a chart of that name. It recognizes a package by the name
// that `helm package` gives it, without unpacking it.
func (d vendoredCharts) has(name string) bool {
	return d.charts[name] || slices.ContainsFunc(d.packages, func(file string) bool {
		version, ok := strings.CutPrefix(file, name)
		return ok && packageVersion.MatchString(version)
	})
}

// folderFor returns a folder's name that isn't used yet, and reserves it.
func (d vendoredCharts) folderFor(chart string) string {
	folder := chart
	for n := 2; d.folders[folder]; n++ {
		folder = fmt.Sprintf("%s-%d", chart, n)
	}
	d.folders[folder] = true
	return folder
}
