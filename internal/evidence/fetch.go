package evidence

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/registry"
)

// Bounds on one fetch.
const (
	// maxBundles read for a digest. A digest in use for a year gathers some hundreds of
	// soaks, tests and approvals; the newest of a kind can't be told before reading.
	maxBundles = 500
	// maxFetched bytes of bundles held at once: a handful of the largest SBOMs.
	maxFetched = 64 << 20
	// maxParallel reads. A registry on the same network answers in milliseconds;
	// this hides the round trips without flooding it.
	maxParallel = 8
)

// fetched is a bundle as it was read.
type fetched struct {
	// source is the digest of its manifest.
	source string
	bundle []byte
}

// fetch reads the bundles about a digest. Beside an error, which says what may be
// missing, it returns those that could be read: junk and what has gone since it was
// listed are passed over, but what the registry failed to give could have been proof.
func fetch(ctx context.Context, client *registry.Client, repository, digest string) ([]fetched, error) {
	listed, err := client.Referrers(ctx, repository, digest)
	candidates := order(listed)
	if len(candidates) > maxBundles {
		err = errors.Join(err, fmt.Errorf("%s@%s has %d attestations, %d are read", repository, digest, len(candidates), maxBundles))
		candidates = candidates[:maxBundles]
	}

	reader := bundleReader{client: client, repository: repository, left: maxFetched}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(maxParallel)
	for _, candidate := range candidates {
		group.Go(func() error {
			reader.read(ctx, candidate)
			return nil
		})
	}
	_ = group.Wait() // no part of it gives up for another
	return reader.bundles, errors.Join(append([]error{err}, reader.errs...)...)
}

// order drops what can't be a bundle, or is listed twice, and puts first what says that the gate looks into
// it. The annotations are anybody's to write and some registries don't list them, so
// they decide no more than that.
func order(listed []registry.Descriptor) []registry.Descriptor {
	seen := map[string]bool{}
	candidates := slices.DeleteFunc(slices.Clone(listed), func(d registry.Descriptor) bool {
		again := seen[d.Digest]
		seen[d.Digest] = true
		return again || !mayBeBundle(d)
	})
	slices.SortStableFunc(candidates, func(a, b registry.Descriptor) int { return cmp.Compare(rank(a), rank(b)) })
	return candidates
}

// mayBeBundle also takes what registries report that look at the config alone.
func mayBeBundle(d registry.Descriptor) bool {
	if d.Size > registry.MaxManifest {
		return false
	}
	switch d.ArtifactType {
	case "", "application/vnd.oci.empty.v1+json", "application/vnd.oci.image.config.v1+json":
		return true
	default:
		return isBundle(d.ArtifactType)
	}
}

func rank(d registry.Descriptor) int {
	predicateType, annotated := d.Annotations[predicateTypeAnnotation]
	switch {
	case annotated && gate.Knows(predicateType):
		return 0
	case isBundle(d.ArtifactType) && !annotated:
		return 1
	case !annotated:
		return 2
	default:
		return 3
	}
}

// bundleReader gathers bundles and what kept others from being read.
type bundleReader struct {
	client     *registry.Client
	repository string

	mu      sync.Mutex
	left    int64
	bundles []fetched
	errs    []error
}

func (r *bundleReader) read(ctx context.Context, candidate registry.Descriptor) {
	bundle, err := r.readBundle(ctx, candidate)
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case err == nil && bundle != nil:
		r.bundles = append(r.bundles, fetched{source: candidate.Digest, bundle: bundle})
	case err != nil && !errors.Is(err, registry.ErrNotFound) && !errors.Is(err, registry.ErrTooLarge):
		r.errs = append(r.errs, err)
	}
}

// readBundle returns nil for what isn't a bundle.
func (r *bundleReader) readBundle(ctx context.Context, candidate registry.Descriptor) ([]byte, error) {
	manifest, err := r.client.Manifest(ctx, r.repository, candidate.Digest)
	if err != nil {
		return nil, err
	}
	// cosign writes one layer; more than one would let a manifest cost more reads.
	if len(manifest.Layers) != 1 || !isBundle(manifest.Layers[0].MediaType) || manifest.Layers[0].Size > registry.MaxBlob {
		return nil, nil
	}
	if err := r.take(manifest.Layers[0].Size); err != nil {
		return nil, err
	}
	return r.client.Blob(ctx, r.repository, manifest.Layers[0].Digest)
}

// take reserves memory for a bundle, by the size that its manifest claims.
func (r *bundleReader) take(size int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if size > r.left {
		return fmt.Errorf("the attestations in %s have more than %d bytes", r.repository, maxFetched)
	}
	r.left -= max(size, 0)
	return nil
}
