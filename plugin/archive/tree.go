package archive

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"
)

// tree is a read-only file system in memory. It follows only symbolic links within the archive.
type tree struct {
	nodes map[string]*node
	// store has the compressed contents.
	store *store
}

// node is a file, a folder or a symbolic link.
type node struct {
	name string
	// mode has only the bits of the type.
	mode fs.FileMode
	// data is a file's content if it is stored uncompressed; else packed is its position in
	// the tree's store.
	data   []byte
	packed span
	// link is the target of a symbolic link.
	link string
	// refused, if set, is the error for opening the file: it is too large.
	refused error
	// children of a folder by name.
	children map[string]*node
}

func newTree() *tree {
	return &tree{nodes: map[string]*node{".": newFolder(".")}, store: newStore()}
}

func newFolder(name string) *node {
	return &node{name: name, mode: fs.ModeDir, children: map[string]*node{}}
}

// add adds n at name, a valid path, and creates its parent folders. It replaces an existing
// node, as in a tar, unless that is a folder. It rejects paths below a file or a symbolic link.
func (t *tree) add(name string, n *node) error {
	if name == "." {
		if n.mode.IsDir() {
			return nil
		}
		return errors.New("the root isn't a folder")
	}
	parent, err := t.folder(path.Dir(name))
	if err != nil {
		return err
	}
	n.name = path.Base(name)
	if existing, ok := t.nodes[name]; ok && existing.mode.IsDir() {
		if n.mode.IsDir() {
			return nil
		}
		return errors.New("it is a folder elsewhere in the archive")
	}
	t.nodes[name] = n
	parent.children[n.name] = n
	return nil
}

// folder returns the folder at name, which it creates if needed.
func (t *tree) folder(name string) (*node, error) {
	if n, ok := t.nodes[name]; ok {
		if !n.mode.IsDir() {
			return nil, fmt.Errorf("it is below %q, which isn't a folder", name)
		}
		return n, nil
	}
	n := newFolder(name)
	if err := t.add(name, n); err != nil {
		return nil, err
	}
	return n, nil
}

// maxLinks bounds the symbolic links of one path, as in the Linux kernel.
const maxLinks = 40

var (
	errLinkLoop   = errors.New("too many symbolic links (circular?)")
	errLinkEscape = errors.New("a symbolic link leads out of the repository")
)

// find resolves name element by element, since the meaning of `..` in a link depends on the
// links before it.
func (t *tree) find(name string) (*node, error) {
	at, rest, links := ".", strings.Split(name, "/"), 0
	for len(rest) > 0 {
		element := rest[0]
		rest = rest[1:]
		switch element {
		case ".", "":
			continue
		case "..":
			if at == "." {
				return nil, errLinkEscape
			}
			at = path.Dir(at)
			continue
		}
		next := path.Join(at, element)
		n, ok := t.nodes[next]
		if !ok || !t.nodes[at].mode.IsDir() {
			return nil, fs.ErrNotExist
		}
		if n.mode&fs.ModeSymlink == 0 {
			at = next
			continue
		}
		if links++; links > maxLinks {
			return nil, errLinkLoop
		}
		if path.IsAbs(n.link) {
			return nil, errLinkEscape
		}
		rest = append(strings.Split(n.link, "/"), rest...)
	}
	return t.nodes[at], nil
}

// lookup resolves name. The error is an *fs.PathError.
func (t *tree) lookup(op, name string) (*node, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	n, err := t.find(name)
	if err != nil {
		return nil, &fs.PathError{Op: op, Path: name, Err: err}
	}
	return n, nil
}

// Open implements fs.FS.
func (t *tree) Open(name string) (fs.File, error) {
	n, err := t.lookup("open", name)
	if err != nil {
		return nil, err
	}
	if n.refused != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: n.refused}
	}
	if n.mode.IsDir() {
		return &openFolder{node: n, left: n.entries()}, nil
	}
	data, err := t.content(n)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return &openFile{node: n, Reader: bytes.NewReader(data)}, nil
}

// content returns the content of a file.
func (t *tree) content(n *node) ([]byte, error) {
	if n.packed.size == 0 {
		return n.data, nil
	}
	return t.store.get(n.packed)
}

// Stat implements fs.StatFS.
func (t *tree) Stat(name string) (fs.FileInfo, error) {
	n, err := t.lookup("stat", name)
	if err != nil {
		return nil, err
	}
	return n, nil
}

// Lstat implements fs.ReadLinkFS.
func (t *tree) Lstat(name string) (fs.FileInfo, error) { return t.lookupLink("lstat", name) }

// ReadLink implements fs.ReadLinkFS.
func (t *tree) ReadLink(name string) (string, error) {
	n, err := t.lookupLink("readlink", name)
	if err != nil {
		return "", err
	}
	if n.mode&fs.ModeSymlink == 0 {
		return "", &fs.PathError{Op: "readlink", Path: name, Err: fs.ErrInvalid}
	}
	return n.link, nil
}

// lookupLink resolves name without following a symbolic link in its last element.
func (t *tree) lookupLink(op, name string) (*node, error) {
	if name == "." {
		return t.lookup(op, name)
	}
	parent, err := t.lookup(op, path.Dir(name))
	if err != nil {
		return nil, err
	}
	n, ok := parent.children[path.Base(name)]
	if !ok {
		return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
	}
	return n, nil
}

// entries returns the entries of a folder, sorted by name.
func (n *node) entries() []fs.DirEntry {
	names := slices.Sorted(maps.Keys(n.children))
	entries := make([]fs.DirEntry, len(names))
	for i, name := range names {
		entries[i] = fs.FileInfoToDirEntry(n.children[name])
	}
	return entries
}

// node implements fs.FileInfo. It has no times and no permissions.

func (n *node) Name() string       { return n.name }
func (n *node) Size() int64        { return int64(len(n.data)) + n.packed.size }
func (n *node) Mode() fs.FileMode  { return n.mode | 0o444 }
func (n *node) ModTime() time.Time { return time.Time{} }
func (n *node) IsDir() bool        { return n.mode.IsDir() }
func (n *node) Sys() any           { return nil }

type openFile struct {
	node *node
	*bytes.Reader
}

func (f *openFile) Stat() (fs.FileInfo, error) { return f.node, nil }
func (f *openFile) Close() error               { return nil }

type openFolder struct {
	node *node
	left []fs.DirEntry
}

func (f *openFolder) Stat() (fs.FileInfo, error) { return f.node, nil }
func (f *openFolder) Close() error               { return nil }

func (f *openFolder) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: f.node.name, Err: errors.New("is a folder")}
}

// ReadDir implements fs.ReadDirFile.
func (f *openFolder) ReadDir(n int) ([]fs.DirEntry, error) {
	if n <= 0 || n > len(f.left) {
		if n > 0 && len(f.left) == 0 {
			return nil, io.EOF
		}
		n = len(f.left)
	}
	entries := f.left[:n:n]
	f.left = f.left[n:]
	return entries, nil
}
