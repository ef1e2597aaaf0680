package ladder

import (
	"errors"
	"io/fs"
)

// Document is a Ladder as it stands in a repository. Its own faults are found when it is
// opened; those of the files that it names, when they are needed.
type Document struct {
	Ladder
	// File is the Ladder's path in the repository.
	File string

	repo fs.FS
	dir  string
}

// Open reads and validates the Ladder of the folder dir. repo is the repository from its
// root, dir a slash path in it, "." for the root itself. The error is a
// strictyaml.Faults with every fault where the document is at fault, and another where
// it couldn't be read (it matches fs.ErrNotExist where there is none).
func Open(repo fs.FS, dir string) (*Document, error) {
	return nil, errors.New("not written yet")
}

// Step resolves an environment: its chart, its layers in order, its pins. target is
// empty for an environment without targets. The error is a strictyaml.Faults where a
// document is at fault, and another where the ladder has no such environment or target.
func (d *Document) Step(environment, target string) (Step, error) {
	return Step{}, errors.New("not written yet")
}
