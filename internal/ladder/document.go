package ladder

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

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
