package ladder

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"

	"github.com/envladder/envladder/internal/digests"
	"github.com/envladder/envladder/internal/strictyaml"
)

// ociScheme begins a chart in a registry.
const ociScheme = "oci://"

// ociChart is a chart in a registry by its digest.
var ociChart = regexp.MustCompile(`^oci://` + repositoryPattern + `@` + digests.Syntax + `$`)

// chart is the step's chart: that of the pins, else the Ladder's.
func (d *Document) chart(p pinned) (string, strictyaml.Problems) {
	written := d.Spec.Chart
	if p.Chart != "" {
		written = p.Chart
	}
	chart, err := d.findChart(written)
	if err != nil {
		return "", strictyaml.Problems{d.chartProblem(p, "%.300q %v", written, err)}
	}
	return chart, nil
}

// chartProblem is a problem of where the step's chart is named.
func (d *Document) chartProblem(p pinned, format string, args ...any) strictyaml.Problem {
	if p.Chart != "" {
		return p.positions.Problem("chart", format, args...)
	}
	return d.positions.Problem("spec.chart", format, args...)
}

func (d *Document) findChart(written string) (string, error) {
	if strings.HasPrefix(written, ociScheme) {
		return written, checkChart(written)
	}
	file, err := resolve(d.dir, written)
	if err != nil {
		return "", err
	}
	info, err := fs.Stat(d.repo, file)
	switch {
	case err != nil:
		return "", fmt.Errorf("%s", d.whyUnreadable(file, err))
	case info.IsDir():
		return file, d.checkChartFolder(file)
	case !info.Mode().IsRegular() || !strings.HasSuffix(file, ".tgz"):
		return "", fmt.Errorf("is neither a folder nor a packaged chart (.tgz)")
	}
	return file, nil
}

func (d *Document) checkChartFolder(folder string) error {
	file := path.Join(folder, "Chart.yaml")
	info, err := fs.Stat(d.repo, file)
	switch {
	case err != nil:
		return fmt.Errorf("isn't a chart: its Chart.yaml %s", d.whyUnreadable(file, err))
	case !info.Mode().IsRegular():
		return fmt.Errorf("isn't a chart: its Chart.yaml isn't a file")
	}
	return nil
}

// checkChart checks what of a chart can be seen without looking at files.
func checkChart(written string) error {
	if strings.HasPrefix(written, ociScheme) && !ociChart.MatchString(written) {
		return fmt.Errorf("isn't a chart's digest: want oci://HOST/REPOSITORY@sha256:… with 64 lowercase hex digits, without a tag")
	}
	return nil
}
