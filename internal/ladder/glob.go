package ladder

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/envladder/envladder/internal/strictyaml"
)

// maxMatches is how many files a glob may name: as many as a list may have entries.
const maxMatches = 100

func isGlob(written string) bool { return strings.ContainsAny(written, "*?[") }

// wrongGlob returns why a layer's path isn't a valid glob, or nothing where it is valid or
// no glob. A glob in a folder's name would walk all of a repository.
func wrongGlob(written string) string {
	folder, name := path.Split(written)
	if isGlob(folder) {
		return "has a glob before its last element: name the folder"
	}
	if _, err := path.Match(name, ""); err != nil {
		return "isn't a glob: a [ has no ], or nothing in it"
	}
	return ""
}

// files returns the entry's files in the repository: one, those that match its glob sorted
// by name, or none where they are missing and optional.
func (d *Document) files(e entry) ([]string, *strictyaml.Problem) {
	if !e.layer || !isGlob(e.path) {
		return d.oneFile(e)
	}
	at, err := resolve(d.dir, e.path)
	if err != nil {
		problem := d.positions.Problem(e.at, "%q %v", e.path, err)
		return nil, &problem
	}
	folder, pattern := path.Split(at)
	if submodule, missing := missingSubmodule(d.repo, path.Clean(folder)); missing {
		problem := d.positions.Problem(e.at, "%q %s", e.path, notCheckedOut(submodule))
		return nil, &problem
	}
	found, err := ReadFolder(d.repo, path.Clean(folder))
	if err != nil && (!e.optional || !errors.Is(err, fs.ErrNotExist)) {
		problem := d.positions.Problem(e.at, "the folder of %q %s", e.path, whyUnreadable(err))
		return nil, &problem
	}
	var files []string
	for _, file := range found {
		if !globMatches(pattern, file.Name()) || file.IsDir() || d.named[folder+file.Name()] {
			continue
		}
		// A link may lead out, or to a folder.
		match, problem := d.file(entry{at: e.at, path: path.Join(path.Dir(e.path), file.Name())})
		if problem != nil {
			return nil, problem
		}
		files = append(files, match)
	}
	slices.Sort(files)
	switch {
	case len(files) > maxMatches:
		problem := d.positions.Problem(e.at, "%q matches %d files: at most %d are allowed", e.path, len(files), maxMatches)
		return nil, &problem
	case len(files) == 0 && !e.optional:
		problem := d.positions.Problem(e.at, "%q matches no file, except files that the ladder names without a glob: set optional: true if there may be none", e.path)
		return nil, &problem
	}
	return files, nil
}

func (d *Document) oneFile(e entry) ([]string, *strictyaml.Problem) {
	if e.optional {
		file, err := resolve(d.dir, e.path)
		if err == nil {
			_, err = fs.Stat(d.repo, file)
		}
		// A submodule that isn't checked out may or may not have the file.
		if _, unknown := missingSubmodule(d.repo, file); errors.Is(err, fs.ErrNotExist) && !unknown {
			return nil, nil
		}
	}
	file, problem := d.file(e)
	if problem != nil {
		return nil, problem
	}
	return []string{file}, nil
}

// maxEntries bounds a folder that a glob is matched in: a real folder has a few dozen
// layers, and reading a huge one in a hostile repository would take long.
const maxEntries = 1000

// ReadFolder reads a folder of at most maxEntries.
func ReadFolder(repo fs.FS, name string) ([]fs.DirEntry, error) {
	f, err := repo.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	folder, ok := f.(fs.ReadDirFile)
	if !ok {
		return nil, errors.New("isn't a folder")
	}
	found, err := folder.ReadDir(maxEntries + 1)
	switch {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, err
	case len(found) > maxEntries:
		return nil, fmt.Errorf("it has more than %d files", maxEntries)
	}
	return found, nil
}

// findNamed returns the layers that the Ladder names without globs. They stay where they
// are listed, and globs leave them out: values/*.yaml in spec.layers doesn't add prod's
// values/prod.yaml to every environment.
func (d *Document) findNamed() map[string]bool {
	named := map[string]bool{}
	for _, e := range d.allLayers() {
		if file, err := resolve(d.dir, e.path); err == nil && !isGlob(e.path) {
			named[file] = true
		}
	}
	return named
}
