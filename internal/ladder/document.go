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

// Document is a Ladder in a repository. Open reports the problems of the Ladder itself. Those
// of the files that it names are reported when the files are needed, so that a layer which
// prod lacks doesn't affect dev.
type Document struct {
	Ladder

	// File is the Ladder's path in the repository.
	File string

	repo      fs.FS
	dir       string
	positions strictyaml.Positions
	// named are the layers' files that the Ladder names without globs.
	named map[string]bool
	own   ownFiles
}

// Open reads and validates the Ladder of the folder dir. repo is the repository from its
// root, dir a slash path in it, "." for the root itself; Open follows its symbolic links.
// The error is a strictyaml.Problems with every problem where the document is invalid, and
// another error where it can't be read (fs.ErrNotExist where there is none).
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
	case strictyaml.ProblemsOf(err) != nil:
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("reading %q inside the repository: %w", d.File, withoutPath(err))
	}
	if err := d.decode(data); err != nil {
		return nil, err
	}
	return d, nil
}

// anyFolder is the folder of a Ladder without a repository. It is so deep that each `../` of
// a real Ladder leads to some folder.
var anyFolder = strings.TrimSuffix(strings.Repeat("any/", 100), "/")

// Parse parses and validates a Ladder without its repository, as in a ConfigMap. It doesn't
// check the files that the Ladder names. file is only named in problems. The error is a
// strictyaml.Problems.
func Parse(file string, data []byte) (*Ladder, error) {
	d := &Document{File: file, dir: anyFolder}
	if err := d.decode(data); err != nil {
		return nil, err
	}
	return &d.Ladder, nil
}

// decode parses and validates the document. The error is a strictyaml.Problems.
func (d *Document) decode(data []byte) error {
	root, err := strictyaml.ParseMapping(d.File, data)
	problems := strictyaml.ProblemsOf(err)
	if root == nil {
		return problems.Err()
	}
	positions, more := strictyaml.Decode(d.File, root, &d.Ladder)
	d.positions = positions
	problems = append(problems, d.validate(more)...)
	d.named = d.findNamed()
	d.own = d.findOwnFiles()
	return problems.Err()
}

// noLadderError reports that a folder has no Ladder.
type noLadderError struct {
	dir string
	// submodule that contains the folder and isn't checked out; empty for none.
	submodule string
}

// newNoLadderError returns the error for a folder without a Ladder.
func newNoLadderError(repo fs.FS, dir string) error {
	submodule, _ := missingSubmodule(repo, dir)
	return &noLadderError{dir, submodule}
}

func (e *noLadderError) Error() string {
	if e.submodule != "" {
		return fmt.Sprintf("finding %s in folder %q of the repository: it %s", FileName, e.dir, notCheckedOut(e.submodule))
	}
	return fmt.Sprintf("finding %s in folder %q of the repository: there is none: set the ladder's folder (-C, or the Application's path)", FileName, e.dir)
}

func (e *noLadderError) Is(target error) bool { return target == fs.ErrNotExist }

// Check checks the Ladder with all files that it names: every environment and target can be
// resolved, and every layer and all pins are valid. CheckCharts checks the charts. The error
// is a strictyaml.Problems.
func (d *Document) Check() error {
	problems := d.checkTargets()
	for _, e := range d.Spec.Environments {
		problems = append(problems, d.checkGate(e)...)
	}
	problems = append(problems, d.checkLayers()...)
	return problems.Err()
}

// checkTargets checks the pins and the chart of every environment and target.
func (d *Document) checkTargets() strictyaml.Problems {
	var problems strictyaml.Problems
	d.eachPins(func(p pinned, found strictyaml.Problems) bool {
		problems = append(problems, found...)
		_, found = d.chart(p)
		problems = append(problems, found...)
		return !problems.Full()
	})
	return problems
}

// CheckCharts calls load for each chart that the Ladder or its pins name, once, unless the
// name is invalid. load gets a chart as Resolved.Chart has it; its error becomes a problem at
// the position that names the chart. The error is a strictyaml.Problems.
func (d *Document) CheckCharts(load func(chart string) error) error {
	var problems strictyaml.Problems
	loaded := map[string]bool{}
	check := func(p pinned, _ strictyaml.Problems) bool {
		chart, wrong := d.chart(p)
		if wrong == nil && !loaded[chart] {
			loaded[chart] = true
			if err := load(chart); err != nil {
				problems = append(problems, d.chartProblem(p, "%s", printable.Line(err.Error(), 500)))
			}
		}
		return !problems.Full()
	}
	check(pinned{}, nil)
	d.eachPins(check)
	return problems.Err()
}

