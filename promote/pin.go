package promote

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/envladder/envladder/internal/gitrepo"
	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/strictyaml"
)

// Pinned is what Pin did.
type Pinned struct {
	Change

	// Place is prod, or prod/eu.
	Place string `json:"place"`
	// File is the pins file's path in the repository.
	File string `json:"file"`
}

// Pin writes a digest into the pins of the work tree, changes no other byte, and commits
// nothing. image is NAME@DIGEST or REPOSITORY@DIGEST.
func Pin(repo *ladder.Repository, environment, target, image string) (Pinned, error) {
	document, err := ladder.Open(repo.FS(), repo.Dir)
	if err != nil {
		return Pinned{}, err
	}
	place, err := document.Place(environment, target)
	if err != nil {
		return Pinned{}, err
	}
	if err := pinnable(place); err != nil {
		return Pinned{}, err
	}
	found, digest, err := ParseImage(document, image)
	if err != nil {
		return Pinned{}, err
	}
	done := Pinned{
		Change: Change{Image: found.Name, Repository: found.Repository, Old: place.Pins.Images[found.Name], New: digest},
		Place:  place.Name(), File: place.PinsFile,
	}
	if done.Old == done.New {
		return done, nil
	}
	data, err := readPins(repo.FS(), place.PinsFile)
	if err != nil {
		return Pinned{}, err
	}
	edited, err := gitrepo.SetString(place.PinsFile, data, digest, done.key()...)
	if err != nil {
		return Pinned{}, err
	}
	return done, overwrite(repo.Root, place.PinsFile, edited)
}

// readPins reads a pins file; one that isn't there is empty.
func readPins(fsys fs.FS, file string) ([]byte, error) {
	data, err := strictyaml.ReadFile(fsys, file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

// overwrite writes beside the file and renames, so that nobody sees half of it. A
// symbolic link is followed, as git and editors do, but not out of the repository.
func overwrite(dir, file string, data []byte) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("writing %q: %w", file, err)
	}
	defer root.Close()
	name := filepath.FromSlash(file)
	if info, err := root.Lstat(name); err == nil && info.Mode()&fs.ModeSymlink != 0 {
		return wrapWrite(file, root.WriteFile(name, data, 0o644))
	}
	mode := fs.FileMode(0o644)
	if info, err := root.Stat(name); err == nil {
		mode = info.Mode().Perm()
	}
	if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return wrapWrite(file, err)
	}
	beside := filepath.Join(filepath.Dir(name), "."+filepath.Base(name)+".new")
	if err := root.WriteFile(beside, data, mode); err != nil {
		return wrapWrite(file, errors.Join(err, root.RemoveAll(beside)))
	}
	if err := root.Rename(beside, name); err != nil {
		return wrapWrite(file, errors.Join(err, root.RemoveAll(beside)))
	}
	return nil
}

func wrapWrite(file string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("writing %q: %w", file, err)
}
