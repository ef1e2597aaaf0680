package evidence

import (
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/tuf"
	"github.com/sigstore/sigstore/pkg/signature/kms"
	"github.com/sigstore/sigstore/pkg/signature/options"
	"golang.org/x/sync/singleflight"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/files"
	"github.com/envladder/envladder/internal/panics"
)

// publicGood is the name of the trusted root of signers that name none: sigstore's
// public one.
const publicGood = "sigstore"

const (
	// rootLife is how long a trusted root is used before its file is read again: a mounted
	// folder changes within a minute or two.
	rootLife = 10 * time.Second
	// publicLife is how long the public root is used; sigstore's clients fetch it daily.
	publicLife = 24 * time.Hour
	// kmsLife is how long a KMS's public key is used. The key of a URI rarely changes.
	kmsLife = 10 * time.Minute
	// kmsTimeout bounds a request to a KMS: an admission request has about ten seconds.
	kmsTimeout = 5 * time.Second
	// failureLife is how long a source that didn't respond isn't queried again.
	failureLife = 10 * time.Second
	// maxPatience bounds the wait for a fresh result if an old one is known.
	maxPatience = 200 * time.Millisecond
	// maxRoot bounds a trusted root: sigstore's public one has 10 KiB.
	maxRoot = 1 << 20
)

// TrustOptions are the sources of a Trust.
type TrustOptions struct {
	// Roots is the folder of trusted roots: <name>.json each, as cosign takes them by
	// --trusted-root. Empty: there are none.
	Roots string
	// PublicRoot enables fetching sigstore's public root by TUF, for signers that name none
	// and if Roots has no sigstore.json.
	PublicRoot bool
	// PublicRootCache is the folder that it is cached in. Empty: it isn't cached.
	PublicRootCache string
	// PublicRootMirror is the URL that it is fetched from. Empty: sigstore's.
	PublicRootMirror string
}

// Trust finds the trusted roots and the public keys in a KMS that a Gate's signers name. It is
// safe for concurrent use. If querying a source again fails, its previous result stays in use.
type Trust struct {
	options TrustOptions
	now     func() time.Time

	mu      sync.Mutex
	roots   map[string]*cached[*root.TrustedRoot]
	keys    map[string]*cached[crypto.PublicKey]
	flights singleflight.Group
}

// cached is a root or key that was found, or the error.
type cached[T any] struct {
	found   T
	digest  string // of what it was read from
	err     error
	expires time.Time
}

// NewTrust returns a Trust. It queries no source before it is used.
func NewTrust(options TrustOptions) *Trust {
	return &Trust{
		options: options, now: time.Now,
		roots: map[string]*cached[*root.TrustedRoot]{}, keys: map[string]*cached[crypto.PublicKey]{},
	}
}

// root returns the trusted root of this name.
func (t *Trust) root(ctx context.Context, name string) (*root.TrustedRoot, error) {
	return find(ctx, t, t.roots, "root "+name, name, func(context.Context) (*root.TrustedRoot, string, time.Duration, error) {
		return t.readRoot(name)
	})
}

// key returns the public key of a KMS's URI.
func (t *Trust) key(ctx context.Context, uri string) (crypto.PublicKey, error) {
	return find(ctx, t, t.keys, "key "+uri, uri, func(ctx context.Context) (crypto.PublicKey, string, time.Duration, error) {
		ctx, cancel := context.WithTimeout(ctx, kmsTimeout)
		defer cancel()
		public, err := readKMS(ctx, uri)
		if err != nil {
			return nil, "", 0, err
		}
		hint, err := hintOf(public)
		return public, hint, kmsLife, err
	})
}

// find returns the cached result, or that of read; concurrent callers share one call of read.
// If it takes long or fails, find returns the previous result.
func find[T any](ctx context.Context, t *Trust, all map[string]*cached[T], flight, name string, read func(context.Context) (T, string, time.Duration, error)) (T, error) {
	t.mu.Lock()
	old, asked := all[name]
	t.mu.Unlock()
	if asked && t.now().Before(old.expires) {
		return old.found, old.err
	}
	known := asked && old.err == nil
	answer := t.flights.DoChan(flight, func() (any, error) {
		var fresh T
		err := panics.Catch(func() (err error) {
			var digest string
			var life time.Duration
			fresh, digest, life, err = read(context.WithoutCancel(ctx))
			t.mu.Lock()
			defer t.mu.Unlock()
			switch {
			case err == nil:
				all[name] = &cached[T]{found: fresh, digest: digest, expires: t.now().Add(life)}
			case known && !errors.Is(err, os.ErrNotExist):
				all[name] = &cached[T]{found: old.found, digest: old.digest, expires: t.now().Add(failureLife)}
			default: // a root that was removed is no longer trusted
				all[name] = &cached[T]{err: err, expires: t.now().Add(failureLife)}
			}
			return err
		})
		return fresh, err
	})
	var patience <-chan time.Time // never fires if nothing is known
	if known {
		patience = time.After(maxPatience)
	}
	var none T
	select {
	case <-ctx.Done():
		return none, context.Cause(ctx)
	case <-patience:
		return old.found, nil
	case result := <-answer:
		if result.Err == nil {
			return result.Val.(T), nil //nolint:forcetypeassert // the function above returns nothing else
		}
		if known && !errors.Is(result.Err, os.ErrNotExist) {
			return old.found, nil
		}
		return none, result.Err
	}
}

