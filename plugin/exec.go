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

// Exec is the program that argocd-cmp-server runs in the Application's folder, dir: it
// writes to out the manifests that getenv, Argo CD's variables, ask for.
func Exec(ctx context.Context, dir string, charts *chart.Puller, getenv func(string) string, out io.Writer) error {
	request, err := requestFrom(getenv)
	if err != nil {
		return err
	}
	working, err := openWorkingFolder(dir, getenv)
	if err != nil {
		return err
	}
	defer working.Close() // only read: nothing is lost by a failing close
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

// openWorkingFolder finds the repository around dir. argocd-cmp-server unpacks what
// it was sent into <its folder>/_cmp_server/<random>; where dir isn't below such a
// folder, a person tries the plugin in a working copy.
func openWorkingFolder(dir string, getenv func(string) string) (*workingFolder, error) {
	top, rel, ok := unpackedBy(dir, getenv)
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

// sourcePath returns the Application's path in the repository. Of a path that is a
// symbolic link the working directory, rel, shows only where it leads.
func sourcePath(unpacked fs.FS, rel string, getenv func(string) string) string {
	source := getenv(envSourcePath)
	if led, err := ladder.FollowLinks(unpacked, source); err == nil && led == rel {
		return rel
	}
	return source
}

// unpackedBy says where argocd-cmp-server unpacked the repository that dir is in, and
// dir's path there.
func unpackedBy(dir string, getenv func(string) string) (top, rel string, ok bool) {
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
