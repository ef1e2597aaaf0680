package evidence

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/panics"
	"github.com/envladder/envladder/internal/registry"
	"github.com/envladder/envladder/internal/registry/registrytest"
)

// claim attaches a manifest that names a blob under any size.
func (w fixture) claim(t testing.TB, digest string, size int64, note string) string {
	t.Helper()
	hash := func(s string) v1.Hash {
		parsed, err := v1.NewHash(s)
		check(t, err)
		return parsed
	}
	return w.server.Manifest(t, "shop/web", v1.Manifest{
		SchemaVersion: 2,
		MediaType:     types.OCIManifestSchema1,
		ArtifactType:  bundleType,
		Config:        v1.Descriptor{MediaType: "application/vnd.oci.empty.v1+json", Digest: hash(digestA), Size: 2},
		Layers:        []v1.Descriptor{{MediaType: bundleType, Digest: hash(digest), Size: size}},
		Subject:       &v1.Descriptor{MediaType: types.OCIManifestSchema1, Digest: hash(w.digest), Size: 2},
		Annotations:   map[string]string{"note": note},
	})
}

func contentDigest(content string) string {
	return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(content)))
}

func TestFetchReadsSharedBlobOncePerSize(t *testing.T) {
	w := newFixture(t, registrytest.WithReferrers)
	ci := newKey(t)
	proof := w.attest(t, ci, gate.PredicateSignature, map[string]any{})
	large := contentDigest("large")
	const liars = 40
	for i := range liars {
		w.claim(t, large, int64(1+i%2), fmt.Sprint(i))
	}
	var times atomic.Int64
	w.server.Before(func(response http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/blobs/"+large) {
			return false
		}
		times.Add(1)
		_, _ = response.Write(make([]byte, 1<<20))
		return true
	})
	got, err := w.fetch(t, inGate("ci", ci))
	check(t, err)
	if len(got) != 1 || got[0].Source != proof.Digest {
		t.Errorf("evidence %+v", got)
	}
	if times.Load() != 2 {
		t.Errorf("the blob that %d manifests name with two sizes was asked for %d times", liars, times.Load())
	}
}

func TestFetchFindsProofDespiteWrongSize(t *testing.T) {
	w := newFixture(t, registrytest.WithReferrers)
	ci := newKey(t)
	proof := w.attest(t, ci, gate.PredicateSignature, map[string]any{})
	manifest, err := w.client.Manifest(t.Context(), w.repository, proof.Digest)
	check(t, err)
	for _, size := range []int64{-1, 0, 1, manifest.Layers[0].Size + 1} {
		w.claim(t, manifest.Layers[0].Digest, size, "")
	}
	if got, err := w.fetch(t, inGate("ci", ci)); err != nil || len(got) != 1 {
		t.Errorf("evidence %+v, error %v", got, err)
	}
}

func TestFetchBoundsBundlesInFlight(t *testing.T) {
	w := newFixture(t, registrytest.WithReferrers)
	ci := newKey(t)
	w.attest(t, ci, gate.PredicateSignature, map[string]any{})
	check(t, inFlight.Acquire(t.Context(), maxInFlight)) // others hold all that may be held
	ctx, cancel := context.WithCancel(t.Context())
	f := fetcher{client: w.client, repository: w.repository, digest: w.digest, take: func(string, []byte) {
		t.Error("a bundle was read beyond the bound")
	}}
	done := make(chan error, 1)
	w.server.Before(func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/referrers/") {
			return false
		}
		t.Errorf("asked for %s beyond the bound", r.URL.Path)
		return false
	})
	go func() { done <- f.fetch(ctx) }()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want the context's", err)
	}
	inFlight.Release(maxInFlight)
	w.server.Before(func(http.ResponseWriter, *http.Request) bool { return false })
	if got, err := w.fetch(t, inGate("ci", ci)); err != nil || len(got) != 1 {
		t.Errorf("once there is room: %+v, %v", got, err)
	}
}

func TestFetchReportsTooLarge(t *testing.T) {
	w := newFixture(t, registrytest.WithReferrers)
	w.claim(t, digestB, 11<<20, "")
	got, err := w.fetch(t, inGate("ci", newKey(t)))
	var bound *BoundError
	if len(got) != 0 || !errors.As(err, &bound) || !errors.Is(err, registry.ErrTooLarge) {
		t.Fatalf("evidence %+v, error %v", got, err)
	}
	if want := "an attestation of 11 MiB is over the bound of 10 MiB and wasn't read"; !strings.Contains(err.Error(), want) {
		t.Errorf("error %q, want %q", err, want)
	}
}

