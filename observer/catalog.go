package observer

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
	// maxKnown bounds what is remembered of images: some thousand bytes each, and a
	// cluster's observed namespaces run some dozens.
	maxKnown = 512
	// maxChildren bounds the children of an index that are looked into; images are built
	// for a dozen platforms at most.
	maxChildren = 32
	// askAgain is how long an image that couldn't be read isn't asked for again.
	askAgain = 10 * time.Minute
	// readTime is how long an image may take to be read.
	readTime = time.Minute
)

// catalog knows which digests are names of one image: an index, its children, and their
// configurations. A runtime may report any of them.
type catalog struct {
	client *registry.Client
	log    *slog.Logger

	mu    sync.Mutex
	known map[string]*entry // by repository@digest
}

// entry is what is known of an image.
type entry struct {
	names   map[string]bool // nil until it was read
	reading bool
	failed  time.Time
}

func newCatalog(client *registry.Client, log *slog.Logger) *catalog {
	return &catalog{client: client, log: log, known: map[string]*entry{}}
}

// contradicts says whether what a node runs is provably another image than the digest.
// It never waits: what isn't known yet is asked for, and proves nothing meanwhile.
func (c *catalog) contradicts(repository, digest string, runs imageID) bool {
	if runs.digest == "" || runs.digest == digest {
		return false
	}
	names := c.names(repository, digest)
	switch {
	case names == nil || names[runs.digest]:
		return false
	case runs.bare:
		return true // the digest of a configuration, and of none that the image has
	}
	// Another manifest or index may be of the same image: a runtime reports the first
	// one that it knows.
	others := c.names(repository, runs.digest)
	if others == nil {
		return false
	}
	for name := range others {
		if names[name] {
			return false
		}
	}
	return true
}

// names are all digests of an image, nil where they aren't known.
func (c *catalog) names(repository, digest string) map[string]bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := repository + "@" + digest
	known := c.known[key]
	if known == nil {
		c.makeRoom()
		known = &entry{}
		c.known[key] = known
	}
	if known.names == nil && !known.reading && time.Since(known.failed) > askAgain {
		known.reading = true
		go c.read(known, repository, digest)
	}
	return known.names
}

// makeRoom forgets any one image; it is read again if it is asked for.
func (c *catalog) makeRoom() {
	for key, known := range c.known {
		if len(c.known) < maxKnown {
			return
		}
		if !known.reading {
			delete(c.known, key)
		}
	}
}

func (c *catalog) read(known *entry, repository, digest string) {
	ctx, cancel := context.WithTimeout(context.Background(), readTime)
	defer cancel()
	var names map[string]bool
	err := panics.Catch(func() (err error) {
		names, err = c.readNames(ctx, repository, digest)
		return err
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	known.reading = false
	if err != nil {
		known.failed = time.Now()
		c.log.Debug("an image couldn't be read, to compare it with what nodes run", "repository", repository, "digest", digest, "error", err)
		return
	}
	known.names = names
}

func (c *catalog) readNames(ctx context.Context, repository, digest string) (map[string]bool, error) {
	manifest, err := c.client.Manifest(ctx, repository, digest)
	if err != nil {
		return nil, err
	}
	names := map[string]bool{digest: true}
	if manifest.Config != "" {
		names[manifest.Config] = true
	}
	if len(manifest.Children) > maxChildren {
		return nil, errors.New("its index has too many children to look into")
	}
	for _, child := range manifest.Children {
		names[child.Digest] = true
		image, err := c.client.Manifest(ctx, repository, child.Digest)
		if err != nil {
			return nil, err // a name that is missing could make a proof of a gap
		}
		if image.Config != "" {
			names[image.Config] = true
		}
	}
	return names, nil
}
