package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/envladder/envladder/internal/chart"
	"github.com/envladder/envladder/internal/ladder"
)

// Exec writes the manifests that Argo CD's environment variables request to out.
// argocd-cmp-server runs it in the Application's folder, dir.
func Exec(ctx context.Context, dir string, charts *chart.Puller, getenv func(string) string, out io.Writer) error {
	request, err := requestFrom(getenv)
	if err != nil {
		return err
	}
	working, err := openWorkingFolder(dir, getenv)
	if err != nil {
		return err
	}
	defer working.Close() // read only
	request.Repository, request.Dir, request.Charts = working.repository, working.dir, charts
	manifests, err := Generate(ctx, request)
	if err != nil {
		return err
	}
	return manifests.Print(out)
}

// workingFolder is a repository on disk and the Application's folder in it.
type workingFolder struct {
	repository fs.FS
	dir        string
	io.Closer
}

// openWorkingFolder finds the repository that contains dir. argocd-cmp-server unpacks it into
// <its folder>/_cmp_server/<random>. If dir isn't below such a folder, it is in a working copy,
// where a person tries the plugin.
func openWorkingFolder(dir string, getenv func(string) string) (*workingFolder, error) {
	top, rel, ok := unpackedRepository(dir, getenv)
	if !ok {
		found, err := ladder.FindSources(dir)
		if err != nil {
			return nil, err
		}
		return &workingFolder{repository: found.FS(), dir: found.Dir, Closer: found}, nil
	}
	root, err := os.OpenRoot(top)
	if err != nil {
		return nil, fmt.Errorf("opening the repository: %w", err)
	}
	repository, inner, err := newRepoFS(root.FS(), filepath.ToSlash(rel), sourcePath(root.FS(), filepath.ToSlash(rel), getenv))
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return &workingFolder{repository: repository, dir: inner, Closer: root}, nil
}

// sourcePath returns the Application's path in the repository. If the path is a symbolic link,
// the working directory, rel, is only the link's target.
func sourcePath(unpacked fs.FS, rel string, getenv func(string) string) string {
	source := getenv(envSourcePath)
	if led, err := ladder.FollowLinks(unpacked, source); err == nil && led == rel {
		return rel
	}
	return source
}

// unpackedRepository returns the folder that argocd-cmp-server unpacked the repository of dir
// into, and dir's path in it.
func unpackedRepository(dir string, getenv func(string) string) (top, rel string, ok bool) {
	base := getenv("ARGOCD_CMP_WORKDIR")
	if base == "" {
		base = os.TempDir()
	}
	base, err := filepath.EvalSymlinks(filepath.Join(base, "_cmp_server"))
	if err != nil {
		return "", "", false
	}
	dir, err = filepath.EvalSymlinks(dir)
	if err != nil {
		return "", "", false
	}
	below, err := filepath.Rel(base, dir)
	if err != nil || below == "." || !filepath.IsLocal(below) {
		return "", "", false
	}
	first, rest, _ := strings.Cut(filepath.ToSlash(below), "/")
	if rest == "" {
		rest = "."
	}
	return filepath.Join(base, first), rest, true
}
