package registry_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/envladder/envladder/internal/registry"
	"github.com/envladder/envladder/internal/registry/registrytest"
)

func TestPushConcurrentlyWithReferrersTag(t *testing.T) {
	server := registrytest.Start(t, registrytest.WithoutReferrers)
	repository := server.Name("shop/web")
	digest := server.Image(t, "shop/web")
	const pushers = 6
	var group sync.WaitGroup
	for i := range pushers {
		group.Go(func() {
			client := registry.NewClient() // each in a process of its own
			subject, err := client.Manifest(t.Context(), repository, digest)
			if err == nil {
				_, err = client.Push(t.Context(), repository, subject.Descriptor, registry.Artifact{Type: artifactType, Content: fmt.Append(nil, i)})
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if listed, err := registry.NewClient().Referrers(t.Context(), repository, digest); err != nil || len(listed) != pushers {
		t.Errorf("%d are listed, %v; want %d", len(listed), err, pushers)
	}
}

// TestPushRepeatsLateOverwrittenTag: the second pusher has read the
// list before the first one wrote it, and writes it after that one has read it back.
func TestPushRepeatsLateOverwrittenTag(t *testing.T) {
	server := registrytest.Start(t, registrytest.WithoutReferrers)
	repository := server.Name("shop/web")
	digest := server.Image(t, "shop/web")
	tag := "/manifests/" + strings.Replace(digest, ":", "-", 1)
	const slow = "slow"
	held, readBack := make(chan struct{}), make(chan struct{})
	var holding, written, reads atomic.Bool
	server.Before(func(_ http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, tag) {
			return false
		}
		isSlow := r.Header.Get("X-Pusher") == slow
		switch {
		case isSlow && r.Method == http.MethodPut && holding.CompareAndSwap(false, true):
			close(held) // it has read the list, and writes it only when it is told
			<-readBack
		case !isSlow && r.Method == http.MethodPut:
			written.Store(true)
		case !isSlow && written.Load() && reads.CompareAndSwap(false, true):
			// The first one reads back: what it finds is what was there before now.
			defer close(readBack)
		}
		return false
	})
	var group sync.WaitGroup
	group.Go(func() { push(t, registry.NewClientOver(as(slow)), repository, digest, slow) })
	<-held
	push(t, registry.NewClientOver(as("first")), repository, digest, "first")
	group.Wait()
	if listed, err := registry.NewClient().Referrers(t.Context(), repository, digest); err != nil || len(listed) != 2 {
		t.Errorf("%d are listed, %v; want both", len(listed), err)
	}
}

// as tells the registry who asks.
type as string

// RoundTrip implements http.RoundTripper.
func (name as) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("X-Pusher", string(name))
	return http.DefaultTransport.RoundTrip(r)
}

func TestPushReportsImmutableTag(t *testing.T) {
	server := registrytest.Start(t, registrytest.WithoutReferrers)
	client := registry.NewClient()
	repository := server.Name("shop/web")
	digest := server.Image(t, "shop/web")
	tag := "/manifests/" + strings.Replace(digest, ":", "-", 1)
	var puts atomic.Int32
	server.Before(func(w http.ResponseWriter, r *http.Request) bool {
		immutable := strings.HasPrefix(r.URL.Path, "/v2/shop/web/") && strings.HasSuffix(r.URL.Path, tag)
		if r.Method != http.MethodPut || !immutable || puts.Add(1) == 1 {
			return false
		}
		w.WriteHeader(http.StatusBadRequest)
		_, _ = fmt.Fprint(w, `{"errors":[{"code":"TAG_INVALID","message":"tags are immutable"}]}`)
		return true
	})
	push(t, client, repository, digest, "first")
	subject, err := client.Manifest(t.Context(), repository, digest)
	if err != nil {
		t.Fatal(err)
	}
	second := registry.Artifact{Type: artifactType, Content: []byte("second")}
	if _, err := client.Push(t.Context(), repository, subject.Descriptor, second); err == nil || !strings.Contains(err.Error(), "--evidence") {
		t.Errorf("error %v, want one with advice", err)
	}
	// In a repository of their own, attestations refer to an image that isn't there.
	for _, content := range []string{"one", "two"} {
		if _, err := client.Push(t.Context(), server.Name("shop/evidence"), subject.Descriptor, registry.Artifact{Type: artifactType, Content: []byte(content)}); err != nil {
			t.Fatal(err)
		}
	}
	if listed, err := client.Referrers(t.Context(), server.Name("shop/evidence"), digest); err != nil || len(listed) != 2 {
		t.Errorf("Referrers = %+v, %v; want both", listed, err)
	}
}
