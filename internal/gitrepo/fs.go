package gitrepo

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"
)

// Open opens a file or a folder, as fs.FS.
func (t *Tree) Open(name string) (fs.File, error) {
	found, err := t.lookUp("open", name)
	if err != nil {
		return nil, err
	}
	info, content, err := t.info(path.Base(name), found)
	if err == nil && content == nil && found.regular() {
		err = errTooLarge
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	if info.IsDir() {
		return &openFolder{info: info, list: func() ([]fs.DirEntry, error) { return t.ReadDir(name) }}, nil
	}
	return &openFile{info: info, Reader: bytes.NewReader(content)}, nil
}

// Stat describes a file or a folder, as fs.StatFS.
func (t *Tree) Stat(name string) (fs.FileInfo, error) {
	found, err := t.lookUp("stat", name)
	if err != nil {
		return nil, err
	}
	info, _, err := t.info(path.Base(name), found)
	if err != nil {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	return info, nil
}

// Lstat describes a file, a folder or a symbolic link, as fs.ReadLinkFS.
func (t *Tree) Lstat(name string) (fs.FileInfo, error) {
	found, err := t.lookUpLink("lstat", name)
	if err != nil {
		return nil, err
	}
	info, _, err := t.info(path.Base(name), found)
	if err != nil {
		return nil, &fs.PathError{Op: "lstat", Path: name, Err: err}
	}
	return info, nil
}

// ReadLink returns where a symbolic link leads, as fs.ReadLinkFS.
func (t *Tree) ReadLink(name string) (string, error) {
	found, err := t.lookUpLink("readlink", name)
	if err != nil {
		return "", err
	}
	if found.mode != modeLink {
		return "", &fs.PathError{Op: "readlink", Path: name, Err: fs.ErrInvalid}
	}
	o, err := t.blob(found.id)
	if err != nil {
		return "", &fs.PathError{Op: "readlink", Path: name, Err: err}
	}
	return string(o.content), nil
}

// ReadFile reads a file, as fs.ReadFileFS.
func (t *Tree) ReadFile(name string) ([]byte, error) {
	found, err := t.lookUp("read", name)
	if err == nil && !found.regular() {
		err = &fs.PathError{Op: "read", Path: name, Err: errors.New("is not a file")}
	}
	if err != nil {
		return nil, err
	}
	o, err := t.blob(found.id)
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: name, Err: err}
	}
	return bytes.Clone(o.content), nil
}

// ReadDir lists a folder by name, as fs.ReadDirFS.
func (t *Tree) ReadDir(name string) ([]fs.DirEntry, error) {
	found, err := t.lookUp("readdir", name)
	if err != nil {
		return nil, err
	}
	wrong := func(err error) error { return &fs.PathError{Op: "readdir", Path: name, Err: err} }
	switch found.mode {
	case modeTree:
	case modeSubmodule:
		return nil, wrong(errors.New("is a submodule: its files are in another repository"))
	default:
		return nil, wrong(errors.New("is not a folder"))
	}
	entries, err := t.folder(found.id)
	if err != nil {
		return nil, wrong(err)
	}
	list := make([]fs.DirEntry, 0, len(entries))
	for base, e := range entries {
		list = append(list, treeEntry{tree: t, name: base, entry: e})
	}
	slices.SortFunc(list, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return list, nil
}

// info describes an entry. The content of a file comes with it, if it isn't too large.
func (t *Tree) info(name string, e entry) (fs.FileInfo, []byte, error) {
	info := treeInfo{name: name, mode: e.fileMode()}
	if info.mode.IsDir() {
		return info, nil, nil
	}
	o, err := t.blob(e.id)
	if err != nil && !errors.Is(err, errTooLarge) {
		return nil, nil, err
	}
	info.size = o.size
	return info, o.content, nil
}

// fileMode returns an entry's mode as of a file in a work tree. A submodule is a folder
// there.
func (e entry) fileMode() fs.FileMode {
	switch e.mode {
	case modeTree, modeSubmodule:
		return fs.ModeDir | 0o755
	case modeLink:
		return fs.ModeSymlink | 0o777
	case modeExecFile:
		return 0o755
	default:
		return 0o644
	}
}

// treeInfo is the fs.FileInfo of an entry.
type treeInfo struct {
	name string
	mode fs.FileMode
	size int64
}

func (i treeInfo) Name() string       { return i.name }
func (i treeInfo) Size() int64        { return i.size }
func (i treeInfo) Mode() fs.FileMode  { return i.mode }
func (i treeInfo) ModTime() time.Time { return time.Time{} }
func (i treeInfo) IsDir() bool        { return i.mode.IsDir() }
func (i treeInfo) Sys() any           { return nil }

// treeEntry is the fs.DirEntry of an entry.
type treeEntry struct {
	tree  *Tree
	name  string
	entry entry
}

func (e treeEntry) Name() string      { return e.name }
func (e treeEntry) IsDir() bool       { return e.Type().IsDir() }
func (e treeEntry) Type() fs.FileMode { return e.entry.fileMode().Type() }
func (e treeEntry) String() string    { return fs.FormatDirEntry(e) }

// Info reads the file for its size.
func (e treeEntry) Info() (fs.FileInfo, error) {
	info, _, err := e.tree.info(e.name, e.entry)
	return info, err
}

// openFile is an open file.
type openFile struct {
	*bytes.Reader

	info fs.FileInfo
}

// Stat describes the file.
func (f *openFile) Stat() (fs.FileInfo, error) { return f.info, nil }

// Close does nothing: the content is in memory.
func (f *openFile) Close() error { return nil }

// openFolder is an open folder.
type openFolder struct {
	info fs.FileInfo
	list func() ([]fs.DirEntry, error)
	rest []fs.DirEntry
	read bool
}

// Stat describes the folder.
func (f *openFolder) Stat() (fs.FileInfo, error) { return f.info, nil }

// Close does nothing.
func (f *openFolder) Close() error { return nil }

// Read fails: a folder has no bytes.
func (f *openFolder) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: f.info.Name(), Err: errors.New("is a folder")}
}

// ReadDir lists the folder in steps, as fs.ReadDirFile.
func (f *openFolder) ReadDir(n int) (entries []fs.DirEntry, err error) {
	if !f.read {
		if f.rest, err = f.list(); err != nil {
			return nil, fmt.Errorf("listing %q: %w", f.info.Name(), err)
		}
		f.read = true
	}
	if n <= 0 {
		n = len(f.rest)
	} else if len(f.rest) == 0 {
		return nil, io.EOF
	}
	n = min(n, len(f.rest))
	entries, f.rest = f.rest[:n], f.rest[n:]
	return entries, nil
}
