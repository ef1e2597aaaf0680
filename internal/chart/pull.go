package chart

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/envladder/envladder/internal/digests"
	"github.com/envladder/envladder/internal/files"
	"github.com/envladder/envladder/internal/registry"
)

// contentType is the media type of the layer that is a packaged chart.
const contentType = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"

// pullTimeout bounds a pull, however many callers wait for it.
const pullTimeout = 30 * time.Second

// Puller pulls charts from registries by their digest, and caches them in a folder. A chart
// has two files there: one named by the manifest's digest with the chart's digest in it, and
// the chart, named by its digest. It is safe for concurrent use, and so is its folder.
type Puller struct {
	client *registry.Client
	dir    string
	limit  int64
	pulls  singleflight.Group
	// checkHost, if set, returns an error for hosts that must not be queried.
	checkHost func(host string) error
}

// NewPuller returns a Puller that caches at most limit bytes in dir, or nothing where dir is
// empty. It creates the folder when there is something to cache. It pulls a chart again if
// that couldn't be cached.
func NewPuller(client *registry.Client, dir string, limit int64) *Puller {
	return &Puller{client: client, dir: dir, limit: limit}
}

// AllowHosts restricts p to these hosts, each as in an address. Without it, the author of a
// Ladder decides which hosts are queried with the available credentials. It must be called
// before Pull.
func (p *Puller) AllowHosts(hosts []string) {
	p.checkHost = func(host string) error {
		if slices.Contains(hosts, host) {
			return nil
		}
		return fmt.Errorf("registry %q isn't allowed: add it to --chart-registries, or vendor the chart into the repository", host)
	}
}

// Read reads the chart at name: from its registry where name is an address, else from
// fsys, like the function Read. A nil Puller queries no registry.
func (p *Puller) Read(ctx context.Context, fsys fs.FS, name string, owned func(file string) bool) (*Source, error) {
	if p == nil || !InRegistry(name) {
		return Read(ctx, fsys, name, owned)
	}
	return p.Pull(ctx, name)
}

// Pull reads the chart at address, oci://HOST/REPOSITORY@sha256:….
func (p *Puller) Pull(ctx context.Context, address string) (*Source, error) {
	pulling := p.pulls.DoChan(address, func() (any, error) {
		// other callers may wait for it too
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pullTimeout)
		defer cancel()
		return p.pull(ctx, address)
	})
	var data []byte
	var err error
	select {
	case pulled := <-pulling:
		data, _ = pulled.Val.([]byte)
		err = pulled.Err
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("loading chart %q: %w", address, err)
	}
	return Packaged(address, data), nil
}

// pull returns a packaged chart from the cache or from its registry.
func (p *Puller) pull(ctx context.Context, address string) ([]byte, error) {
	repository, digest, ok := strings.Cut(strings.TrimPrefix(address, registryScheme), "@")
	if !InRegistry(address) || !ok || !digests.Valid(digest) {
		return nil, errors.New("want oci://HOST/REPOSITORY@sha256:…")
	}
	if host, _, _ := strings.Cut(repository, "/"); p.checkHost != nil {
		if err := p.checkHost(host); err != nil {
			return nil, err
		}
	}
	if data, ok := p.cached(digest); ok {
		return data, nil
	}
	manifest, err := p.client.Manifest(ctx, repository, digest)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(manifest.Layers, func(l registry.Descriptor) bool { return l.MediaType == contentType })
	if at < 0 {
		return nil, fmt.Errorf("it isn't a chart: its manifest has no layer of type %s", contentType)
	}
	layer := manifest.Layers[at]
	data, err := p.client.Blob(ctx, repository, layer.Digest, layer.Size)
	if err != nil {
		return nil, err
	}
	p.cache(digest, layer.Digest, data)
	return data, nil
}

// cached returns the chart of a manifest, if it is in the folder and complete.
func (p *Puller) cached(manifest string) ([]byte, bool) {
	if p.dir == "" {
		return nil, false
	}
	folder, err := os.OpenRoot(p.dir)
	if err != nil {
		return nil, false
	}
	defer folder.Close() // only read
	pointer, err := files.ReadFS(folder.FS(), fileName(manifest), int64(len(manifest)))
	if err != nil || !digests.Valid(string(pointer)) {
		return nil, false
	}
	name := fileName(string(pointer)) + packageSuffix
	data, err := files.ReadFS(folder.FS(), name, maxPackage)
	if err != nil || Packaged("", data).Digest != string(pointer) {
		return nil, false
	}
	now := time.Now()
	for _, used := range []string{name, fileName(manifest)} {
		_ = folder.Chtimes(used, now, now) // otherwise it is only evicted earlier
	}
	return data, true
}

const packageSuffix = ".tgz"

// fileName returns a file's name for a digest.
func fileName(digest string) string { return strings.ReplaceAll(digest, ":", "-") }

// cache writes a chart to the folder. A chart that it can't write is pulled again.
func (p *Puller) cache(manifest, digest string, data []byte) {
	if p.dir == "" || int64(len(data)) > p.limit {
		return
	}
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return
	}
	if files.Replace(filepath.Join(p.dir, fileName(digest)+packageSuffix), data) == nil {
		_ = files.Replace(filepath.Join(p.dir, fileName(manifest)), []byte(digest)) // without it the chart is pulled again
	}
	p.evict()
}

// evict removes the least recently used files until the others are within the limit.
func (p *Puller) evict() {
	entries, err := os.ReadDir(p.dir)
	if err != nil {
		return
	}
	var files []fs.FileInfo
	var size int64
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() {
			files = append(files, info)
			size += info.Size()
		}
	}
	slices.SortFunc(files, func(a, b fs.FileInfo) int {
		return cmp.Or(a.ModTime().Compare(b.ModTime()), cmp.Compare(a.Name(), b.Name()))
	})
	for _, f := range files {
		if size <= p.limit {
			return
		}
		if os.Remove(filepath.Join(p.dir, f.Name())) == nil {
			size -= f.Size()
		}
	}
}
