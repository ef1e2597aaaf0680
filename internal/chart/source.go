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

// Source is a chart as it is stored: read within bounds, and not looked into. To look
// into it is work that its author decides on, so a server leaves that to others.
type Source struct {
	// Path in the repository, or the chart's address in a registry.
	Path string
	// Digest is sha256:<64 hex digits> of the chart's content. Of a packaged chart it
	// is the file's. Of a folder it is the SHA-256 of a text that has, for each file
	// of the chart sorted by path, one line
	//
	//	<SHA-256 of the file's bytes in hex> <two spaces> <path in the chart> <newline>
	//
	// as `sha256sum` prints it, so that it can be recomputed with it. What .helmignore
	// names is no part of the chart and doesn't count; neither do the ladder's own files
	// (layers, pins), file modes and empty folders. Symbolic links count as the files they
	// lead to, and local dependencies as files in the folder charts/.
	Digest string
	// Files of a folder, sorted by name.
	Files []File
	// Owned are the names of files in the folder that are the ladder's own, and so aren't
	// part of the chart.
	Owned []string
	// Local are the dependencies that are read from elsewhere in the repository.
	Local []LocalChart
	// Package is a packaged chart's file, in place of Files.
	Package []byte
}

// LocalChart is a dependency in a folder of the repository (file://).
type LocalChart struct {
	// Inside is the folder in the chart that it takes, such as charts/common.
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

// InRegistry says whether the chart name is an address in a registry.
func InRegistry(name string) bool { return strings.HasPrefix(name, registryScheme) }

// Read reads the chart at name, a folder or a .tgz in fsys. Files in the folder that own
// reports aren't part of the chart; nil stands for none. It ends early with ctx.
func Read(ctx context.Context, fsys fs.FS, name string, own func(file string) bool) (*Source, error) {
	source, err := read(ctx, fsys, name, own)
	if err != nil {
		return nil, fmt.Errorf("loading chart %q: %w", name, err)
	}
	return source, nil
}

func read(ctx context.Context, fsys fs.FS, name string, own func(file string) bool) (*Source, error) {
	if InRegistry(name) {
		return nil, fmt.Errorf("it is in a registry, which isn't asked here: vendor it into the repository (helm pull %s)", name)
	}
	info, err := fs.Stat(fsys, name)
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return readFolder(ctx, fsys, name, own)
	case info.Mode().IsRegular() && path.Ext(name) == ".tgz":
		data, err := files.ReadFS(fsys, name, maxPackage)
		return Packaged(name, data), err
	default:
		return nil, errors.New("want a folder or a .tgz")
	}
}

// Packaged is a packaged chart whose file is data.
func Packaged(name string, data []byte) *Source {
	return &Source{Path: name, Digest: digests.Sum(data), Package: data}
}

// Load parses the chart. Its dependencies must be in its folder charts/, but for local
// ones.
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

// utf8BOM is what Helm's loader of folders takes off a file's beginning.
var utf8BOM = []byte("\xef\xbb\xbf")

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
