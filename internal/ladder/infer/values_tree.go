package infer

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/envladder/envladder/internal/ladder"
)

// valuesTree is a folder of values files. It has files for all environments or for one, a
// folder for an environment, and in that a folder for a target.
type valuesTree struct {
	repo    fs.FS
	dir     string
	chart   string
	service string

	// inChart is set where the folder is the chart's own.
	inChart      bool
	common       []string
	environments []*Environment
	leftOut      []LeftOut
}

// read reads the folder, a path relative to the ladder's.
func (v *valuesTree) read(folder string) error {
	v.inChart = isFile(v.repo, path.Join(v.dir, folder, "Chart.yaml"))
	found, folders, err := v.folder(folder)
	if err != nil {
		return err
	}
	for _, file := range found {
		v.topFile(path.Join(folder, file), stem(file))
	}
	for _, name := range folders {
		if err := v.environmentFolder(path.Join(folder, name), name); err != nil {
			return err
		}
	}
	return nil
}

// folder returns the names of a folder's values files and folders, and leaves out others.
func (v *valuesTree) folder(name string) (files, folders []string, err error) {
	entries, err := ladder.ReadFolder(v.repo, path.Join(v.dir, name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil, errors.New("there is no such folder")
	case err != nil:
		if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
			err = pathErr.Err
		}
		return nil, nil, err
	}
	for _, e := range entries {
		file := path.Join(name, e.Name())
		switch {
		case strings.HasPrefix(e.Name(), "."):
		case isFolder(v.repo, path.Join(v.dir, file)):
			if e.Name() != "pins" && !isFile(v.repo, path.Join(v.dir, file, "Chart.yaml")) {
				folders = append(folders, e.Name())
			}
		case !isYAML(e.Name()), slices.Contains(otherDocuments, e.Name()):
		case e.Name() == "values.yaml" && isFile(v.repo, path.Join(v.dir, name, "Chart.yaml")): // the chart's own come first anyway
		default:
			if why := v.rejectFile(file); why != "" {
				v.leaveOut(file, why)
				continue
			}
			files = append(files, e.Name())
		}
	}
	slices.Sort(files)
	slices.Sort(folders)
	return files, folders, nil
}

// otherDocuments are the names of a chart's and a ladder's own documents.
var otherDocuments = []string{ladder.FileName, "Chart.yaml", "requirements.yaml"}

func isYAML(name string) bool {
	name = strings.TrimSuffix(name, templateSuffix)
	return strings.HasSuffix(name, ".yaml") || strings.HasSuffix(name, ".yml")
}

// templateSuffix is the suffix of helmfile's templates of values.
const templateSuffix = ".gotmpl"

// commonNames are the names of files that are layers of every environment.
var commonNames = []string{"values", "common", "base", "default", "defaults", "global", "all", "shared"}

// valuesName matches the environment or service in a file's name: values-prod, prod-values,
// values.prod.
var valuesName = regexp.MustCompile(`^(?:values[-_.])?(.+?)(?:[-_.]values)?$`)

// stem returns a file's name in lower case without its ending.
func stem(file string) string {
	file = strings.TrimSuffix(file, templateSuffix)
	return strings.ToLower(strings.TrimSuffix(file, path.Ext(file)))
}

// subject returns the environment or service in a stem, with dashes: prod for values_prod.
func subject(stem string) string {
	return strings.ReplaceAll(valuesName.FindStringSubmatch(stem)[1], "_", "-")
}

// partNames are names of values files that aren't for an environment.
var partNames = []string{
	"image", "images", "tag", "tags", "version", "versions", "config", "configs", "settings", "example", "examples",
	"sample", "samples", "tests", "unittest", "unittests", "schema", "application", "applications", "project", "ingress",
}

