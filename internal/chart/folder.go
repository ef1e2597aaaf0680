package chart

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/ignore"
)

// The bounds of a chart's folder. Those on bytes are Helm's own for packaged charts:
// 5 MiB a file, 100 MiB together.
const (
	// maxFiles: the largest public charts have a few hundred files.
	maxFiles = 10_000
	// maxEntries counts folders and what .helmignore names too: some symbolic links in
	// each folder to the next multiply the ways at each step.
	maxEntries = 2 * maxFiles
	// maxIgnore bounds .helmignore, in bytes: each of its rules is tried on each entry.
	// Those of public charts have a few hundred bytes.
	maxIgnore = 64 << 10
	// maxPath, in elements, ends a walk through symbolic links that lead in a circle.
	maxPath = 64
)

// readFolder reads the files of the chart at dir as Helm does: without what .helmignore
// names, and following symbolic links (fsys keeps them within the repository).
func readFolder(ctx context.Context, fsys fs.FS, dir string) ([]File, error) {
	rules, err := ignoreRules(fsys, dir)
	if err != nil {
		return nil, err
	}
	r := folderReader{fsys: fsys, dir: dir, rules: rules, left: loader.MaxDecompressedChartSize}
	if err := r.walk(ctx, "", 0); err != nil {
		return nil, err
	}
	slices.SortFunc(r.files, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	return r.files, nil
}

func ignoreRules(fsys fs.FS, dir string) (*ignore.Rules, error) {
	name := path.Join(dir, ignore.HelmIgnore)
	data, err := readBounded(fsys, name, maxIgnore)
	rules := ignore.Empty()
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	default:
		if rules, err = ignore.Parse(bytes.NewReader(data)); err != nil {
			return nil, fmt.Errorf("parsing %q: %w", name, err)
		}
	}
	rules.AddDefaults()
	return rules, nil
}

type folderReader struct {
	fsys  fs.FS
	dir   string
	rules *ignore.Rules
	// left is how many bytes the chart may still have.
	left int64
	// entries is how many were visited.
	entries int
	files   []File
}

func (r *folderReader) walk(ctx context.Context, rel string, depth int) error {
	if depth > maxPath {
		return fmt.Errorf("%q is nested deeper than %d: does a symbolic link lead in a circle?", rel, maxPath)
	}
	entries, err := fs.ReadDir(r.fsys, path.Join(r.dir, rel))
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if err := r.visit(ctx, path.Join(rel, entry.Name()), depth); err != nil {
			return err
		}
	}
	return nil
}

func (r *folderReader) visit(ctx context.Context, rel string, depth int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if r.entries++; r.entries > maxEntries {
		return fmt.Errorf("%q: there are more than %d files and folders up to here: do symbolic links lead to the same folder over and over? Name in .helmignore what is no part of the chart", rel, maxEntries)
	}
	info, err := fs.Stat(r.fsys, path.Join(r.dir, rel))
	switch {
	case err != nil:
		return err
	case r.rules.Ignore(rel, info):
		return nil
	case info.IsDir():
		return r.walk(ctx, rel, depth+1)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%q is neither a file nor a folder", rel)
	case strings.ContainsAny(rel, "\n\r\\"):
		return fmt.Errorf("%q: a file's name has a line break or a backslash", rel)
	}
	return r.read(rel)
}

func (r *folderReader) read(rel string) error {
	if len(r.files) == maxFiles {
		return fmt.Errorf("it has more than %d files: name in .helmignore what is no part of it", maxFiles)
	}
	data, err := readBounded(r.fsys, path.Join(r.dir, rel), loader.MaxDecompressedFileSize)
	if err != nil {
		return err
	}
	if r.left -= int64(len(data)); r.left < 0 {
		return fmt.Errorf("it is larger than %d MiB: name in .helmignore what is no part of it", loader.MaxDecompressedChartSize>>20)
	}
	r.files = append(r.files, File{Name: rel, Data: data})
	return nil
}

// treeDigest is the digest of a folder's files, which are sorted: see Chart.Digest.
func treeDigest(files []File) string {
	tree := sha256.New()
	for _, f := range files {
		fmt.Fprintf(tree, "%x  %s\n", sha256.Sum256(f.Data), f.Name)
	}
	return "sha256:" + hex.EncodeToString(tree.Sum(nil))
}
