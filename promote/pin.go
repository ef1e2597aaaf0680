package promote

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/rogpeppe/go-internal/lockedfile"

	"github.com/envladder/envladder/internal/gitrepo"
	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/strictyaml"
)

// Pinned is the result of Pin.
type Pinned struct {
	Change

	// EnvTarget is prod, or prod/eu.
	EnvTarget string `json:"envTarget"`
	// File is the pins file's path in the repository.
	File string `json:"file"`
}

// Pin writes a digest into the pins of the work tree, changes no other byte, and commits
// nothing. image is NAME@DIGEST or REPOSITORY@DIGEST.
func Pin(repo *ladder.Repository, environment, target, image string) (Pinned, error) {
	unlock, err := lockLadder(repo)
	if err != nil {
		return Pinned{}, err
	}
	defer unlock()
	document, err := ladder.Open(repo.FS(), repo.Dir)
	if err != nil {
		return Pinned{}, err
	}
	pinned, err := document.EnvTarget(environment, target)
	if err != nil {
		return Pinned{}, err
	}
	if err := checkPinnable(pinned); err != nil {
		return Pinned{}, err
	}
	found, digest, err := ParseImage(document, image)
	if err != nil {
		return Pinned{}, err
	}
	done := Pinned{
		Change:    Change{Image: found.Name, Repository: found.Repository, Old: pinned.Pins.Images[found.Name], New: digest},
		EnvTarget: pinned.Name(), File: pinned.PinsFile,
	}
	if done.Old == done.New {
		return done, nil
	}
	data, err := readPins(repo.FS(), pinned.PinsFile)
	if err != nil {
		return Pinned{}, err
	}
	edited, err := gitrepo.SetString(pinned.PinsFile, data, digest, done.key()...)
	if err != nil {
		return Pinned{}, err
	}
	return done, replaceFile(repo.Root, pinned.PinsFile, edited)
}

// lockLadder waits until no other process edits pins of this ladder: two at once could
// overwrite each other's value. A ladder that doesn't exist needs no lock.
func lockLadder(repo *ladder.Repository) (unlock func(), err error) {
	name := filepath.Join(repo.Root, filepath.FromSlash(repo.Dir), ladder.FileName)
	if info, err := os.Stat(name); err != nil || !info.Mode().IsRegular() {
		return func() {}, nil //nolint:nilerr // opening the ladder gives the better error
	}
	file, err := lockedfile.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("locking %q against other writers of pins: %w", name, err)
	}
	return func() { _ = file.Close() }, nil // nothing was written
}

// readPins reads a pins file; one that doesn't exist is empty.
func readPins(fsys fs.FS, file string) ([]byte, error) {
	data, err := strictyaml.ReadFile(fsys, file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

// replaceFile writes a temporary file and renames it, so that no reader sees a part of it.
// The ladder has no symbolic links.
func replaceFile(dir, file string, data []byte) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("writing %q: %w", file, err)
	}
	defer root.Close()
	name := filepath.FromSlash(file)
	mode := fs.FileMode(0o644)
	if info, err := root.Stat(name); err == nil {
		mode = info.Mode().Perm()
	}
	if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return wrapWrite(file, err)
	}
	temporary := filepath.Join(filepath.Dir(name), "."+filepath.Base(name)+".new")
	if err := root.WriteFile(temporary, data, mode); err != nil {
		return wrapWrite(file, errors.Join(err, root.RemoveAll(temporary)))
	}
	if err := root.Rename(temporary, name); err != nil {
		return wrapWrite(file, errors.Join(err, root.RemoveAll(temporary)))
	}
	return nil
}

func wrapWrite(file string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("writing %q: %w", file, err)
}