// topFile adds a file of an environment, by its name, or of all environments.
func (v *valuesTree) topFile(file, stem string) {
	name := subject(stem)
	if slices.Contains(commonNames, name) {
		v.common = append(v.common, file)
		return
	}
	if v.service != "" && (name == v.service || name == v.chart) {
		v.common = append(v.common, file)
		return
	}
	if why := v.rejectName(name, name == strings.ReplaceAll(stem, "_", "-")); why != "" {
		v.leaveOut(file, why)
		return
	}
	e := v.environment(name)
	e.Layers = append(e.Layers, file)
}

// environment returns the environment of that name, and adds it if it is new.
func (v *valuesTree) environment(name string) *Environment {
	for _, e := range v.environments {
		if e.Name == name {
			return e
		}
	}
	e := &Environment{Name: name, Unknown: !isKnownName(name)}
	v.environments = append(v.environments, e)
	return e
}

// chartsFolders are the folders of charts that aren't environments.
var chartsFolders = map[string]string{
	"templates": "", "charts": "", "crds": "", "files": "", "docs": "",
	"ci": "has values of chart-testing", "tests": "has tests", "unittests": "has tests",
}

// environmentFolder adds the files of a folder that is named after an environment, and its
// folders as targets.
func (v *valuesTree) environmentFolder(folder, name string) error {
	if why, ok := chartsFolders[name]; ok && v.inChart {
		if why != "" {
			v.leaveOut(folder+"/", why)
		}
		return nil
	}
	name = strings.ReplaceAll(strings.ToLower(name), "_", "-")
	files, folders, err := v.folder(folder)
	if err != nil {
		return err
	}
	if slices.Contains(commonNames, name) {
		layers, err := v.choose(folder, name, files)
		v.common = append(v.common, layers...)
		return err
	}
	targets, err := v.targets(folder, folders)
	if err != nil || (len(files) == 0 && len(targets) == 0) {
		return err
	}
	if why := v.rejectName(name, true); why != "" {
		v.leaveOut(folder+"/", why)
		return nil
	}
	layers, err := v.choose(folder, name, files)
	if err != nil {
		return err
	}
	e := v.environment(name)
	e.Layers = append(e.Layers, layers...)
	e.Targets = append(e.Targets, targets...)
	return nil
}

// targets returns a target for each folder in an environment's folder that has values files.
func (v *valuesTree) targets(folder string, names []string) ([]Target, error) {
	var targets []Target
	for _, name := range names {
		at := path.Join(folder, name)
		files, deeper, err := v.folder(at)
		if err != nil {
			return nil, err
		}
		for _, inner := range deeper {
			v.leaveOut(path.Join(at, inner)+"/", "is nested deeper than environments and targets are")
		}
		if len(files) == 0 {
			continue
		}
		target := strings.ReplaceAll(strings.ToLower(name), "_", "-")
		if !ladder.IsName(target) {
			v.leaveOut(at+"/", "has a name that no target can have")
			continue
		}
		layers, err := v.choose(at, target, files)
		if err != nil {
			return nil, err
		}
		targets = append(targets, Target{target, layers})
	}
	return targets, nil
}

// choose returns the layers among a folder's values files: those named after the folder, the
// service or all. The only file of a folder is a layer whatever its name is.
func (v *valuesTree) choose(folder, name string, files []string) (layers []string, err error) {
	isLayer := func(file string) bool {
		subject := subject(stem(file))
		if v.service != "" {
			return subject == v.service || (subject != "values" && slices.Contains(commonNames, subject))
		}
		return subject == name || subject == v.chart || slices.Contains(commonNames, subject)
	}
	if len(files) == 1 && v.service == "" {
		return []string{path.Join(folder, files[0])}, nil
	}
	for _, file := range files {
		if isLayer(file) {
			layers = append(layers, path.Join(folder, file))
		}
	}
	if len(layers) == 0 && len(files) > 1 {
		return nil, fmt.Errorf("%q has %s: if they belong to several services, choose one (--service %s), or write the ladder by hand",
			folder, ladder.ListNames(files), subject(stem(files[0])))
	}
	for _, file := range files {
		if !isLayer(file) {
			v.leaveOut(path.Join(folder, file), "may be of another service: add it to the layers that need it")
		}
	}
	return layers, nil
}
