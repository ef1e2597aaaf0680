package ladder

import (
	"errors"
	"io/fs"
	"path"
	"strings"
	"unicode"
)

// ResolvePath returns the path in the repository of a path that is written in a Ladder in
// the folder dir.
func ResolvePath(dir, written string) (string, error) { return resolve(dir, written) }

// resolve makes a path of a document that stands in the folder dir a path in the
// repository. Symbolic links are the business of who opens it.
func resolve(dir, written string) (string, error) {
	switch {
	case strings.Contains(written, `\`):
		return "", errors.New("has a backslash: folders are separated by /")
	case strings.ContainsFunc(written, unicode.IsControl):
		return "", errors.New("has a control character")
	case path.IsAbs(written):
		return "", errors.New("is absolute: write it relative to the folder of " + FileName)
	}
	file := path.Join(dir, written)
	if !fs.ValidPath(file) {
		return "", outside(dir)
	}
	return file, nil
}

// outside explains why `../` of a Ladder in dir leads out.
func outside(dir string) error {
	if dir == "." {
		return errors.New("leads outside the repository, whose root is the folder of " + FileName +
			" (the nearest folder with .git is the root; without one it is this)")
	}
	return errors.New("leads outside the repository")
}