func TestFetchLimitsEachKindSeparately(t *testing.T) {
	annotated := func(predicateType string) map[string]string {
		return map[string]string{predicateTypeAnnotation: predicateType}
	}
	for name, junk := range map[string]registry.Descriptor{
		"said to be proof":        {ArtifactType: bundleType, Annotations: annotated(gate.PredicateSoak)},
		"saying nothing":          {ArtifactType: bundleType},
		"by its config alone":     {},
		"said to be of no matter": {ArtifactType: bundleType, Annotations: annotated("https://example.com/x")},
	} {
		for sort, proof := range map[string]registry.Descriptor{
			"annotated": {ArtifactType: bundleType, Annotations: annotated(gate.PredicateSoak)},
			"plain":     {ArtifactType: bundleType},
			"config":    {},
			"misnamed":  {ArtifactType: bundleType, Annotations: annotated("https://example.com/x")},
		} {
			if rank(junk) == rank(proof) {
				continue
			}
			var listed []registry.Descriptor
			for i := range 2 * maxBundles {
				junk.Digest = contentDigest(fmt.Sprint(i))
				listed = append(listed, junk)
			}
			proof.Digest = digestA
			f := &fetcher{}
			for i, d := range f.order(append(listed, proof))[:maxBundles] {
				if d.Digest == digestA {
					break
				}
				if i == maxBundles-1 {
					t.Errorf("%s proof is kept out by junk %s", sort, name)
				}
			}
		}
	}
}

func TestFetchReportsNoResult(t *testing.T) {
	w := newFixture(t, registrytest.WithReferrers)
	ci := newKey(t)
	var nothing *NothingReadError
	if _, err := w.fetch(t, inGate("ci", ci)); err != nil {
		t.Errorf("that there is nothing is no error, got %v", err)
	}
	soak := w.attest(t, ci, gate.PredicateSoak, map[string]any{})
	failing(w, "/manifests/"+soak.Digest)
	if _, err := w.fetch(t, inGate("ci", ci)); !errors.As(err, &nothing) {
		t.Errorf("the only attestation can't be read: %v", err)
	}
	failing(w, "/referrers/")
	if _, err := w.fetch(t, inGate("ci", ci)); !errors.As(err, &nothing) {
		t.Errorf("the list can't be read: %v", err)
	}
}

// TestFetchReturnsWhatWasReadUntilItsContextEnds: an answer that doesn't come keeps no
// other proof from counting.
func TestFetchReturnsWhatWasReadUntilItsContextEnds(t *testing.T) {
	w := newFixture(t, registrytest.WithReferrers)
	ci, observer := newKey(t), newKey(t)
	signature := w.attest(t, ci, gate.PredicateSignature, map[string]any{})
	soak := w.attest(t, observer, gate.PredicateSoak, map[string]any{})
	manifest, err := w.client.Manifest(t.Context(), w.repository, soak.Digest)
	check(t, err)
	ended := make(chan struct{})
	t.Cleanup(func() { close(ended) })
	w.server.Before(func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/blobs/"+manifest.Layers[0].Digest) {
			<-ended
		}
		return false
	})
	for deadline := time.Now().Add(20 * time.Second); ; {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		got, err := w.store.Fetch(ctx, w.query(inGate("ci", ci), inGate("observer", observer)))
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("error %v, want the context's", err)
		}
		if len(got) == 1 && got[0].Source == signature.Digest {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("evidence %+v, want the signature", got)
		}
	}
}

// panicking panics on requests to a path.
type panicking struct{ path string }

func (p panicking) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.Contains(r.URL.Path, p.path) {
		panic("an unexpected header")
	}
	return http.DefaultTransport.RoundTrip(r)
}

func TestFetchReturnsPanicAsError(t *testing.T) {
	w := newFixture(t, registrytest.WithReferrers)
	ci := newKey(t)
	signature := w.attest(t, ci, gate.PredicateSignature, map[string]any{})
	soak := w.attest(t, ci, gate.PredicateSoak, map[string]any{})
	for path, want := range map[string]int{
		"/v2/":                           0,
		"/referrers/":                    0,
		"/manifests/":                    0,
		"/blobs/":                        0,
		"/manifests/" + soak.Digest:      1,
		"/manifests/" + digestA:          2,
		"/manifests/" + signature.Digest: 1,
	} {
		store := NewStore(registry.NewClientOver(panicking{path}), NewTrust(TrustOptions{}))
		var group sync.WaitGroup
		for range 2 { // the second one too, whose session is the first one's
			group.Go(func() {
				got, err := store.Fetch(t.Context(), w.query(inGate("ci", ci)))
				var caught *panics.Error
				if len(got) != want || (want < 2) != (err != nil) || want == 1 && !errors.As(err, &caught) {
					t.Errorf("a panic at %s: evidence %+v, error %v; want %d", path, got, err, want)
				}
			})
		}
		group.Wait()
	}
}

func TestVerifyTriesHintedKeyFirst(t *testing.T) {
	signer, other := newKey(t), newKey(t)
	bundle := signed(t, signer, about(gate.PredicateSignature, "{}", digestA))
	for name, hint := range map[string]any{
		"its own":   string(signer.keypair.GetHint()),
		"another's": string(other.keypair.GetHint()),
		"no one's":  "x",
		"empty":     "",
	} {
		hinting := edit(t, bundle, func(d map[string]any) {
			d["verificationMaterial"].(map[string]any)["publicKey"] = map[string]any{"hint": hint}
		})
		got, err := verifier(t, inGate("other", other), inGate("ci", signer)).Verify(hinting, digestA)
		if err != nil || len(got) != 1 || got[0].Signer != "ci" {
			t.Errorf("with the hint %s: %+v, %v", name, got, err)
		}
	}
}
