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

// localScheme begins the repository of a dependency in a folder.
const localScheme = "file://"

const (
	// maxNested bounds how deep local dependencies have local dependencies.
	maxNested = 8
	// maxMetadata bounds the files that are parsed for dependencies, in bytes.
	maxMetadata = 1 << 20
)

// requirements is what a chart's metadata or lock says of its dependencies.
type requirements struct {
	Name         string             `json:"name"`
	Version      string             `json:"version"`
	Dependencies []*helm.Dependency `json:"dependencies"`
}

// dependencies adds to the chart at dir, which has the files, its local dependencies
// (file://) that its folder charts/ lacks, as `helm dependency build` does. What is in
// charts/ already wins, as it does for `helm template`.
func (r *chartReader) dependencies(ctx context.Context, dir, prefix string, files []File, above []string) error {
	wanted, locked := requirementsIn(files, prefix)
	added := map[string]bool{}
	taken := delivered(files, prefix+chartutil.ChartsDir+"/")
	for _, dependency := range wanted {
		if dependency == nil || !strings.HasPrefix(dependency.Repository, localScheme) || taken.has(dependency.Name) {
			continue
		}
		key := dependency.Name + " " + dependency.Repository
		if added[key] { // the same again, by another alias
			continue
		}
		added[key] = true
		if err := r.dependency(ctx, dir, prefix, taken, dependency, locked, above); err != nil {
			return fmt.Errorf("its dependency %q (%s): %w", dependency.Name, dependency.Repository, err)
		}
	}
	return nil
}

// chartName is what a chart may be called for its name to be a folder's.
var chartName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

func (r *chartReader) dependency(ctx context.Context, dir, prefix string, taken deliveredCharts, wanted *helm.Dependency, locked map[string]string, above []string) error {
	folder, err := localFolder(dir, wanted.Repository)
	if err != nil {
		return err
	}
	above = append(slices.Clone(above), dir)
	switch {
	case !chartName.MatchString(wanted.Name):
		return errors.New("its name isn't a chart's")
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

// Locate returns the path in the repository of a file by its name in the chart: a local
// dependency's is in the folder that it was read from.
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

// checkDependency checks that a folder has the chart that is wanted, in a version that is
// allowed: by the lock where there is one, as for `helm dependency build`.
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
// the versions that are locked. What can't be parsed is left to Helm's loader.
func requirementsIn(files []File, prefix string) (wanted []*helm.Dependency, locked map[string]string) {
	locked = map[string]string{}
	for _, name := range []string{chartutil.ChartfileName, "requirements.yaml"} {
		if data := content(files, prefix+name); bytes.Contains(data, []byte(localScheme)) {
			wanted = append(wanted, parseRequirements(data).Dependencies...)
		}
	}
	if len(wanted) == 0 {
		return nil, nil
	}
	for _, name := range []string{"requirements.lock", "Chart.lock"} {
		for _, dependency := range parseRequirements(content(files, prefix+name)).Dependencies {
			if dependency != nil && strings.HasPrefix(dependency.Repository, localScheme) {
				locked[dependency.Name] = dependency.Version
			}
		}
	}
	return wanted, locked
}

func parseRequirements(data []byte) (found requirements) {
	if len(data) > maxMetadata || yaml.Unmarshal(data, &found) != nil {
		return requirements{}
	}
	return found
}

func content(files []File, name string) []byte {
	for _, f := range files {
		if f.Name == name {
			return f.Data
		}
	}
	return nil
}

// deliveredCharts are the names in a chart's folder charts/: of charts, and of the folders
// and packages that have them.
type deliveredCharts struct {
	charts, folders map[string]bool
	packages        []string
}

// delivered looks at the files below charts, a folder charts/ with its slash.
func delivered(files []File, charts string) deliveredCharts {
	d := deliveredCharts{charts: map[string]bool{}, folders: map[string]bool{}}
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

// packageVersion is what comes between a chart's name and .tgz in a package's name.
var packageVersion = regexp.MustCompile(`^-v?[0-9]+\.[0-9]+\.[0-9]+[-+.0-9A-Za-z]*\.tgz$`)

// has reports whether a chart of that name is there. A package isn't unpacked: it goes by
// the name that `helm package` gives it.
func (d deliveredCharts) has(name string) bool {
	return d.charts[name] || slices.ContainsFunc(d.packages, func(file string) bool {
		version, ok := strings.CutPrefix(file, name)
		return ok && packageVersion.MatchString(version)
	})
}

// folderFor returns a folder's name that is free, and takes it.
func (d deliveredCharts) folderFor(chart string) string {
	folder := chart
	for n := 2; d.folders[folder]; n++ {
		folder = fmt.Sprintf("%s-%d", chart, n)
	}
	d.folders[folder] = true
	return folder
}
