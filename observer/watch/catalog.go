package watch

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/envladder/envladder/internal/panics"
	"github.com/envladder/envladder/internal/registry"
)

const (
	// maxImages bounds the cache: an image takes some thousand bytes, and the observed
	// namespaces of a cluster run some dozens.
	maxImages = 512
	// maxChildren bounds the children of an index that are read; images are built for a
	// dozen platforms at most.
	maxChildren = 32
	// imageRetry is how long a failed image isn't read again.
	imageRetry = 10 * time.Minute
	// imageTimeout bounds the reads of one image.
	imageTimeout = time.Minute
)

// Catalog caches which digests name one image: an index, its children, and their
// configurations. A runtime may report any of them.
type Catalog struct {
	client *registry.Client
	log    *slog.Logger

	mu     sync.Mutex
	images map[string]*imageDigests // by repository@digest
}

// imageDigests is what is known of an image.
type imageDigests struct {
	digests map[string]bool // nil until it was read
	reading bool
	failed  time.Time
}

// NewCatalog returns an empty catalog that reads from registries.
func NewCatalog(client *registry.Client, log *slog.Logger) *Catalog {
	return &Catalog{client: client, log: log, images: map[string]*imageDigests{}}
}

// Contradicts reports whether a node provably runs another image than the digest. It
// never waits: an image that isn't known yet is read in the background, and until then
// the answer is no.
func (c *Catalog) Contradicts(repository, digest string, running ImageID) bool {
	if running.Digest == "" || running.Digest == digest {
		return false
	}
	digests := c.digests(repository, digest)
	switch {
	case digests == nil || digests[running.Digest]:
		return false
	case running.Bare:
		return true // the digest of a configuration that the image doesn't have
	}
	// Another manifest or index may be of the same image: a runtime reports the first
	// one that it knows.
	others := c.digests(repository, running.Digest)
	if others == nil {
		return false
	}
	for other := range others {
		if digests[other] {
			return false
		}
	}
	return true
}

// digests returns all digests of an image, or nil where they aren't known yet.
func (c *Catalog) digests(repository, digest string) map[string]bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := repository + "@" + digest
	image := c.images[key]
	if image == nil {
		c.evict()
		image = &imageDigests{}
		c.images[key] = image
	}
	if image.digests == nil && !image.reading && time.Since(image.failed) > imageRetry {
		image.reading = true
		go c.read(image, repository, digest)
	}
	return image.digests
}

// evict removes any images beyond the bound; they are read again where they are needed.
func (c *Catalog) evict() {
	for key, image := range c.images {
		if len(c.images) < maxImages {
			return
		}
		if !image.reading {
			delete(c.images, key)
		}
	}
}

func (c *Catalog) read(image *imageDigests, repository, digest string) {
	ctx, cancel := context.WithTimeout(context.Background(), imageTimeout)
	defer cancel()
	var digests map[string]bool
	err := panics.Catch(func() (err error) {
		digests, err = c.fetchDigests(ctx, repository, digest)
		return err
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	image.reading = false
	if err != nil {
		image.failed = time.Now()
		c.log.Debug("cannot compare what nodes run with an image: reading the image failed", "repository", repository, "digest", digest, "error", err)
		return
	}
	image.digests = digests
}

func (c *Catalog) fetchDigests(ctx context.Context, repository, digest string) (map[string]bool, error) {
	manifest, err := c.client.Manifest(ctx, repository, digest)
	if err != nil {
		return nil, err
	}
	digests := map[string]bool{digest: true}
	if manifest.Config != "" {
		digests[manifest.Config] = true
	}
	if len(manifest.Children) > maxChildren {
		return nil, errors.New("its index has too many children to read")
	}
	for _, child := range manifest.Children {
		digests[child.Digest] = true
		image, err := c.client.Manifest(ctx, repository, child.Digest)
		if err != nil {
			return nil, err // with a digest missing, the same image could look like another
		}
		if image.Config != "" {
			digests[image.Config] = true
		}
	}
	return digests, nil
}
