package ladder

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/envladder/envladder/internal/strictyaml"
)

// Inference is a Ladder for the chart and the values files that a repository has.
type Inference struct {
	Name  string
	Chart string
	// Values is the folder of the values files.
	Values string
	// Common are the layers of every environment.
	Common []string
	// Environments in the order of the climb, as far as their names tell.
	Environments []InferredEnvironment
	// LeftOut are the files and folders that aren't in the ladder.
	LeftOut []LeftOut
}

// InferredEnvironment is an environment by its values files.
type InferredEnvironment struct {
	Name    string
	Layers  []string
	Targets []InferredTarget
	// Unknown is set where the name doesn't tell the environment's place in the climb.
	Unknown bool
}

// InferredTarget is a target by its values files.
type InferredTarget struct {
	Name   string
	Layers []string
}

// LeftOut is a file or folder that isn't in the ladder, and why.
type LeftOut struct{ File, Reason string }

// InferOptions name what Infer would look for otherwise. Paths are relative to the
// ladder's folder.
type InferOptions struct {
	Chart, Values string
	// Service chooses among the files of several services in one folder.
	Service string
}

// climb is the order of environments by the names that they commonly have.
var climb = [][]string{
	{"local"},
	{"dev", "develop", "development"},
	{"ci"},
	{"test", "testing", "int", "integration"},
	{"qa"},
	{"stage", "staging", "stg"},
	{"uat", "acceptance"},
	{"preprod", "pre-prod", "preproduction"},
	{"prod", "production", "prd", "live"},
}

// Infer looks at the chart and the values files in the folder dir of a repository.
func Infer(repo fs.FS, dir string, options InferOptions) (Inference, error) {
	chart, err := findChartFolder(repo, dir, options.Chart)
	if err != nil {
		return Inference{}, err
	}
	name, err := nameOfChart(repo, dir, chart)
	if err != nil {
		return Inference{}, err
	}
	values, err := findValuesFolder(repo, dir, chart, options.Values)
	if err != nil {
		return Inference{}, err
	}
	v := valuesTree{repo: repo, dir: dir, chart: name, service: options.Service}
	if err := v.read(values); err != nil {
		return Inference{}, fmt.Errorf("looking for values files in %q: %w", values, err)
	}
	found := Inference{Name: cmp.Or(options.Service, name), Chart: chart, Values: values, Common: v.common, LeftOut: v.leftOut}
	for _, e := range v.environments {
		found.Environments = append(found.Environments, *e)
	}
	slices.SortFunc(found.Environments, func(a, b InferredEnvironment) int {
		return cmp.Or(cmp.Compare(height(a.Name), height(b.Name)), cmp.Compare(a.Name, b.Name))
	})
	if len(found.Environments) == 0 {
		return Inference{}, fmt.Errorf("looking for values files in %q: no name tells of an environment: want values-dev.yaml, dev.yaml or dev/values.yaml, or name their folder (--values)%s",
			values, leftOutText(v.leftOut))
	}
	return found, nil
}

// leftOutText lists what was found and is no values file of an environment.
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

// findChartFolder returns the chart, relative to dir: the one that is named, or the one
// that is there.
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
		return "", errors.New("looking for a chart: no folder here has a Chart.yaml: name it (--chart)")
	}
	return "", fmt.Errorf("looking for a chart: there are several, %s: name one (--chart)", some(charts))
}

