// Package registrytest starts real registries for tests, in memory, and fills them.
package registrytest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// T is the used part of *testing.T; scripts implement it too.
type T interface {
	Helper()
	Fatal(arguments ...any)
	Cleanup(clean func())
}

// Kind of registry, with or without the Referrers API.
type Kind bool

// The kinds.
const (
	WithReferrers    Kind = true
	WithoutReferrers Kind = false
)

// Kinds are both, by name.
var Kinds = map[string]Kind{"with the Referrers API": WithReferrers, "without the Referrers API": WithoutReferrers}

// Server is a registry on a loopback port.
type Server struct {
	// Host is 127.0.0.1:<port>.
	Host string

	server  *httptest.Server
	handler atomic.Pointer[http.Handler]
	before  atomic.Pointer[func(http.ResponseWriter, *http.Request) bool]
}

// Start starts a registry that ends with the test.
func Start(t T, kind Kind) *Server {
	t.Helper()
	handler := registry.New(registry.WithReferrersSupport(bool(kind)), registry.Logger(log.New(io.Discard, "", 0)))
	s := &Server{}
	s.handler.Store(&handler)
	s.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if before := s.before.Load(); before != nil && (*before)(w, r) {
			return
		}
		(*s.handler.Load()).ServeHTTP(w, r)
	}))
	t.Cleanup(s.server.Close)
	s.Host = strings.TrimPrefix(s.server.URL, "http://")
	return s
}

// Before sets a function that is called before each request; if it returns true, it has
// responded.
func (s *Server) Before(answer func(http.ResponseWriter, *http.Request) bool) {
	s.before.Store(&answer)
}

// Also adds a function that is called before the one that Before set.
func (s *Server) Also(answer func(http.ResponseWriter, *http.Request) bool) {
	next := s.before.Load()
	s.Before(func(w http.ResponseWriter, r *http.Request) bool {
		return answer(w, r) || next != nil && (*next)(w, r)
	})
}

// Wrap wraps the registry's handler, for different behaviour.
func (s *Server) Wrap(wrap func(http.Handler) http.Handler) {
	wrapped := wrap(*s.handler.Load())
	s.handler.Store(&wrapped)
}

// Stop stops the registry: connections are refused from now on.
func (s *Server) Stop() { s.server.Close() }

// Image pushes a random image to a repository of this registry and returns its digest.
func (s *Server) Image(t T, repository string) (digest string) {
	t.Helper()
	image, err := random.Image(256, 1)
	check(t, err)
	return s.push(t, repository, image)
}

// Tag makes a tag of a digest.
func (s *Server) Tag(t T, repository, tag, digest string) {
	t.Helper()
	reference := s.repository(t, repository)
	image, err := remote.Get(reference.Digest(digest))
	check(t, err)
	check(t, remote.Tag(reference.Tag(tag), image))
}

// Index pushes an index of random images for these platforms (os/arch) and returns the
// digests of the index and of its children.
func (s *Server) Index(t T, repository string, platforms ...string) (digest string, children []string) {
	t.Helper()
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, platform := range platforms {
		image, err := random.Image(256, 1)
		check(t, err)
		children = append(children, digestOf(t, image))
		parsed, err := v1.ParsePlatform(platform)
		check(t, err)
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: parsed}})
	}
	return s.push(t, repository, index), children
}

func (s *Server) push(t T, repository string, pushed interface {
	remote.Taggable
	Digest() (v1.Hash, error)
},
) string {
	t.Helper()
	digest := digestOf(t, pushed)
	check(t, remote.Push(s.repository(t, repository).Digest(digest), pushed))
	return digest
}

// Attach attaches an artifact of one layer to a subject, as anyone who may push can,
// and returns its digest.
func (s *Server) Attach(t T, repository, subject, mediaType string, content []byte, annotations map[string]string) string {
	t.Helper()
	target := s.repository(t, repository)
	layer := static.NewLayer(content, types.MediaType(mediaType))
	config := static.NewLayer([]byte("{}"), "application/vnd.oci.empty.v1+json")
	for _, blob := range []v1.Layer{layer, config} {
		check(t, remote.WriteLayer(target, blob))
	}
	hash, err := v1.NewHash(subject)
	check(t, err)
	return s.Manifest(t, repository, v1.Manifest{
		SchemaVersion: 2,
		MediaType:     types.OCIManifestSchema1,
		ArtifactType:  mediaType,
		Config:        descriptor(t, config),
		Layers:        []v1.Descriptor{descriptor(t, layer)},
		Subject:       &v1.Descriptor{MediaType: types.OCIManifestSchema1, Digest: hash, Size: 2},
		Annotations:   annotations,
	})
}

// Manifest puts any manifest, even if the content that it names is missing.
func (s *Server) Manifest(t T, repository string, manifest v1.Manifest) string {
	t.Helper()
	raw, err := json.Marshal(manifest)
	check(t, err)
	digest, _, err := v1.SHA256(bytes.NewReader(raw))
	check(t, err)
	check(t, remote.Put(s.repository(t, repository).Digest(digest.String()), rawManifest(raw)))
	return digest.String()
}

// DigestOf returns the digest of some content.
func DigestOf(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Name returns the repository's name with this registry's host.
func (s *Server) Name(repository string) string { return fmt.Sprintf("%s/%s", s.Host, repository) }

func (s *Server) repository(t T, repository string) name.Repository {
	t.Helper()
	parsed, err := name.NewRepository(s.Name(repository))
	check(t, err)
	return parsed
}

func descriptor(t T, layer v1.Layer) v1.Descriptor {
	t.Helper()
	size, err := layer.Size()
	check(t, err)
	mediaType, err := layer.MediaType()
	check(t, err)
	digest, err := layer.Digest()
	check(t, err)
	return v1.Descriptor{MediaType: mediaType, Size: size, Digest: digest}
}

func digestOf(t T, of interface{ Digest() (v1.Hash, error) }) string {
	t.Helper()
	digest, err := of.Digest()
	check(t, err)
	return digest.String()
}

func check(t T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

type rawManifest []byte

// RawManifest implements remote.Taggable.
func (m rawManifest) RawManifest() ([]byte, error) { return m, nil }

// MediaType returns the type that is sent to the registry.
func (m rawManifest) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }
