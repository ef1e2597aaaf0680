package ladder

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/envladder/envladder/internal/printable"
	"github.com/envladder/envladder/internal/strictyaml"
)

// Document is a Ladder as it stands in a repository. Its own faults are found when it is
// opened; those of the files that it names, when they are needed, so that a layer which
// prod lacks doesn't stop dev.
type Document struct {
	Ladder

	// File is the Ladder's path in the repository.
	File string

	repo      fs.FS
	dir       string
	positions strictyaml.Positions
	// named are the layers' files that the Ladder names without globs.
	named map[string]bool
	own   own
}

// Open reads and validates the Ladder of the folder dir. repo is the repository from its
// root, dir a slash path in it, "." for the root itself; its symbolic links are followed
// first. The error is a
// strictyaml.Faults with every fault where the document is at fault, and another where
// it couldn't be read (it matches fs.ErrNotExist where there is none).
func Open(repo fs.FS, dir string) (*Document, error) {
	folder, err := FollowLinks(repo, dir)
	if err != nil {
		return nil, fmt.Errorf("finding the folder %q: it %w", dir, err)
	}
	d := &Document{File: path.Join(folder, FileName), repo: repo, dir: folder}
	data, err := strictyaml.ReadFile(repo, d.File)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, newNoLadderError(repo, d.dir)
	case strictyaml.FaultsOf(err) != nil:
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("reading %q inside the repository: %w", d.File, withoutPath(err))
	}
	if err := d.decode(data); err != nil {
		return nil, err
	}
	return d, nil
}

// anyFolder is where a Ladder stands that stands alone: so deep that each `../` which
// a real one has leads to some folder.
var anyFolder = strings.TrimSuffix(strings.Repeat("any/", 100), "/")

// Alone validates a Ladder that stands apart from its repository, as in a ConfigMap: all
// that it says of itself, and nothing about the files that it names. file is only named
// in faults. The error is a strictyaml.Faults.
func Alone(file string, data []byte) (*Ladder, error) {
	d := &Document{File: file, dir: anyFolder}
	if err := d.decode(data); err != nil {
		return nil, err
	}
	return &d.Ladder, nil
}

// decode reads and validates the document. The error is a strictyaml.Faults.
func (d *Document) decode(data []byte) error {
	root, err := strictyaml.ParseMapping(d.File, data)
	faults := strictyaml.FaultsOf(err)
	if root == nil {
		return faults.Err()
	}
	positions, more := strictyaml.Decode(d.File, root, &d.Ladder)
	d.positions = positions
	faults = append(faults, d.validate(more)...)
	d.named = d.findNamed()
	d.own = d.findOwn()
	return faults.Err()
}

// noLadderError is that a folder has no Ladder.
type noLadderError struct {
	dir string
	// submodule that has the folder and isn't checked out; empty for none.
	submodule string
}

func newNoLadderError(repo fs.FS, dir string) error {
	submodule, _ := missingSubmodule(repo, dir)
	return &noLadderError{dir, submodule}
}

func (e *noLadderError) Error() string {
	if e.submodule != "" {
		return fmt.Sprintf("finding %s in folder %q of the repository: it %s", FileName, e.dir, notCheckedOut(e.submodule))
	}
	return fmt.Sprintf("finding %s in folder %q of the repository: there is none: name the ladder's folder (-C, or the Application's path)", FileName, e.dir)
}

func (e *noLadderError) Is(target error) bool { return target == fs.ErrNotExist }

// Check checks the Ladder with all files that it names: every environment and target
// can be resolved, every layer and all pins are valid. What is in charts it leaves to
// CheckCharts. The error is a strictyaml.Faults.
func (d *Document) Check() error {
	faults := d.checkPlaces()
	for _, e := range d.Spec.Environments {
		faults = append(faults, d.checkGate(e)...)
	}
	faults = append(faults, d.checkLayers()...)
	return faults.Err()
}

// checkPlaces checks the pins and the chart of every environment and target.
func (d *Document) checkPlaces() strictyaml.Faults {
	var faults strictyaml.Faults
	d.eachPins(func(p pinned, found strictyaml.Faults) bool {
		faults = append(faults, found...)
		_, found = d.chart(p)
		faults = append(faults, found...)
		return !faults.Full()
	})
	return faults
}

// CheckCharts loads each chart that the Ladder or its pins name, once, where it is
// named right. load gets a chart as Step.Chart has it; its error becomes a fault of
// where the chart is named. The error is a strictyaml.Faults.
func (d *Document) CheckCharts(load func(chart string) error) error {
	var faults strictyaml.Faults
	loaded := map[string]bool{}
	check := func(p pinned, _ strictyaml.Faults) bool {
		chart, wrong := d.chart(p)
		if wrong == nil && !loaded[chart] {
			loaded[chart] = true
			if err := load(chart); err != nil {
				faults = append(faults, d.chartFault(p, "%s", printable.Line(err.Error(), 500)))
			}
		}
		return !faults.Full()
	}
	check(pinned{}, nil)
	d.eachPins(check)
	return faults.Err()
}