// chartsBelow returns the folders with a Chart.yaml, down to depth; charts inside of
// charts are theirs.
func chartsBelow(repo fs.FS, dir string, depth int) []string {
	if isFile(repo, path.Join(dir, "Chart.yaml")) {
		return []string{"."}
	}
	entries, err := readFolder(repo, dir)
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

func isFile(repo fs.FS, name string) bool {
	info, err := fs.Stat(repo, name)
	return err == nil && info.Mode().IsRegular()
}

func isFolder(repo fs.FS, name string) bool {
	info, err := fs.Stat(repo, name)
	return err == nil && info.IsDir()
}

// nameOfChart returns the ladder's name by its chart's.
func nameOfChart(repo fs.FS, dir, written string) (string, error) {
	d := &Document{repo: repo, dir: dir}
	at, err := d.findChart(written)
	if err != nil {
		return "", fmt.Errorf("looking at the chart %q: it %w", written, err)
	}
	var metadata struct {
		Name string `json:"name"`
	}
	if !strings.HasSuffix(at, ".tgz") && !strings.HasPrefix(at, ociScheme) {
		data, err := strictyaml.ReadFile(repo, path.Join(at, "Chart.yaml"))
		if err == nil {
			err = yaml.Unmarshal(data, &metadata)
		}
		if err != nil {
			return "", fmt.Errorf("looking at the chart %q: its Chart.yaml can't be read", written)
		}
	}
	if label.MatchString(metadata.Name) {
		return metadata.Name, nil
	}
	return "service", nil
}

// valuesFolders are where repositories commonly have their values files.
var valuesFolders = []string{"values", "environments", "environment", "envs", "env"}

// findValuesFolder returns the folder of values files, relative to dir: the one that is
// named, one of the usual ones, or the chart's own.
func findValuesFolder(repo fs.FS, dir, chart, named string) (string, error) {
	if named != "" {
		if _, err := resolve(dir, named); err != nil {
			return "", fmt.Errorf("looking for values files in %q: it %w", named, err)
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

// height orders environments by their names. One that says more (prod-eu) comes after the
// one that it is like; unknown names come before the first that is like production.
func height(name string) int {
	if i := rung(name); i >= 0 {
		return 3 * i
	}
	for word := range strings.SplitSeq(name, "-") {
		if i := rung(word); i >= 0 {
			return 3*i + 1
		}
	}
	return 3*(len(climb)-2) - 1
}

func rung(name string) int {
	return slices.IndexFunc(climb, func(names []string) bool { return slices.Contains(names, name) })
}

// knownName reports whether a name tells of an environment's place in the climb.
func knownName(name string) bool {
	return rung(name) >= 0 || slices.ContainsFunc(strings.Split(name, "-"), func(word string) bool { return rung(word) >= 0 })
}

// Text returns the ladder.yaml.
func (i Inference) Text() string {
	var b strings.Builder
	b.WriteString("# yaml-language-server: $schema=https://raw.githubusercontent.com/envladder/envladder/main/schemas/ladder.schema.json\n")
	fmt.Fprintf(&b, "apiVersion: %s\nkind: %s\nmetadata:\n  name: %s\nspec:\n  chart: %s\n", APIVersion, Kind, quoted(i.Name), quoted(i.Chart))
	b.WriteString("  # Rendered as Helm does, without annotations of envladder's.\n  stamps: Off\n")
	if len(i.Common) > 0 {
		b.WriteString("  # Of every environment; later layers win.\n  layers:\n")
		writeItems(&b, "  ", i.Common)
	}
	b.WriteString("  # Their order is the climb: the first one is where a change begins.\n  environments:\n")
	for _, e := range i.Environments {
		fmt.Fprintf(&b, "  - name: %s\n", quoted(e.Name))
		writeLayers(&b, "    ", e.Layers)
		if len(e.Targets) > 0 {
			b.WriteString("    targets:\n")
		}
		for _, t := range e.Targets {
			fmt.Fprintf(&b, "    - name: %s\n", quoted(t.Name))
			writeLayers(&b, "      ", t.Layers)
		}
	}
	return b.String()
}

func writeLayers(b *strings.Builder, indent string, layers []string) {
	if len(layers) > 0 {
		b.WriteString(indent + "layers:\n")
		writeItems(b, indent, layers)
	}
}

func writeItems(b *strings.Builder, indent string, items []string) {
	for _, item := range items {
		fmt.Fprintf(b, "%s- %s\n", indent, quoted(item))
	}
}

// plainText is what needs no quotes in YAML, for any reader.
var plainText = regexp.MustCompile(`^[a-zA-Z./][a-zA-Z0-9./_-]*$`)

func quoted(s string) string {
	var plain any
	if err := yaml.Unmarshal([]byte(s), &plain); plainText.MatchString(s) && err == nil && plain == s {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", "''") + "'"
}
