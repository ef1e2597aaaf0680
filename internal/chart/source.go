package chart

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	helm "helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"

	"github.com/envladder/envladder/internal/digests"
	"github.com/envladder/envladder/internal/files"
)

// Source is a chart as it is stored: read within bounds and not parsed. The chart's author
// decides how much work parsing is, so a server leaves it to worker processes.
type Source struct {
	// Path in the repository, or the chart's address in a registry.
	Path string
	// Digest is sha256:<64 hex digits> of the chart's content. A packaged chart has the
	// digest of its file. A folder has the SHA-256 of a text with one line for each of
	// the chart's files, sorted by path:
	//
	//	<SHA-256 of the file's bytes in hex> <two spaces> <path in the chart> <newline>
	//
	// `sha256sum` prints the same, and so can recompute it. The chart doesn't include files
	// that .helmignore names, the ladder's own files (layers, pins), file modes and empty
	// folders. Symbolic links count as the files they lead to, and local dependencies as
	// files in the folder charts/.
	Digest string
	// Files of a folder, sorted by name.
	Files []File
	// Owned are the names of files in the folder that belong to the ladder, not to the
	// chart.
	Owned []string
	// Local are the dependencies that are read from elsewhere in the repository.
	Local []LocalChart
	// Package is the content of a packaged chart's file; there are no Files then.
	Package []byte
}

// LocalChart is a dependency in a folder of the repository (file://).
type LocalChart struct {
	// Inside is its folder in the chart, such as charts/common.
	Inside string
	// Folder in the repository.
	Folder string
}

// File is one file of a chart's folder.
type File struct {
	// Name is the path in the chart.
	Name string
	Data []byte
}

// maxPackage bounds a packaged chart. Helm's own bound is on what it unpacks to
// (100 MiB); registries and Helm repositories hold charts of a few MiB at most.
const maxPackage = 20 << 20

// registryScheme begins the address of a chart in a registry.
const registryScheme = "oci://"

// InRegistry reports whether the chart name is an address in a registry.
func InRegistry(name string) bool { return strings.HasPrefix(name, registryScheme) }

// Read reads the chart at name, a folder or a .tgz in fsys. It leaves out the files in the
// folder for which owned, if not nil, returns true. Reading stops when ctx is done.
func Read(ctx context.Context, fsys fs.FS, name string, owned func(file string) bool) (*Source, error) {
	source, err := read(ctx, fsys, name, owned)
	if err != nil {
		return nil, fmt.Errorf("loading chart %q: %w", name, err)
	}
	return source, nil
}

func read(ctx context.Context, fsys fs.FS, name string, owned func(file string) bool) (*Source, error) {
	if InRegistry(name) {
		return nil, fmt.Errorf("charts in registries can't be read here: vendor it into the repository (helm pull %s)", name)
	}
	info, err := fs.Stat(fsys, name)
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return readFolder(ctx, fsys, name, owned)
	case info.Mode().IsRegular() && path.Ext(name) == ".tgz":
		data, err := files.ReadFS(fsys, name, maxPackage)
		return Packaged(name, data), err
	default:
		return nil, errors.New("want a folder or a .tgz")
	}
}

// Packaged returns the source of a packaged chart whose file is data.
func Packaged(name string, data []byte) *Source {
	return &Source{Path: name, Digest: digests.Sum(data), Package: data}
}

// Load parses the chart. Its dependencies must be in its folder charts/, except local ones.
func (s *Source) Load() (*Chart, error) {
	silenceHelm()
	pristine, err := s.parse()
	if err == nil {
		err = checkLoaded(pristine, s.Path)
	}
	if err == nil {
		err = checkOwned(pristine, s.Owned)
	}
	if err != nil {
		return nil, fmt.Errorf("loading chart %q: %w", s.Path, err)
	}
	return &Chart{Path: s.Path, Digest: s.Digest, pristine: pristine, local: s.Local}, nil
}

// utf8BOM is the byte order mark, which Helm's loader of folders removes from the start of a
// file.
var utf8BOM = []byte("\xef\xbb\xbf")

// parse parses the chart with Helm's loader.
func (s *Source) parse() (*helm.Chart, error) {
	if s.Package != nil {
		return loader.LoadArchive(bytes.NewReader(s.Package))
	}
	buffered := make([]*loader.BufferedFile, len(s.Files))
	for i, f := range s.Files {
		buffered[i] = &loader.BufferedFile{Name: f.Name, Data: bytes.TrimPrefix(f.Data, utf8BOM)}
	}
	return loader.LoadFiles(buffered)
}
