package evidence

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/panics"
	"github.com/envladder/envladder/internal/registry"
)

// Bounds on one fetch.
const (
	// maxBundles read for a digest. A digest in use for a year gathers some hundreds of
	// soaks, tests and approvals; which one is the newest is known only after reading.
	maxBundles = 500
	// maxFetched bytes of bundles read for a digest: a handful of the largest SBOMs.
	// The smaller ones are read first, so that large ones can't displace them.
	maxFetched = 64 << 20
	// maxParallel reads. A registry on the same network answers in milliseconds;
	// this hides the round trips without flooding it.
	maxParallel = 8
	// maxBundleManifest bounds the manifest around a bundle: cosign's has 1 KiB.
	maxBundleManifest = 256 << 10
)

// maxInFlight bounds the bytes of manifests and bundles that the process holds at once,
// however many images are judged: six of the largest bundles. Decoding one takes about
// three times its size in addition.
const maxInFlight = 64 << 20

var inFlight = semaphore.NewWeighted(maxInFlight)

// withBudget runs do when size more bytes may be held in memory.
func withBudget(ctx context.Context, size int64, do func() error) error {
	if err := inFlight.Acquire(ctx, size); err != nil {
		return err
	}
	defer inFlight.Release(size)
	return do()
}

// found is a bundle that a manifest names.
type found struct {
	// source is the manifest's digest.
	source string
	layer  registry.Descriptor
}

// fetcher reads the bundles about a digest. It passes each to take and then releases it.
type fetcher struct {
	client     *registry.Client
	repository string
	digest     string
	// take is called with each bundle, concurrently from several goroutines.
	take func(source string, bundle []byte)

	mu    sync.Mutex
	read  int // manifests and bundles
	found []found
	errs  []error
}

// fetch reads all bundles. Its error reports which evidence may be missing: junk, and bundles
// that were deleted since they were listed, are skipped. Bundles that the registry failed to
// return, or that exceed a limit, could have been proof.
func (f *fetcher) fetch(ctx context.Context) error {
	listed, err := f.client.Referrers(ctx, f.repository, f.digest, predicateTypeAnnotation)
	if err != nil {
		f.fail(err)
	}
	candidates := f.order(listed)
	if len(candidates) > maxBundles {
		f.fail(boundf("%s@%s has %d attestations, %d are read", f.repository, f.digest, len(candidates), maxBundles))
		candidates = candidates[:maxBundles]
	}
	each(ctx, f, candidates, f.find)
	each(ctx, f, f.smallestFirst(), f.readBundle)

	err = errors.Join(f.errs...)
	if err != nil && f.read == 0 && !isBound(err) {
		return &NothingReadError{err}
	}
	return err
}

// each calls do for all items, with bounded concurrency. An error or panic for one item
// doesn't stop the others, and is recorded in f.
func each[T any](ctx context.Context, f *fetcher, items []T, do func(context.Context, T) error) {
	var group errgroup.Group
	group.SetLimit(maxParallel)
	for _, item := range items {
		group.Go(func() error {
			err := panics.Catch(func() error {
				if ctx.Err() != nil {
					return &registry.Error{Action: "reading attestations", Repository: f.repository, Err: context.Cause(ctx)}
				}
				return do(ctx, item)
			})
			switch {
			case err == nil, errors.Is(err, registry.ErrNotFound), errors.Is(err, registry.ErrOtherSize):
			default:
				f.fail(err)
			}
			return nil
		})
	}
	_ = group.Wait() // the errors are in f
}

// fail records an error, once if several have the same text, such as a timeout.
func (f *fetcher) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, known := range f.errs {
		if known.Error() == err.Error() {
			return
		}
	}
	f.errs = append(f.errs, err)
}

func (f *fetcher) counted() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.read++
}

