package ladder

import (
	"path"
	"strings"
)

// AcceptFileName is the file in the ladder's folder that accepts findings of lint.
const AcceptFileName = ".envladder-lint.yaml"

// ownFiles are the files that belong to a ladder.
type ownFiles struct {
	files map[string]bool
	// globs are patterns of layers' names by their folder.
	globs map[string]map[string]bool
}

// Owns reports whether a file, by its path in the repository, belongs to the ladder: the
// ladder itself, its accepted findings, and the layers, pins and Gates that it names. Such a
// file in the chart's folder isn't part of the chart: a promotion would otherwise change the
// chart of every environment.
func (d *Document) Owns(file string) bool {
	if d.own.files[file] {
		return true
	}
	folder, name := path.Split(file)
	for pattern := range d.own.globs[path.Clean(folder)] {
		if globMatches(pattern, name) {
			return true
		}
	}
	return false
}

// findOwnFiles returns the files that belong to the ladder.
func (d *Document) findOwnFiles() ownFiles {
	o := ownFiles{files: map[string]bool{d.File: true, path.Join(d.dir, AcceptFileName): true}, globs: map[string]map[string]bool{}}
	for _, e := range d.allLayers() {
		o.add(d.dir, e.path)
	}
	for _, e := range d.Spec.Environments {
		o.addFile(d.dir, e.Pins)
		o.addFile(d.dir, e.Gate)
		for _, t := range e.Targets {
			o.addFile(d.dir, t.Pins)
		}
	}
	return o
}

// add adds a layer's path or glob.
func (o ownFiles) add(dir, written string) {
	if !isGlob(written) {
		o.addFile(dir, written)
		return
	}
	at, err := resolve(dir, written)
	if err != nil {
		return
	}
	folder, pattern := path.Split(at)
	folder = path.Clean(folder)
	if o.globs[folder] == nil {
		o.globs[folder] = map[string]bool{}
	}
	o.globs[folder][pattern] = true
}

// addFile adds a file as it is written in the Ladder.
func (o ownFiles) addFile(dir, written string) {
	if file, err := resolve(dir, written); written != "" && err == nil {
		o.files[file] = true
	}
}

// globMatches reports whether a glob's last element matches a file's name. A name that
// begins with a dot is only matched by a pattern that does.
func globMatches(pattern, name string) bool {
	matches, err := path.Match(pattern, name)
	return err == nil && matches && (!strings.HasPrefix(name, ".") || strings.HasPrefix(pattern, "."))
}