func (t *Trust) readRoot(name string) (*root.TrustedRoot, string, time.Duration, error) {
	content, err := t.rootFile(name)
	if name == publicGood && t.options.PublicRoot && errors.Is(err, os.ErrNotExist) {
		fetched, err := t.fetchPublicRoot()
		return fetched, "tuf", publicLife, err
	}
	if err != nil {
		return nil, "", 0, err
	}
	parsed, err := root.NewTrustedRootFromJSON(content)
	if err != nil {
		return nil, "", 0, fmt.Errorf("reading trusted root %q: %w", name, err)
	}
	sum := sha256.Sum256(content)
	return parsed, hex.EncodeToString(sum[:]), rootLife, nil
}

// rootFile returns the content of a trusted root's file.
func (t *Trust) rootFile(name string) ([]byte, error) {
	advice := "mount it as " + name + ".json"
	if name == publicGood {
		advice += ", or let it be fetched (--sigstore-public-root)"
	}
	switch {
	case name != filepath.Base(name) || strings.HasPrefix(name, "."):
		return nil, fmt.Errorf("reading trusted root %q: that is no name", name)
	case t.options.Roots == "":
		return nil, &missingRootError{fmt.Sprintf("there is no trusted root %q, because no folder of them is known (--trusted-roots): %s", name, advice)}
	}
	content, err := files.Read(filepath.Join(t.options.Roots, name+".json"), maxRoot)
	if errors.Is(err, os.ErrNotExist) {
		return nil, &missingRootError{fmt.Sprintf("there is no trusted root %q in the folder of --trusted-roots: %s", name, advice)}
	}
	if err != nil {
		return nil, fmt.Errorf("reading trusted root %q: %w", name, err)
	}
	return content, nil
}

// missingRootError is returned for a missing root. Its text has advice.
type missingRootError struct{ text string }

func (e *missingRootError) Error() string { return e.text }

func (e *missingRootError) Is(target error) bool { return target == os.ErrNotExist }

func (t *Trust) fetchPublicRoot() (*root.TrustedRoot, error) {
	from := tuf.DefaultOptions()
	from.DisableLocalCache = t.options.PublicRootCache == ""
	from.CachePath = t.options.PublicRootCache
	if t.options.PublicRootMirror != "" {
		from.RepositoryBaseURL = t.options.PublicRootMirror
	}
	fetched, err := root.FetchTrustedRootWithOptions(from)
	if err != nil {
		return nil, fmt.Errorf("fetching sigstore's public root: %w", err)
	}
	return fetched, nil
}

// readKMS reads a public key from a KMS.
func readKMS(ctx context.Context, uri string) (crypto.PublicKey, error) {
	key, err := kms.Get(ctx, uri, crypto.SHA256)
	if err == nil {
		var public crypto.PublicKey
		if public, err = key.PublicKey(options.WithContext(ctx)); err == nil {
			return public, nil
		}
	}
	return nil, fmt.Errorf("asking the KMS for the public key of %q: %w", uri, err)
}

// rootOf returns the name of the trusted root that a signer needs; empty where it needs none.
func rootOf(signer v1alpha1.Signer) string {
	switch {
	case signer.Keyless == nil:
		return signer.Timestamp
	case signer.Keyless.TrustedRoot == "":
		return publicGood
	default:
		return signer.Keyless.TrustedRoot
	}
}

// fingerprint returns a hash of the signers and of the known roots and keys that they name:
// evidence that was verified by other roots and keys isn't known for these.
func (t *Trust) fingerprint(ctx context.Context, signers []v1alpha1.Signer) string {
	hash := sha256.New()
	encoder := json.NewEncoder(hash)
	for _, signer := range signers {
		var rootDigest, keyDigest string
		t.refresh(ctx, signer)
		t.mu.Lock()
		if found, ok := t.roots[rootOf(signer)]; ok {
			rootDigest = found.digest
		}
		if found, ok := t.keys[signer.KMS]; ok {
			keyDigest = found.digest
		}
		t.mu.Unlock()
		if err := encoder.Encode([]any{signer, rootDigest, keyDigest}); err != nil {
			panic(fmt.Sprintf("encoding plain values: %v", err)) // strings and times alone
		}
	}
	return hex.EncodeToString(hash.Sum(nil))
}

// refresh finds the root or key of a signer again if it is known and may have changed.
func (t *Trust) refresh(ctx context.Context, signer v1alpha1.Signer) {
	t.mu.Lock()
	_, knownRoot := t.roots[rootOf(signer)]
	_, knownKey := t.keys[signer.KMS]
	t.mu.Unlock()
	if knownRoot {
		_, _ = t.root(ctx, rootOf(signer)) // Verifier reports the error
	}
	if knownKey {
		_, _ = t.key(ctx, signer.KMS)
	}
}
