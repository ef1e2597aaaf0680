package infer

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/strictyaml"
)

// findChartFolder returns the chart, relative to dir: the named one, or the only one.
func findChartFolder(repo fs.FS, dir, named string) (string, error) {
	if named != "" {
		return path.Clean(named), nil
	}
	charts := chartsBelow(repo, dir, 2)
	slices.Sort(charts)
	switch {
	case slices.Contains(charts, "."):
		return ".", nil
	case slices.Contains(charts, "chart"):
		return "chart", nil
	case len(charts) == 1:
		return charts[0], nil
	case len(charts) == 0:
		return "", errors.New("finding a chart: no folder here has a Chart.yaml: set --chart")
	}
	return "", fmt.Errorf("finding a chart: there are several (%s): choose one with --chart", ladder.ListNames(charts))
}

// chartsBelow returns the folders with a Chart.yaml, down to depth, without charts inside
// charts.
func chartsBelow(repo fs.FS, dir string, depth int) []string {
	if isFile(repo, path.Join(dir, "Chart.yaml")) {
		return []string{"."}
	}
	entries, err := ladder.ReadFolder(repo, dir)
	if err != nil || depth == 0 {
		return nil
	}
	var charts []string
	for _, e := range entries {
		if !e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		for _, inner := range chartsBelow(repo, path.Join(dir, e.Name()), depth-1) {
			charts = append(charts, path.Join(e.Name(), inner))
		}
	}
	return charts
}

// isFile reports whether name is a regular file.
func isFile(repo fs.FS, name string) bool {
	info, err := fs.Stat(repo, name)
	return err == nil && info.Mode().IsRegular()
}

// isFolder reports whether name is a folder.
func isFolder(repo fs.FS, name string) bool {
	info, err := fs.Stat(repo, name)
	return err == nil && info.IsDir()
}

// chartName returns the name of a chart if it can be the ladder's, else "service".
func chartName(repo fs.FS, dir, written string) (string, error) {
	at, err := ladder.FindChart(repo, dir, written)
	if err != nil {
		return "", fmt.Errorf("reading the chart %q: it %w", written, err)
	}
	var metadata struct {
		Name string `json:"name"`
	}
	if isFolder(repo, at) {
		data, err := strictyaml.ReadFile(repo, path.Join(at, "Chart.yaml"))
		if err == nil {
			err = yaml.Unmarshal(data, &metadata)
		}
		if err != nil {
			return "", fmt.Errorf("reading the chart %q: its Chart.yaml can't be read", written)
		}
	}
	if ladder.IsName(metadata.Name) {
		return metadata.Name, nil
	}
	return "service", nil
}

// valuesFolders are the common names of folders with values files.
var valuesFolders = []string{"values", "environments", "environment", "envs", "env"}

// findValuesFolder returns the folder of values files, relative to dir: the named one, one
// with a common name, or the chart's own.
func findValuesFolder(repo fs.FS, dir, chart, named string) (string, error) {
	if named != "" {
		if _, err := ladder.ResolvePath(dir, named); err != nil {
			return "", fmt.Errorf("finding values files in %q: it %w", named, err)
		}
		return path.Clean(named), nil
	}
	for _, folder := range valuesFolders {
		if isFolder(repo, path.Join(dir, folder)) {
			return folder, nil
		}
	}
	if isFolder(repo, path.Join(dir, chart)) {
		return chart, nil
	}
	return ".", nil
}
