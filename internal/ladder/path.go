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

// resolve returns the path in the repository of a path that a document in the folder dir
// names. It doesn't follow symbolic links; the caller does when it opens the file.
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

// outside returns the error for a `../` that leads out of the repository, from a Ladder in
// dir.
func outside(dir string) error {
	if dir == "." {
		return errors.New("leads outside the repository, whose root is the folder of " + FileName +
			" (the nearest folder with .git is the root; without one it is this)")
	}
	return errors.New("leads outside the repository")
}
