package ladder

import (
	"errors"
	"fmt"
	"io/fs"
	"path"

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
}

// Open reads and validates the Ladder of the folder dir. repo is the repository from its
// root, dir a slash path in it, "." for the root itself. The error is a
// strictyaml.Faults with every fault where the document is at fault, and another where
// it couldn't be read (it matches fs.ErrNotExist where there is none).
func Open(repo fs.FS, dir string) (*Document, error) {
	d := &Document{File: path.Join(dir, FileName), repo: repo, dir: path.Clean(dir)}
	data, err := strictyaml.ReadFile(repo, d.File)
	if err != nil {
		return nil, err
	}
	root, err := strictyaml.ParseMapping(d.File, data)
	if err != nil {
		return nil, err
	}
	positions, faults := strictyaml.Decode(d.File, root, &d.Ladder)
	d.positions = positions
	if err := d.validate(faults).Err(); err != nil {
		return nil, err
	}
	return d, nil
}

// Check checks the Ladder with all files that it names: every environment and target
// can be resolved, every layer and all pins are valid. The error is a strictyaml.Faults.
func (d *Document) Check() error {
	var faults strictyaml.Faults
	for _, e := range d.Spec.Environments {
		for _, target := range targetNames(e) {
			_, err := d.Step(e.Name, target)
			faults = append(faults, faultsOf(err)...)
		}
		faults = append(faults, d.checkGate(e)...)
	}
	faults = append(faults, d.checkLayers()...)
	return faults.Err()
}

// targetNames are the names to resolve an environment with: one empty one where it has
// no targets.
func targetNames(e Environment) []string {
	if len(e.Targets) == 0 {
		return []string{""}
	}
	names := make([]string, len(e.Targets))
	for i, t := range e.Targets {
		names[i] = t.Name
	}
	return names
}

// checkLayers checks every layer that is named anywhere, whether an environment uses it
// or not, and the content of each once.
func (d *Document) checkLayers() strictyaml.Faults {
	var faults strictyaml.Faults
	checked := map[string]bool{}
	for _, entry := range d.allLayers() {
		file, fault := d.file(entry)
		if fault != nil {
			faults = append(faults, *fault)
			continue
		}
		if checked[file] {
			continue
		}
		checked[file] = true
		faults = append(faults, d.checkLayer(file, entry)...)
	}
	return faults
}

func (d *Document) checkLayer(file string, entry entry) strictyaml.Faults {
	data, err := strictyaml.ReadFile(d.repo, file)
	if err != nil {
		return strictyaml.Faults{d.unreadable(entry, err)}
	}
	_, err = strictyaml.ParseMapping(file, data)
	return faultsOf(err)
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

// faultsOf are the faults that err is. Resolving a step of the Ladder's own environments
// and parsing have no other errors.
func faultsOf(err error) strictyaml.Faults {
	if err == nil {
		return nil
	}
	if faults, ok := errors.AsType[strictyaml.Faults](err); ok {
		return faults
	}
	return strictyaml.Faults{{Message: err.Error()}}
}

// entry is a file as the Ladder names it.
type entry struct {
	// at is the entry's path in the document, such as spec.layers[0].
	at string
	// path as it is written.
	path string
	// origin of a layer, as in Layer.
	origin string
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
		fault := d.unreadable(e, err)
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

// whyUnreadable says why a file of the repository can't be read, without its path.
func whyUnreadable(err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		return "doesn't exist"
	}
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		err = pathErr.Err // without the operation and the path on this machine
	}
	return fmt.Sprintf("can't be read inside the repository: %v", err)
}