// CheckGates calls check for each Gate that an environment names, except missing ones, which
// Check reports. An error of check becomes a problem at the position that names the Gate. The
// error is a strictyaml.Problems.
func (d *Document) CheckGates(check func(file string, data []byte) error) error {
	var problems strictyaml.Problems
	for e, environment := range d.Spec.Environments {
		if environment.Gate == "" {
			continue
		}
		own := entry{at: strictyaml.Key(environmentPath(e), "gate"), path: environment.Gate}
		file, problem := d.file(own)
		if problem != nil {
			continue
		}
		if submodule, ok := SubmoduleOf(d.repo, file); ok {
			warning := d.positions.Problem(own.at, "%q is in submodule %q, which promotions don't read: store the Gate's file in this repository, or name a copy of it (envladder promote --gate FILE)", own.path, submodule)
			warning.Warning = true
			problems = append(problems, warning)
		}
		data, err := strictyaml.ReadFile(d.repo, file)
		if err == nil {
			err = check(file, data)
		}
		if err != nil {
			problems = append(problems, d.positions.Problem(own.at, "%s", printable.Line(err.Error(), 500)))
		}
	}
	return problems.Err()
}

// eachPins reads the pins of every environment and target, shared ones once, until visit
// returns false.
func (d *Document) eachPins(visit func(pinned, strictyaml.Problems) bool) {
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

// targetIndexes returns the indexes of the environment's targets: noTarget where it has none.
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

// checkLayers checks every layer that is named anywhere, whether an environment uses it or
// not, and each file's content once.
func (d *Document) checkLayers() strictyaml.Problems {
	var problems strictyaml.Problems
	checked := map[string]bool{}
	for _, entry := range d.allLayers() {
		if problems.Full() {
			break
		}
		files, problem := d.files(entry)
		if problem != nil {
			problems = append(problems, *problem)
			continue
		}
		for _, file := range files {
			if !checked[file] {
				checked[file] = true
				problems = append(problems, d.checkLayer(file, entry)...)
			}
		}
	}
	return problems
}

// checkLayer parses the file of a layer.
func (d *Document) checkLayer(file string, entry entry) strictyaml.Problems {
	data, err := strictyaml.ReadFile(d.repo, file)
	if err != nil {
		return strictyaml.Problems{d.unreadable(entry, err)}
	}
	_, err = strictyaml.ParseMapping(file, data)
	return strictyaml.ProblemsOf(err)
}

// checkGate checks that the Gate's file exists.
func (d *Document) checkGate(e Environment) strictyaml.Problems {
	if e.Gate == "" {
		return nil
	}
	at := strictyaml.Key(environmentPath(d.index(e.Name)), "gate")
	if _, problem := d.file(entry{at: at, path: e.Gate}); problem != nil {
		return strictyaml.Problems{*problem}
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

// file returns the entry's path in the repository. The file must exist.
func (d *Document) file(e entry) (string, *strictyaml.Problem) {
	file, err := resolve(d.dir, e.path)
	if err != nil {
		problem := d.positions.Problem(e.at, "%q %v", e.path, err)
		return "", &problem
	}
	info, err := fs.Stat(d.repo, file)
	switch {
	case err != nil:
		problem := d.positions.Problem(e.at, "%q %s", e.path, whyUnreadableIn(d.repo, file, err))
		return "", &problem
	case !info.Mode().IsRegular():
		problem := d.positions.Problem(e.at, "%q isn't a file", e.path)
		return "", &problem
	}
	return file, nil
}

// unreadable returns the problem of an entry's file that can't be read.
func (d *Document) unreadable(e entry, err error) strictyaml.Problem {
	return d.positions.Problem(e.at, "%q %s", e.path, whyUnreadable(err))
}

// whyUnreadableIn returns why a file of the repository can't be read, without its path.
func whyUnreadableIn(repo fs.FS, file string, err error) string {
	if submodule, missing := missingSubmodule(repo, file); missing {
		return notCheckedOut(submodule)
	}
	return whyUnreadable(err)
}

// whyUnreadable returns why a file can't be read, without its path.
func whyUnreadable(err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		return "doesn't exist"
	}
	return fmt.Sprintf("can't be read inside the repository: %v", withoutPath(err))
}

// withoutPath returns err without the operation and the path on this machine.
func withoutPath(err error) error {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		return pathErr.Err
	}
	return err
}
