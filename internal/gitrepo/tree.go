package gitrepo

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
)

// Modes of a tree's entries.
const (
	modeFile      = "100644"
	modeExecFile  = "100755"
	modeTree      = "40000"
	modeLink      = "120000"
	modeSubmodule = "160000"
)

// Tree is the files of a commit as they are in the repository: not changed by filters, line
// endings or sparse check-outs. It is an fs.FS that follows symbolic links inside the tree
// and rejects others.
type Tree struct {
	// Commit that it was read from; empty if it was changed since.
	Commit string

	quarantine *Quarantine
	root       entry
	memory     *treeMemory
}

// treeMemory is shared by a tree and those derived from it.
type treeMemory struct {
	mu      sync.Mutex
	folders map[string]map[string]entry
	// last is the newest blob: a file is opened right after its lookup.
	last object
	// seen are the paths that were looked up, with the results; links are those that were
	// looked up without following the last element.
	seen, links map[string]entry
}

// entry is one entry of a tree; without an id there is none.
type entry struct{ mode, id string }

func (e entry) regular() bool { return e.mode == modeFile || e.mode == modeExecFile }

// Tree returns the files of a commit.
func (q *Quarantine) Tree(commit string) (*Tree, error) {
	root, err := q.objects.read(commit + "^{tree}")
	if err != nil {
		return nil, fmt.Errorf("reading the files of commit %.12s: %w", commit, err)
	}
	memory := &treeMemory{folders: map[string]map[string]entry{}, seen: map[string]entry{}, links: map[string]entry{}}
	return &Tree{Commit: commit, quarantine: q, root: entry{modeTree, root.id}, memory: memory}, nil
}

// Unchanged reports whether another tree has the same content at each path that was looked
// up in t: conclusions from t then hold for the other tree, too.
func (t *Tree) Unchanged(other *Tree) bool {
	t.memory.mu.Lock()
	defer t.memory.mu.Unlock()
	return leadToSame(t.memory.seen, other.find) && leadToSame(t.memory.links, other.findLink)
}

// leadToSame reports whether paths lead to what they led to.
func leadToSame(seen map[string]entry, find func(string) (entry, error)) bool {
	for name, was := range seen {
		is, err := find(name)
		if (err != nil && !errors.Is(err, fs.ErrNotExist)) || is != was {
			return false
		}
	}
	return true
}

// lookUp finds a path and stores the result.
func (t *Tree) lookUp(op, name string) (entry, error) {
	return t.remember(op, name, t.memory.seen, t.find)
}

// lookUpLink is lookUp that doesn't follow the last element of the path.
func (t *Tree) lookUpLink(op, name string) (entry, error) {
	return t.remember(op, name, t.memory.links, t.findLink)
}

func (t *Tree) remember(op, name string, seen map[string]entry, find func(string) (entry, error)) (entry, error) {
	if !fs.ValidPath(name) {
		return entry{}, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	found, err := find(name)
	t.memory.mu.Lock()
	defer t.memory.mu.Unlock()
	if _, ok := seen[name]; !ok {
		seen[name] = found
	}
	if err != nil {
		return entry{}, &fs.PathError{Op: op, Path: name, Err: err}
	}
	return found, nil
}

// findLink walks to a path, through symbolic links on the way to its last element.
func (t *Tree) findLink(name string) (entry, error) {
	if name == "." {
		return t.root, nil
	}
	at := path.Dir(name)
	folder, err := t.find(at)
	if err != nil {
		return entry{}, err
	}
	return t.child(folder, path.Base(name), at)
}

// maxLinks bounds the symbolic links on the way to a file, as an operating system does.
const maxLinks = 40

var errLinkOut = errors.New("a symbolic link leads out of the repository")

// find walks to a path, through symbolic links.
func (t *Tree) find(name string) (entry, error) {
	at, folder := []entry{t.root}, []string{}
	links := 0
	for rest := elements(name); len(rest) > 0; {
		next := rest[0]
		rest = rest[1:]
		if next == ".." {
			if len(folder) == 0 {
				return entry{}, errLinkOut
			}
			at, folder = at[:len(at)-1], folder[:len(folder)-1]
			continue
		}
		found, err := t.child(at[len(at)-1], next, path.Join(folder...))
		if err != nil {
			return entry{}, err
		}
		if found.mode != modeLink {
			at, folder = append(at, found), append(folder, next)
			continue
		}
		if links++; links > maxLinks {
			return entry{}, errors.New("too many symbolic links")
		}
		target, err := t.link(found)
		if err != nil {
			return entry{}, err
		}
		rest = append(target, rest...)
	}
	return at[len(at)-1], nil
}

// elements splits a slash path; "." is the folder itself.
func elements(name string) []string {
	return slices.DeleteFunc(strings.Split(name, "/"), func(e string) bool { return e == "" || e == "." })
}

// child returns the entry of a folder.
func (t *Tree) child(folder entry, name, at string) (entry, error) {
	switch {
	case folder.mode == modeSubmodule:
		return entry{}, fmt.Errorf("%q is a submodule: its files are in another repository", at)
	case folder.mode != modeTree:
		return entry{}, fs.ErrNotExist
	}
	entries, err := t.folder(folder.id)
	if err != nil {
		return entry{}, err
	}
	found, ok := entries[name]
	if !ok {
		return entry{}, fs.ErrNotExist
	}
	return found, nil
}

// link returns where a symbolic link leads, relative to its folder.
func (t *Tree) link(e entry) ([]string, error) {
	o, err := t.blob(e.id)
	if err != nil {
		return nil, err
	}
	if path.IsAbs(string(o.content)) {
		return nil, errLinkOut
	}
	return elements(string(o.content)), nil
}

// blob reads the content of a file.
func (t *Tree) blob(id string) (object, error) {
	t.memory.mu.Lock()
	last := t.memory.last
	t.memory.mu.Unlock()
	if last.id == id {
		return last, nil
	}
	o, err := t.quarantine.objects.read(id)
	if err == nil {
		t.memory.mu.Lock()
		t.memory.last = o
		t.memory.mu.Unlock()
	}
	return o, err
}

// folder reads the entries of a tree object.
func (t *Tree) folder(id string) (map[string]entry, error) {
	t.memory.mu.Lock()
	known, ok := t.memory.folders[id]
	t.memory.mu.Unlock()
	if ok {
		return known, nil
	}
	o, err := t.quarantine.objects.read(id)
	if err != nil {
		return nil, err
	}
	entries, err := parseTree(o.content, len(id)/2)
	if err != nil {
		return nil, err
	}
	t.memory.mu.Lock()
	t.memory.folders[id] = entries
	t.memory.mu.Unlock()
	return entries, nil
}

// parseTree parses a tree object: `MODE NAME`, a zero byte and the binary id, repeated.
func parseTree(data []byte, idSize int) (map[string]entry, error) {
	entries := map[string]entry{}
	for len(data) > 0 {
		end := bytes.IndexByte(data, 0)
		mode, name, ok := strings.Cut(string(data[:max(end, 0)]), " ")
		if end < 0 || !ok || len(data) < end+1+idSize {
			return nil, errors.New("parsing a tree object: unexpected end")
		}
		entries[name] = entry{mode, hex.EncodeToString(data[end+1 : end+1+idSize])}
		data = data[end+1+idSize:]
	}
	return entries, nil
}
