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
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/ignore"

	"github.com/envladder/envladder/internal/files"
)

// The bounds of a chart's folder, with the local dependencies that it names. Those on
// bytes are Helm's own for packaged charts: 5 MiB a file, 100 MiB together.
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
// names, and following symbolic links (fsys keeps them within the repository). Files that
// own reports are left out too. Local dependencies that the folder charts/ lacks are added
// to it.
func readFolder(ctx context.Context, fsys fs.FS, dir string, own func(file string) bool) (*Source, error) {
	r := &chartReader{fsys: fsys, own: own, left: loader.MaxDecompressedChartSize}
	if err := r.chart(ctx, dir, "", nil); err != nil {
		return nil, err
	}
	slices.SortFunc(r.files, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	return &Source{Path: dir, Digest: treeDigest(r.files), Files: r.files, Owned: r.owned, Local: r.local}, nil
}

// chartReader reads a chart and its local dependencies, within bounds for all of them.
type chartReader struct {
	fsys fs.FS
	own  func(file string) bool
	// left is how many bytes the chart may still have.
	left int64
	// entries is how many were visited.
	entries int
	files   []File
	// owned and local are as Source has them.
	owned []string
	local []LocalChart
}

// chart reads the chart at dir; prefix is where its files belong in the outermost chart.
// above are the folders of the charts around it.
func (r *chartReader) chart(ctx context.Context, dir, prefix string, above []string) error {
	rules, err := ignoreRules(r.fsys, dir)
	if err != nil {
		return err
	}
	before := len(r.files)
	w := folderWalk{chartReader: r, dir: dir, prefix: prefix, rules: rules}
	if err := w.walk(ctx, "", 0); err != nil {
		return err
	}
	return r.dependencies(ctx, dir, prefix, r.files[before:], above)
}

func ignoreRules(fsys fs.FS, dir string) (*ignore.Rules, error) {
	name := path.Join(dir, ignore.HelmIgnore)
	data, err := files.ReadFS(fsys, name, maxIgnore)
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

// folderWalk reads one chart's folder.
type folderWalk struct {
	*chartReader

	dir, prefix string
	rules       *ignore.Rules
}

func (w folderWalk) walk(ctx context.Context, rel string, depth int) error {
	if depth > maxPath {
		return fmt.Errorf("%q is nested deeper than %d: does a symbolic link lead in a circle?", rel, maxPath)
	}
	entries, err := fs.ReadDir(w.fsys, path.Join(w.dir, rel))
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if err := w.visit(ctx, path.Join(rel, entry.Name()), depth); err != nil {
			return err
		}
	}
	return nil
}

func (w folderWalk) visit(ctx context.Context, rel string, depth int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if w.entries++; w.entries > maxEntries {
		return fmt.Errorf("%q: there are more than %d files and folders up to here: do symbolic links lead to the same folder over and over? Name in .helmignore what is no part of the chart", rel, maxEntries)
	}
	info, err := fs.Stat(w.fsys, path.Join(w.dir, rel))
	switch {
	case err != nil:
		return err
	case w.rules.Ignore(rel, info):
		return nil
	case info.IsDir():
		return w.walk(ctx, rel, depth+1)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%q is neither a file nor a folder", rel)
	case strings.ContainsAny(rel, "\n\r\\"):
		return fmt.Errorf("%q: a file's name has a line break or a backslash", rel)
	case w.own != nil && !isHelms(rel) && w.own(path.Join(w.dir, rel)):
		w.owned = append(w.owned, w.prefix+rel)
		return nil
	}
	return w.read(rel)
}

// helmsFiles and helmsFolders are what Helm itself reads of a chart: they belong to it,
// whatever else uses them.
var (
	helmsFiles = []string{
		chartutil.ChartfileName, "Chart.lock", "requirements.yaml", "requirements.lock",
		chartutil.ValuesfileName, chartutil.SchemafileName, ignore.HelmIgnore,
	}
	helmsFolders = []string{chartutil.TemplatesDir, chartutil.ChartsDir, "crds"}
)

func isHelms(rel string) bool {
	first, _, inFolder := strings.Cut(rel, "/")
	if inFolder {
		return slices.Contains(helmsFolders, first)
	}
	return slices.Contains(helmsFiles, rel)
}

func (w folderWalk) read(rel string) error {
	if len(w.files) == maxFiles {
		return fmt.Errorf("it has more than %d files: name in .helmignore what is no part of it", maxFiles)
	}
	data, err := files.ReadFS(w.fsys, path.Join(w.dir, rel), loader.MaxDecompressedFileSize)
	if err != nil {
		return err
	}
	if w.left -= int64(len(data)); w.left < 0 {
		return fmt.Errorf("it is larger than %d MiB: name in .helmignore what is no part of it", loader.MaxDecompressedChartSize>>20)
	}
	w.files = append(w.files, File{Name: w.prefix + rel, Data: data})
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