// CheckGates reads each Gate that an environment names, but those that Check finds missing.
// An error of check becomes a fault of where the Gate is named. The error is a
// strictyaml.Faults.
func (d *Document) CheckGates(check func(file string, data []byte) error) error {
	var faults strictyaml.Faults
	for e, environment := range d.Spec.Environments {
		if environment.Gate == "" {
			continue
		}
		own := entry{at: strictyaml.Key(environmentPath(e), "gate"), path: environment.Gate}
		file, fault := d.file(own)
		if fault != nil {
			continue
		}
		if submodule, ok := SubmoduleOf(d.repo, file); ok {
			warning := d.positions.Fault(own.at, "%q is in submodule %q, which promotions don't read: keep the Gate's file in this repository, or name a copy of it (envladder promote --gate FILE)", own.path, submodule)
			warning.Warning = true
			faults = append(faults, warning)
		}
		data, err := strictyaml.ReadFile(d.repo, file)
		if err == nil {
			err = check(file, data)
		}
		if err != nil {
			faults = append(faults, d.positions.Fault(own.at, "%s", printable.Line(err.Error(), 500)))
		}
	}
	return faults.Err()
}

// eachPins reads the pins of every environment and target, those that several share
// once, until visit says stop.
func (d *Document) eachPins(visit func(pinned, strictyaml.Faults) bool) {
	for e, environment := range d.Spec.Environments {
		seen := map[string]bool{}
		for _, t := range targetIndexes(environment) {
			if own := d.pinsEntry(e, t); own.path != "" {
				if seen[own.at] {
					continue
				}
				seen[own.at] = true
			}
			if !visit(d.pins(e, t)) {
				return
			}
		}
	}
}

// targetIndexes are the indexes of the environment's targets: noTarget where it has none.
func targetIndexes(e Environment) []int {
	if len(e.Targets) == 0 {
		return []int{noTarget}
	}
	indexes := make([]int, len(e.Targets))
	for i := range indexes {
		indexes[i] = i
	}
	return indexes
}

// checkLayers checks every layer that is named anywhere, whether an environment uses it
// or not, and the content of each once.
func (d *Document) checkLayers() strictyaml.Faults {
	var faults strictyaml.Faults
	checked := map[string]bool{}
	for _, entry := range d.allLayers() {
		if faults.Full() {
			break
		}
		files, fault := d.files(entry)
		if fault != nil {
			faults = append(faults, *fault)
			continue
		}
		for _, file := range files {
			if !checked[file] {
				checked[file] = true
				faults = append(faults, d.checkLayer(file, entry)...)
			}
		}
	}
	return faults
}

func (d *Document) checkLayer(file string, entry entry) strictyaml.Faults {
	data, err := strictyaml.ReadFile(d.repo, file)
	if err != nil {
		return strictyaml.Faults{d.unreadable(entry, err)}
	}
	_, err = strictyaml.ParseMapping(file, data)
	return strictyaml.FaultsOf(err)
}

func (d *Document) checkGate(e Environment) strictyaml.Faults {
	if e.Gate == "" {
		return nil
	}
	at := strictyaml.Key(environmentPath(d.index(e.Name)), "gate")
	if _, fault := d.file(entry{at: at, path: e.Gate}); fault != nil {
		return strictyaml.Faults{*fault}
	}
	return nil
}

// entry is a file as the Ladder names it.
type entry struct {
	// at is the entry's path in the document, such as spec.layers[0].
	at string
	// path as it is written.
	path string
	// origin of a layer, as in Layer.
	origin string
	// layer is set for layers: they may be globs, and optional.
	layer, optional bool
}

// file is the entry's path in the repository, where it names a file that is there.
func (d *Document) file(e entry) (string, *strictyaml.Fault) {
	file, err := resolve(d.dir, e.path)
	if err != nil {
		fault := d.positions.Fault(e.at, "%q %v", e.path, err)
		return "", &fault
	}
	info, err := fs.Stat(d.repo, file)
	switch {
	case err != nil:
		fault := d.positions.Fault(e.at, "%q %s", e.path, d.whyUnreadable(file, err))
		return "", &fault
	case !info.Mode().IsRegular():
		fault := d.positions.Fault(e.at, "%q isn't a file", e.path)
		return "", &fault
	}
	return file, nil
}

func (d *Document) unreadable(e entry, err error) strictyaml.Fault {
	return d.positions.Fault(e.at, "%q %s", e.path, whyUnreadable(err))
}

// whyUnreadable returns why a file of the repository can't be read, without its path.
func (d *Document) whyUnreadable(file string, err error) string {
	if submodule, missing := missingSubmodule(d.repo, file); missing {
		return notCheckedOut(submodule)
	}
	return whyUnreadable(err)
}

func whyUnreadable(err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		return "doesn't exist"
	}
	return fmt.Sprintf("can't be read inside the repository: %v", withoutPath(err))
}

// withoutPath is err without the operation and the path on this machine.
func withoutPath(err error) error {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		return pathErr.Err
	}
	return err
}
