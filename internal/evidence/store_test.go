package evidence

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/registry"
	"github.com/envladder/envladder/internal/registry/registrytest"
)

// allocated returns how much memory a function allocates.
func allocated(do func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// listing answers the list of referrers.
func listing(w fixture, entries []map[string]any) {
	index, _ := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": entries,
	})
	w.server.Before(func(rw http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/referrers/") {
			return false
		}
		rw.Header().Set("Content-Type", "application/vnd.oci.image.index.v1+json")
		_, _ = rw.Write(index)
		return true
	})
}

func listed(digest, predicateType string) map[string]any {
	entry := map[string]any{"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": 900, "artifactType": bundleType}
	if predicateType != "" {
		entry["annotations"] = map[string]string{predicateTypeAnnotation: predicateType}
	}
	return entry
}

func TestFetchFindsProofAmongManyReferrers(t *testing.T) {
	w := newFixture(t, registrytest.WithReferrers)
	ci := newKey(t)
	proof := w.attest(t, ci, gate.PredicateSignature, map[string]any{})
	for name, junkType := range map[string]string{"that say nothing": "", "that say something else": "https://example.com/junk"} {
		t.Run(name, func(t *testing.T) {
			entries := make([]map[string]any, 0, registry.MaxReferrers)
			for i := range registry.MaxReferrers - 1 {
				entries = append(entries, listed(fmt.Sprintf("sha256:%064x", i), junkType))
			}
			listing(w, append(entries, listed(proof.Digest, gate.PredicateSignature)))
			var requests atomic.Int64
			store := NewStore(registry.NewClientOver(counting{&requests}), NewTrust(TrustOptions{}))
			got, err := store.Fetch(t.Context(), w.query(inGate("ci", ci)))
			if len(got) != 1 || !isBound(err) {
				t.Errorf("evidence %+v, error %v; want the signature, and that not all was read", got, err)
			}
			if n := requests.Load(); n > maxBundles+10 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

// counting counts requests.
type counting struct{ n *atomic.Int64 }

// RoundTrip implements http.RoundTripper.
func (c counting) RoundTrip(r *http.Request) (*http.Response, error) {
	c.n.Add(1)
	return http.DefaultTransport.RoundTrip(r)
}

func TestFetchReportsReferrersLimit(t *testing.T) {
	w := newFixture(t, registrytest.WithReferrers)
	var entries []map[string]any
	for i := range registry.MaxReferrers + 1 {
		entries = append(entries, listed(fmt.Sprintf("sha256:%064x", i), ""))
	}
	listing(w, entries)
	if got, err := w.fetch(t, inGate("ci", newKey(t))); len(got) != 0 || !isBound(err) {
		t.Errorf("evidence %+v, error %v", got, err)
	}
}

func TestFetchRejectsHugeAttestation(t *testing.T) {
	const huge = 128 << 20
	for name, claimed := range map[string]int64{"that says so": huge, "that says that it is small": 1000} {
		t.Run(name, func(t *testing.T) {
			w := newFixture(t, registrytest.WithReferrers)
			ci := newKey(t)
			w.attest(t, ci, gate.PredicateSignature, map[string]any{})
			digest := w.server.Attach(t, "shop/web", w.digest, bundleType, []byte("{}"), nil)
			w.pretend(t, digest, claimed, func(rw http.ResponseWriter) {
				chunk := bytes.Repeat([]byte("x"), 1<<20)
				for range huge >> 20 {
					if _, err := rw.Write(chunk); err != nil {
						return // the reader has stopped
					}
				}
			})
			var got []gate.Evidence
			var err error
			took := allocated(func() { got, err = w.fetch(t, inGate("ci", ci)) })
			if len(got) != 1 {
				t.Errorf("evidence %+v, error %v; want the signature with it", got, err)
			}
			if claimed == huge && !isBound(err) {
				t.Errorf("error %v, want that it wasn't read", err)
			}
			if took > 64<<20 {
				t.Errorf("took %d MiB", took>>20)
			}
		})
	}
}

func TestFetchRejectsGzipBomb(t *testing.T) {
	w := newFixture(t, registrytest.WithReferrers)
	ci := newKey(t)
	w.attest(t, ci, gate.PredicateSignature, map[string]any{})
	var bomb bytes.Buffer
	packed := gzip.NewWriter(&bomb)
	for range 256 {
		_, err := packed.Write(make([]byte, 1<<20))
		check(t, err)
	}
	check(t, packed.Close())
	digest := w.server.Attach(t, "shop/web", w.digest, bundleType, []byte("{}"), nil)
	w.pretend(t, digest, int64(bomb.Len()), func(rw http.ResponseWriter) {
		rw.Header().Set("Content-Encoding", "gzip")
		_, _ = rw.Write(bomb.Bytes())
	})
	var got []gate.Evidence
	var err error
	took := allocated(func() { got, err = w.fetch(t, inGate("ci", ci)) })
	if len(got) != 1 || took > 64<<20 {
		t.Errorf("evidence %+v, error %v, took %d MiB", got, err, took>>20)
	}
}

// pretend has a manifest claim another size of its blob, and the registry send what it
// likes for it.
func (w fixture) pretend(t testing.TB, digest string, size int64, send func(http.ResponseWriter)) {
	t.Helper()
	manifest, err := w.client.Manifest(t.Context(), w.repository, digest)
	check(t, err)
	blob := manifest.Layers[0].Digest
	lying, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "artifactType": bundleType,
		"config": map[string]any{"mediaType": "application/vnd.oci.empty.v1+json", "digest": blob, "size": 2},
		"layers": []any{map[string]any{"mediaType": bundleType, "digest": blob, "size": size}},
	})
	check(t, err)
	sum := registrytest.DigestOf(lying)
	list, err := w.client.Referrers(t.Context(), w.repository, w.digest)
	check(t, err)
	var entries []map[string]any
	for _, one := range list {
		if one.Digest != digest {
			entries = append(entries, listed(one.Digest, ""))
		}
	}
	entries = append(entries, listed(sum, gate.PredicateSoak))
	listing(w, entries)
	w.server.Also(func(rw http.ResponseWriter, r *http.Request) bool {
		switch {
		case strings.HasSuffix(r.URL.Path, "/manifests/"+sum):
			rw.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
			_, _ = rw.Write(lying)
		case strings.HasSuffix(r.URL.Path, "/blobs/"+blob):
			send(rw)
		default:
			return false
		}
		return true
	})
}

func TestFetchAcceptsOtherArtifactType(t *testing.T) {
	// Some report the config's type, some nothing, and some pass the filter over.
	for _, artifactType := range []string{"", "application/vnd.oci.empty.v1+json", "application/vnd.oci.image.config.v1+json", bundleType} {
		w := newFixture(t, registrytest.WithReferrers)
		ci := newKey(t)
		proof := w.attest(t, ci, gate.PredicateSignature, map[string]any{})
		entry := listed(proof.Digest, "")
		entry["artifactType"] = artifactType
		listing(w, []map[string]any{listed(digestA, "https://example.com/junk"), entry})
		if got, err := w.fetch(t, inGate("ci", ci)); err != nil || len(got) != 1 {
			t.Errorf("artifactType %q: evidence %+v, error %v", artifactType, got, err)
		}
	}
}

func TestFetchFromEvidenceRepository(t *testing.T) {
	for name, kind := range registrytest.Kinds {
		t.Run(name, func(t *testing.T) {
			w := newFixture(t, kind)
			ci := newKey(t)
			target, err := FindTarget(t.Context(), w.client, w.repository, w.digest)
			check(t, err)
			target.Evidence = w.server.Name("shop/evidence")
			_, err = Attest(t.Context(), w.client, ci, target, gate.PredicateSignature, map[string]any{})
			check(t, err)
			if got, err := w.fetch(t, inGate("ci", ci)); err != nil || len(got) != 0 {
				t.Errorf("next to the image: %+v, %v", got, err)
			}
			q := w.query(inGate("ci", ci))
			q.Image.Evidence = target.Evidence
			if got, err := w.store.Fetch(t.Context(), q); err != nil || len(got) != 1 {
				t.Errorf("in its own repository: %+v, %v", got, err)
			}
		})
	}
}
