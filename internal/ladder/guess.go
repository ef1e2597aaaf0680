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

// Guess is a Ladder for what a repository has already.
type Guess struct {
	Name  string
	Chart string
	// Common are the layers of every environment.
	Common []string
	// Environments in the order of the climb, as far as their names tell.
	Environments []GuessedEnvironment
	// Left are files that no environment's name was found in.
	Left []string
}

// GuessedEnvironment is an environment by its values files.
type GuessedEnvironment struct {
	Name   string
	Layers []string
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

// commonNames are what files of every environment are called.
var commonNames = []string{"values", "common", "base", "default", "defaults", "global", "all", "shared"}

// valuesName takes the environment out of a file's name: values-prod, prod-values,
// values.prod.
var valuesName = regexp.MustCompile(`^(?:values[-_.])?(.+?)(?:[-_.]values)?$`)

// GuessFrom looks at the chart and the folder of values files, both relative to dir.
func GuessFrom(repo fs.FS, dir, chart, values string) (Guess, error) {
	name, err := chartName(repo, dir, chart)
	if err != nil {
		return Guess{}, err
	}
	folder, err := resolve(dir, values)
	if err != nil {
		return Guess{}, fmt.Errorf("looking for values files in %q: it %w", values, err)
	}
	files, err := valuesFiles(repo, folder)
	if err != nil {
		return Guess{}, fmt.Errorf("looking for values files in %q: %w", values, err)
	}
	g := Guess{Name: name, Chart: path.Clean(chart)}
	byName := map[string][]string{}
	for _, file := range files {
		written := path.Join(path.Clean(values), file)
		environment, common := environmentOf(file)
		switch {
		case common:
			g.Common = append(g.Common, written)
		case environment == "":
			g.Left = append(g.Left, written)
		default:
			byName[environment] = append(byName[environment], written)
		}
	}
	for environment, layers := range byName {
		g.Environments = append(g.Environments, GuessedEnvironment{environment, layers})
	}
	slices.SortFunc(g.Environments, func(a, b GuessedEnvironment) int {
		return cmp.Or(cmp.Compare(height(a.Name), height(b.Name)), cmp.Compare(a.Name, b.Name))
	})
	if len(g.Environments) == 0 {
		return Guess{}, fmt.Errorf("looking for values files in %q: no name tells of an environment: want values-dev.yaml, dev.yaml or dev/values.yaml", values)
	}
	return g, nil
}

// chartName is the ladder's name by its chart's.
func chartName(repo fs.FS, dir, written string) (string, error) {
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

// chartFolders are a chart's own.
var chartFolders = []string{"templates", "charts", "crds"}

// valuesFiles are the YAML files of a folder and of the folders in it, sorted. A ladder,
// its pins and charts are none.
func valuesFiles(repo fs.FS, folder string) ([]string, error) {
	found, err := readFolder(repo, folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("there is no such folder")
	}
	if err != nil {
		return nil, withoutPath(err)
	}
	hasChart := func(entries []fs.DirEntry) bool {
		return slices.ContainsFunc(entries, func(f fs.DirEntry) bool { return f.Name() == "Chart.yaml" })
	}
	// Values files may stand in the chart's folder, beside its own.
	chartItself := hasChart(found)
	var files []string
	for _, f := range found {
		if chartItself && (f.Name() == "values.yaml" || f.IsDir() && slices.Contains(chartFolders, f.Name())) {
			continue
		}
		if !f.IsDir() {
			files = append(files, f.Name())
			continue
		}
		inner, err := readFolder(repo, path.Join(folder, f.Name()))
		if err != nil || hasChart(inner) || f.Name() == "pins" {
			continue
		}
		for _, g := range inner {
			if !g.IsDir() {
				files = append(files, path.Join(f.Name(), g.Name()))
			}
		}
	}
	files = slices.DeleteFunc(files, func(file string) bool {
		base, ext := path.Base(file), path.Ext(file)
		return strings.HasPrefix(base, ".") || ext != ".yaml" && ext != ".yml" || base == FileName || base == "Chart.yaml"
	})
	slices.Sort(files)
	return files, nil
}

// environmentOf is the environment that a file's name tells of, or that it is for all.
// It is empty where the name can't be an environment's.
func environmentOf(file string) (environment string, common bool) {
	folder, base := path.Split(file)
	name := strings.ToLower(strings.TrimSuffix(base, path.Ext(base)))
	if inner := strings.ToLower(strings.TrimSuffix(folder, "/")); inner != "" {
		name = inner
	}
	if slices.Contains(commonNames, name) {
		return "", true
	}
	environment = strings.ReplaceAll(valuesName.FindStringSubmatch(name)[1], "_", "-")
	if slices.Contains(commonNames, environment) {
		return "", true
	}
	if slices.Contains(Tier("").Enum(), environment) { // a tier's file, which no name gives to an environment
		return "", false
	}
	if !label.MatchString(environment) || environment == previewName || previewEnvironment.MatchString(environment) {
		return "", false
	}
	return environment, false
}

// height is an environment's place in the climb; unknown names come before the first
// environment that is like production.
func height(name string) int {
	for i, names := range climb {
		if slices.Contains(names, name) {
			return 2 * i
		}
	}
	return 2*len(climb) - 5
}

// Text is the ladder.yaml.
func (g Guess) Text() string {
	var b strings.Builder
	b.WriteString("# yaml-language-server: $schema=https://raw.githubusercontent.com/envladder/envladder/main/schemas/ladder.schema.json\n")
	fmt.Fprintf(&b, "apiVersion: %s\nkind: %s\nmetadata:\n  name: %s\nspec:\n  chart: %s\n", APIVersion, Kind, quoted(g.Name), quoted(g.Chart))
	b.WriteString("  # Rendered as Helm does, without annotations of envladder's.\n  stamps: Off\n")
	if len(g.Common) > 0 {
		b.WriteString("  # Of every environment; later layers win.\n  layers:\n")
		writeItems(&b, "  ", g.Common)
	}
	b.WriteString("  # Their order is the climb: the first one is where a change begins.\n  environments:\n")
	for _, e := range g.Environments {
		fmt.Fprintf(&b, "  - name: %s\n    layers:\n", quoted(e.Name))
		writeItems(&b, "    ", e.Layers)
	}
	return b.String()
}

func writeItems(b *strings.Builder, indent string, items []string) {
	for _, item := range items {
		fmt.Fprintf(b, "%s- %s\n", indent, quoted(item))
	}
}

// plainText is what needs no quotes in YAML, whoever reads it.
var plainText = regexp.MustCompile(`^[a-zA-Z./][a-zA-Z0-9./_-]*$`)

func quoted(s string) string {
	var plain any
	if err := yaml.Unmarshal([]byte(s), &plain); plainText.MatchString(s) && err == nil && plain == s {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", "''") + "'"
}
