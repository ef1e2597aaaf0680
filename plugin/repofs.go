package plugin

import (
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/envladder/envladder/internal/ladder"
)

// repoFS is the part of a repository that Argo CD sent, at its path in the repository. With
// the annotation manifest-generate-paths and the repo-server's flag
// --plugin-use-manifest-generate-paths that is only the folder which the annotation's
// paths have in common. Files outside of it are missing, and the error explains that.
type repoFS struct {
	sent fs.FS
	// prefix is the path of that part in the repository; "." for the whole repository.
	prefix string
}

// newRepoFS returns the file system of a repository of which only sent is available. It derives
// the position of sent from the Application's folder in it, appRelPath, and the Application's
// path in the repository, sourcePath. It also returns the latter.
func newRepoFS(sent fs.FS, appRelPath, sourcePath string) (repoFS, string, error) {
	rel := path.Clean(appRelPath)
	if !fs.ValidPath(rel) {
		return repoFS{}, "", fmt.Errorf("the Application's folder %q is outside of what was sent", appRelPath)
	}
	source := strings.TrimPrefix(path.Clean("/"+sourcePath), "/")
	switch {
	case source == rel, source == "":
		return repoFS{sent: sent, prefix: "."}, rel, nil
	case rel == ".":
		return repoFS{sent: sent, prefix: source}, source, nil
	}
	if at, ok := strings.CutSuffix(source, "/"+rel); ok {
		return repoFS{sent: sent, prefix: at}, source, nil
	}
	return repoFS{sent: sent, prefix: "."}, rel, nil
}

// Open implements fs.FS. Paths are relative to the repository's root.
func (c repoFS) Open(name string) (fs.File, error) {
	inner, err := c.follow("open", name)
	if err != nil {
		return nil, err
	}
	return c.sent.Open(inner)
}

// Stat implements fs.StatFS.
func (c repoFS) Stat(name string) (fs.FileInfo, error) {
	inner, err := c.follow("stat", name)
	if err != nil {
		return nil, err
	}
	return fs.Stat(c.sent, inner)
}

// ReadDir implements fs.ReadDirFS.
func (c repoFS) ReadDir(name string) ([]fs.DirEntry, error) {
	inner, err := c.follow("read", name)
	if err != nil {
		return nil, err
	}
	return fs.ReadDir(c.sent, inner)
}

// Lstat implements fs.ReadLinkFS.
func (c repoFS) Lstat(name string) (fs.FileInfo, error) {
	inner, err := c.inner("lstat", name)
	if err != nil {
		return nil, err
	}
	return fs.Lstat(c.sent, inner)
}

// ReadLink implements fs.ReadLinkFS.
func (c repoFS) ReadLink(name string) (string, error) {
	inner, err := c.inner("readlink", name)
	if err != nil {
		return "", err
	}
	return fs.ReadLink(c.sent, inner)
}

// follow returns the path in the part that was sent. It follows symbolic links from the
// repository's root, since a link may lead out of the part and back into it.
func (c repoFS) follow(op, name string) (string, error) {
	if c.prefix == "." || !fs.ValidPath(name) {
		return c.inner(op, name)
	}
	target, err := ladder.FollowLinks(c, name)
	if err != nil {
		return "", &fs.PathError{Op: op, Path: name, Err: err}
	}
	return c.inner(op, target)
}

// inner returns the path in the part that was sent, without following symbolic links.
func (c repoFS) inner(op, name string) (string, error) {
	if !fs.ValidPath(name) {
		return "", &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	if c.prefix == "." {
		return name, nil
	}
	if name == c.prefix {
		return ".", nil
	}
	if inner, ok := strings.CutPrefix(name, c.prefix+"/"); ok {
		return inner, nil
	}
	return "", &fs.PathError{Op: op, Path: name, Err: notSentError{prefix: c.prefix, name: name}}
}

// notSentError isn't fs.ErrNotExist, since the file may exist in the repository.
type notSentError struct{ prefix, name string }

func (e notSentError) Error() string {
	return fmt.Sprintf("Argo CD sent only %q of the repository: add /%s to the Application's annotation argocd.argoproj.io/manifest-generate-paths (paths are separated by ;)", e.prefix, e.name)
}
