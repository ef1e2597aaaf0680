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
	// maxEntries also counts folders and the files that .helmignore names: symbolic links
	// from each folder to the next multiply the paths at each step.
	maxEntries = 2 * maxFiles
	// maxIgnore bounds .helmignore, in bytes, because each of its rules is tried on each
	// entry. Those of public charts have a few hundred bytes.
	maxIgnore = 64 << 10
	// maxPath, in elements, stops a walk through circular symbolic links.
	maxPath = 64
)

// readFolder reads the files of the chart at dir as Helm does: it leaves out what
// .helmignore names, and follows symbolic links (fsys confines them to the repository). It
// also leaves out the files for which owned returns true, and adds local dependencies that
// the folder charts/ lacks.
func readFolder(ctx context.Context, fsys fs.FS, dir string, owned func(file string) bool) (*Source, error) {
	r := &folderReader{fsys: fsys, isOwned: owned, bytesLeft: loader.MaxDecompressedChartSize}
	if err := r.chart(ctx, dir, "", nil); err != nil {
		return nil, err
	}
	slices.SortFunc(r.files, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	return &Source{Path: dir, Digest: treeDigest(r.files), Files: r.files, Owned: r.owned, Local: r.local}, nil
}

// folderReader reads a chart and its local dependencies, within bounds for all of them.
type folderReader struct {
	fsys    fs.FS
	isOwned func(file string) bool
	// bytesLeft is how many bytes the chart may still have.
	bytesLeft int64
	// entries counts the visited files and folders.
	entries int
	files   []File
	// owned and local are as Source has them.
	owned []string
	local []LocalChart
}

// chart reads the chart at dir; prefix is the path of its files in the outermost chart, and
// above are the folders of the charts around it.
func (r *folderReader) chart(ctx context.Context, dir, prefix string, above []string) error {
	rules, err := ignoreRules(r.fsys, dir)
	if err != nil {
		return err
	}
	before := len(r.files)
	w := folderWalk{folderReader: r, dir: dir, prefix: prefix, rules: rules}
	if err := w.walk(ctx, "", 0); err != nil {
		return err
	}
	return r.dependencies(ctx, dir, prefix, r.files[before:], above)
}

// ignoreRules parses a folder's .helmignore.
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
	*folderReader

	dir, prefix string
	rules       *ignore.Rules
}

// walk reads what is in the folder rel of the chart.
func (w folderWalk) walk(ctx context.Context, rel string, depth int) error {
	if depth > maxPath {
		return fmt.Errorf("%q is nested deeper than %d: is there a circular symbolic link?", rel, maxPath)
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

// visit reads a file or folder of the chart.
func (w folderWalk) visit(ctx context.Context, rel string, depth int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if w.entries++; w.entries > maxEntries {
		return fmt.Errorf("%q: the chart has more than %d files and folders (repeated symbolic links to one folder?): name in .helmignore what isn't part of the chart", rel, maxEntries)
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
	case w.isOwned != nil && !isHelmFile(rel) && w.isOwned(path.Join(w.dir, rel)):
		w.owned = append(w.owned, w.prefix+rel)
		return nil
	}
	return w.read(rel)
}

// helmFiles and helmFolders are what Helm itself reads: they always belong to the chart.
var (
	helmFiles = []string{
		chartutil.ChartfileName, "Chart.lock", "requirements.yaml", "requirements.lock",
		chartutil.ValuesfileName, chartutil.SchemafileName, ignore.HelmIgnore,
	}
	helmFolders = []string{chartutil.TemplatesDir, chartutil.ChartsDir, "crds"}
)

// isHelmFile reports whether Helm itself reads the file.
func isHelmFile(rel string) bool {
	first, _, inFolder := strings.Cut(rel, "/")
	if inFolder {
		return slices.Contains(helmFolders, first)
	}
	return slices.Contains(helmFiles, rel)
}

// read reads a file of the chart.
func (w folderWalk) read(rel string) error {
	if len(w.files) == maxFiles {
		return fmt.Errorf("it has more than %d files: name in .helmignore what isn't part of the chart", maxFiles)
	}
	data, err := files.ReadFS(w.fsys, path.Join(w.dir, rel), loader.MaxDecompressedFileSize)
	if err != nil {
		return err
	}
	if w.bytesLeft -= int64(len(data)); w.bytesLeft < 0 {
		return fmt.Errorf("it is larger than %d MiB: name in .helmignore what isn't part of the chart", loader.MaxDecompressedChartSize>>20)
	}
	w.files = append(w.files, File{Name: w.prefix + rel, Data: data})
	return nil
}

// treeDigest returns the digest of a folder's sorted files; see Source.Digest.
func treeDigest(files []File) string {
	tree := sha256.New()
	for _, f := range files {
		fmt.Fprintf(tree, "%x  %s\n", sha256.Sum256(f.Data), f.Name)
	}
	return "sha256:" + hex.EncodeToString(tree.Sum(nil))
}