// order drops descriptors that can't be bundles or are listed twice. It alternates between
// descriptors whose annotations claim proof, claim nothing, or claim something else: anyone
// can write annotations, and some registries don't list them, so junk of one kind must not
// displace the others.
func (f *fetcher) order(listed []registry.Descriptor) []registry.Descriptor {
	seen := map[string]bool{}
	var ranks [4][]registry.Descriptor
	for _, d := range listed {
		if seen[d.Digest] || !mayBeBundle(d) {
			continue
		}
		seen[d.Digest] = true
		if d.Size > maxBundleManifest {
			f.tooLarge(d, d.Size, maxBundleManifest)
			continue
		}
		ranks[rank(d)] = append(ranks[rank(d)], d)
	}
	total := 0
	for _, sort := range ranks {
		total += len(sort)
	}
	ordered := make([]registry.Descriptor, 0, total)
	for turn := 0; len(ordered) < total; turn++ {
		for _, sort := range ranks {
			if turn < len(sort) {
				ordered = append(ordered, sort[turn])
			}
		}
	}
	return ordered
}

// mayBeBundle reports whether a descriptor may be a bundle. Some registries report the type of
// the config as the artifact type.
func mayBeBundle(d registry.Descriptor) bool {
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

// find reads a manifest and records the bundle that it names; other content is skipped.
func (f *fetcher) find(ctx context.Context, candidate registry.Descriptor) error {
	var manifest registry.Manifest
	// Anyone may be able to write the list, so its size isn't trusted.
	err := withBudget(ctx, maxBundleManifest, func() (err error) {
		manifest, err = f.client.ManifestUpTo(ctx, f.repository, candidate.Digest, maxBundleManifest)
		return err
	})
	if errors.Is(err, registry.ErrTooLarge) {
		f.tooLarge(candidate, maxBundleManifest+1, maxBundleManifest)
		return nil
	}
	if err != nil {
		return err
	}
	f.counted()
	// cosign writes one layer; more than one would let a manifest cost more reads.
	if len(manifest.Layers) != 1 || !isBundle(manifest.Layers[0].MediaType) {
		return nil
	}
	layer := manifest.Layers[0]
	if layer.Size > registry.MaxBlob {
		f.tooLarge(manifest.Descriptor, layer.Size, registry.MaxBlob)
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.found = append(f.found, found{source: candidate.Digest, layer: layer})
	return nil
}

// tooLarge records an attestation that isn't read, unless its annotation has a type that
// doesn't count.
func (f *fetcher) tooLarge(d registry.Descriptor, size, bound int64) {
	if rank(d) != 3 {
		f.fail(boundf("an attestation of %s is over the bound of %s and wasn't read (%s)", bytesOf(size), bytesOf(bound), d.Digest))
	}
}

// smallestFirst returns the bundles to read: each content once, however many manifests name
// it. A bundle that is named with several sizes is tried with each: a false size must not
// hide it.
func (f *fetcher) smallestFirst() []found {
	slices.SortFunc(f.found, func(a, b found) int {
		return cmp.Or(cmp.Compare(a.layer.Size, b.layer.Size), cmp.Compare(a.layer.Digest, b.layer.Digest), cmp.Compare(a.source, b.source))
	})
	all := slices.CompactFunc(f.found, func(a, b found) bool {
		return a.layer.Size == b.layer.Size && a.layer.Digest == b.layer.Digest
	})
	left := int64(maxFetched)
	for i, one := range all {
		if left -= max(one.layer.Size, 0); left < 0 {
			f.fail(boundf("the attestations of %s@%s have more than %s, %d of %d are read", f.repository, f.digest, bytesOf(maxFetched), i, len(all)))
			return all[:i]
		}
	}
	return all
}

// readBundle reads a bundle and passes it to take. It holds no more than the size in the
// manifest, and rejects a blob of another size.
func (f *fetcher) readBundle(ctx context.Context, one found) error {
	if one.layer.Size < 0 {
		return nil
	}
	return withBudget(ctx, one.layer.Size, func() error {
		bundle, err := f.client.Blob(ctx, f.repository, one.layer.Digest, one.layer.Size)
		if err != nil {
			return err
		}
		f.counted()
		f.take(one.source, bundle)
		return nil
	})
}
