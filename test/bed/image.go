package bed

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Pushed is an image or an index in a registry.
type Pushed struct {
	// Repository includes the registry's host: 127.0.0.1:port/team/web.
	Repository string
	Digest     string
}

// Ref returns the reference by digest.
func (p Pushed) Ref() string { return p.Repository + "@" + p.Digest }

// Push pushes a small image as repository:tag. The digest depends only on seed. With platforms,
// such as linux/amd64, it pushes an index with an image for each.
func (r *Registry) Push(ctx context.Context, repository, tag, seed string, platforms ...string) (Pushed, error) {
	pushed := Pushed{Repository: r.Host + "/" + repository}
	ref, err := name.ParseReference(pushed.Repository + ":" + tag)
	if err != nil {
		return Pushed{}, fmt.Errorf("parsing reference %q: %w", pushed.Repository+":"+tag, err)
	}
	var digest v1.Hash
	options := []remote.Option{remote.WithContext(ctx), remote.WithTransport(r.client.Transport)}
	if len(platforms) == 0 {
		digest, err = pushImage(ref, seed, options)
	} else {
		digest, err = pushIndex(ref, seed, platforms, options)
	}
	if err != nil {
		return Pushed{}, fmt.Errorf("pushing %q: %w", ref, err)
	}
	pushed.Digest = digest.String()
	return pushed, nil
}

// pushImage pushes an image.
func pushImage(ref name.Reference, seed string, options []remote.Option) (v1.Hash, error) {
	image, err := Image(seed, "linux/amd64")
	if err != nil {
		return v1.Hash{}, err
	}
	if err := remote.Write(ref, image, options...); err != nil {
		return v1.Hash{}, err
	}
	return image.Digest()
}

// pushIndex pushes an index.
func pushIndex(ref name.Reference, seed string, platforms []string, options []remote.Option) (v1.Hash, error) {
	index, err := Index(seed, platforms...)
	if err != nil {
		return v1.Hash{}, err
	}
	if err := remote.WriteIndex(ref, index, options...); err != nil {
		return v1.Hash{}, err
	}
	return index.Digest()
}

// Image returns a small image with one layer. It depends only on seed and platform.
func Image(seed, platform string) (v1.Image, error) {
	content, err := layerTar(seed)
	if err != nil {
		return nil, fmt.Errorf("creating image %q: %w", seed, err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(content)), nil
	}, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, fmt.Errorf("creating image %q: %w", seed, err)
	}
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err := mutate.AppendLayers(base, layer)
	if err != nil {
		return nil, fmt.Errorf("creating image %q: %w", seed, err)
	}
	file, err := image.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("creating image %q: %w", seed, err)
	}
	file = file.DeepCopy()
	file.OS, file.Architecture, _ = strings.Cut(platform, "/")
	file.Created = v1.Time{Time: time.Unix(0, 0).UTC()}
	file.Config.Entrypoint = []string{"/seed"}
	return mutate.ConfigFile(image, file)
}

// Index returns an index with one Image for each platform.
func Index(seed string, platforms ...string) (v1.ImageIndex, error) {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, platform := range platforms {
		image, err := Image(seed, platform)
		if err != nil {
			return nil, err
		}
		parsed, err := v1.ParsePlatform(platform)
		if err != nil {
			return nil, fmt.Errorf("parsing platform %q: %w", platform, err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add: image, Descriptor: v1.Descriptor{Platform: parsed},
		})
	}
	return index, nil
}

// layerTar returns the layer of an image.
func layerTar(seed string) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	header := &tar.Header{Name: "seed", Mode: 0o755, Size: int64(len(seed)), Format: tar.FormatUSTAR}
	if err := w.WriteHeader(header); err != nil {
		return nil, err
	}
	if _, err := io.WriteString(w, seed); err != nil {
		return nil, err
	}
	return out.Bytes(), w.Close()
}
