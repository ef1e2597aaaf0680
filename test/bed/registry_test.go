package bed_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/envladder/envladder/test/bed"
)

// options returns options that trust the bed's CA.
func options(t *testing.T) []remote.Option {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(shared.CA.PEM)
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{RootCAs: pool}
	return []remote.Option{remote.WithContext(t.Context()), remote.WithTransport(transport)}
}

// parse parses a reference by digest.
func parse(t *testing.T, ref string) name.Digest {
	t.Helper()
	digest, err := name.NewDigest(ref)
	if err != nil {
		t.Fatal(err)
	}
	return digest
}

func TestRegistryStoresImagesAndIndexes(t *testing.T) {
	t.Parallel()
	for _, registry := range []string{"main", "plain", "tls", "plain-tls"} {
		t.Run(registry, func(t *testing.T) {
			t.Parallel()
			r := shared.Registry(registry)
			image, err := r.Push(t.Context(), "team/store", "v1", "seed")
			if err != nil {
				t.Fatal(err)
			}
			again, err := r.Push(t.Context(), "team/store", "v2", "seed")
			if err != nil {
				t.Fatal(err)
			}
			if image.Digest != again.Digest {
				t.Errorf("the same seed resulted in %s and %s", image.Digest, again.Digest)
			}
			index, err := r.Push(t.Context(), "team/store", "v3", "seed", "linux/amd64", "linux/arm64")
			if err != nil {
				t.Fatal(err)
			}
			stored, err := remote.Index(parse(t, index.Ref()), options(t)...)
			if err != nil {
				t.Fatal(err)
			}
			manifest, err := stored.IndexManifest()
			if err != nil {
				t.Fatal(err)
			}
			if len(manifest.Manifests) != 2 || manifest.Manifests[1].Platform.Architecture != "arm64" {
				t.Errorf("unexpected manifests: %+v", manifest.Manifests)
			}
		})
	}
}

func TestRegistryReferrersAPI(t *testing.T) {
	t.Parallel()
	for registry, want := range map[string]int{"main": http.StatusOK, "plain": http.StatusNotFound} {
		t.Run(registry, func(t *testing.T) {
			t.Parallel()
			r := shared.Registry(registry)
			image, err := r.Push(t.Context(), "team/referred", "v1", registry)
			if err != nil {
				t.Fatal(err)
			}
			attach(t, image)
			resp, err := http.Get(fmt.Sprintf("http://%s/v2/team/referred/referrers/%s", r.Host, image.Digest))
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != want {
				t.Errorf("referrers API: %s, want %d", resp.Status, want)
			}
			// Without the API the library uses the fallback tag.
			if got := referrers(t, image); got != 1 {
				t.Errorf("%d referrers, want 1", got)
			}
		})
	}
}

// attach pushes an empty artifact that refers to image.
func attach(t *testing.T, image bed.Pushed) {
	t.Helper()
	subject, err := remote.Head(parse(t, image.Ref()), options(t)...)
	if err != nil {
		t.Fatal(err)
	}
	artifact := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), "application/vnd.example.proof")
	refers := mutate.Subject(artifact, *subject).(v1.Image)
	hash, err := partial.Descriptor(refers)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(parse(t, image.Repository+"@"+hash.Digest.String()), refers, options(t)...); err != nil {
		t.Fatal(err)
	}
}

// referrers returns the number of referrers of an image.
func referrers(t *testing.T, image bed.Pushed) int {
	t.Helper()
	index, err := remote.Referrers(parse(t, image.Ref()), options(t)...)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	return len(manifest.Manifests)
}

func TestRegistryKeepsContentWhenKilled(t *testing.T) {
	t.Parallel()
	b := bed.ForTest(t, bed.Parts{Registries: []bed.RegistryOptions{{Name: "with", Referrers: true}, {Name: "without"}}})
	for _, registry := range []string{"with", "without"} {
		t.Run(registry, func(t *testing.T) {
			r := b.Registry(registry)
			image, err := r.Push(t.Context(), "team/kept", "v1", "kept")
			if err != nil {
				t.Fatal(err)
			}
			attach(t, image)
			r.Process.Kill()
			if _, err := remote.Head(parse(t, image.Ref()), remote.WithContext(context.Background())); err == nil {
				t.Error("a killed registry responds")
			}
			if err := r.Process.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := referrers(t, image); got != 1 {
				t.Errorf("%d referrers after the restart, want 1", got)
			}
		})
	}
}
