package ladder

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"

	"github.com/envladder/envladder/internal/digests"
	"github.com/envladder/envladder/internal/strictyaml"
)

// ociScheme is the start of a chart's address in a registry.
const ociScheme = "oci://"

// ociChart matches a chart's address in a registry, by its digest.
var ociChart = regexp.MustCompile(`^oci://` + repositoryPattern + `@` + digests.Syntax + `$`)

// chart returns the chart of the pins, or else the Ladder's.
func (d *Document) chart(p pinned) (string, strictyaml.Problems) {
	written := d.Spec.Chart
	if p.Chart != "" {
		written = p.Chart
	}
	chart, err := FindChart(d.repo, d.dir, written)
	if err != nil {
		return "", strictyaml.Problems{d.chartProblem(p, "%.300q %v", written, err)}
	}
	return chart, nil
}

// chartProblem returns a problem at the position that names the chart.
func (d *Document) chartProblem(p pinned, format string, args ...any) strictyaml.Problem {
	if p.Chart != "" {
		return p.positions.Problem("chart", format, args...)
	}
	return d.positions.Problem("spec.chart", format, args...)
}

// FindChart returns the path in the repository of a chart as a Ladder in the folder dir
// names it, or its address in a registry. It checks that there is a chart.
func FindChart(repo fs.FS, dir, written string) (string, error) {
	if strings.HasPrefix(written, ociScheme) {
		return written, checkChart(written)
	}
	file, err := resolve(dir, written)
	if err != nil {
		return "", err
	}
	info, err := fs.Stat(repo, file)
	switch {
	case err != nil:
		return "", errors.New(whyUnreadableIn(repo, file, err))
	case info.IsDir():
		return file, checkChartFolder(repo, file)
	case !info.Mode().IsRegular() || !strings.HasSuffix(file, ".tgz"):
		return "", errors.New("is neither a folder nor a packaged chart (.tgz)")
	}
	return file, nil
}

// checkChartFolder checks that a folder has a Chart.yaml.
func checkChartFolder(repo fs.FS, folder string) error {
	file := path.Join(folder, "Chart.yaml")
	info, err := fs.Stat(repo, file)
	switch {
	case err != nil:
		return fmt.Errorf("isn't a chart: its Chart.yaml %s", whyUnreadableIn(repo, file, err))
	case !info.Mode().IsRegular():
		return errors.New("isn't a chart: its Chart.yaml isn't a file")
	}
	return nil
}

// checkChart checks a chart's address without reading files.
func checkChart(written string) error {
	if strings.HasPrefix(written, ociScheme) && !ociChart.MatchString(written) {
		return errors.New("isn't a chart's digest: want oci://HOST/REPOSITORY@sha256:… with 64 lowercase hex digits, without a tag")
	}
	return nil
}
