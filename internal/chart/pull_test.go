package chart_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/envladder/envladder/internal/chart"
	"github.com/envladder/envladder/internal/chart/charttest"
	"github.com/envladder/envladder/internal/registry"
	"github.com/envladder/envladder/internal/registry/registrytest"
)

const chartLayer = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"

// pushed is a registry with a packaged chart: its address and its bytes.
func pushed(t *testing.T, mediaType string) (server *registrytest.Server, address string, data []byte) {
	t.Helper()
	data = pack(t, charttest.Files("c/Chart.yaml", charttest.ChartYAML, "c/values.yaml", "name: pulled", "c/templates/pod.yaml", charttest.PodYAML), "c", "small")
	server = registrytest.Start(t, registrytest.WithoutReferrers)
	digest := server.Attach(t, "charts/small", server.Image(t, "charts/small"), mediaType, data, nil)
	return server, "oci://" + server.Name("charts/small") + "@" + digest, data
}

func TestPulledChartRendersLikePackage(t *testing.T) {
	_, address, data := pushed(t, chartLayer)
	got, err := chart.NewPuller(registry.NewClient(), "", 0).Pull(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(chart.Packaged(address, data), got); diff != "" {
		t.Error(diff)
	}
	loaded, err := got.Load()
	if err != nil {
		t.Fatal(err)
	}
	if text := printed(t, render(t, loaded, nil, here)); !strings.Contains(text, "name: pulled") {
		t.Error(text)
	}
}

func TestPullQueriesOnlyListedRegistries(t *testing.T) {
	server, address, _ := pushed(t, chartLayer)
	host, _, _ := strings.Cut(server.Name("charts/small"), "/")
	dir := filepath.Join(t.TempDir(), "charts")
	listed := chart.NewPuller(registry.NewClient(), dir, 1<<20)
	listed.AllowHosts([]string{"registry.example.com", host})
	if _, err := listed.Pull(t.Context(), address); err != nil {
		t.Error(err)
	}
	for _, hosts := range [][]string{nil, {"registry.example.com"}, {strings.TrimSuffix(host, host[len(host)-1:])}} {
		other := chart.NewPuller(registry.NewClient(), dir, 1<<20)
		other.AllowHosts(hosts)
		if _, err := other.Pull(t.Context(), address); err == nil || !strings.Contains(err.Error(), "--chart-registries") {
			t.Errorf("hosts %q: error %v", hosts, err)
		}
	}
}

func TestPulledChartIsCached(t *testing.T) {
	server, address, data := pushed(t, chartLayer)
	dir := filepath.Join(t.TempDir(), "charts")
	for range 2 {
		got, err := chart.NewPuller(registry.NewClient(), dir, 1<<20).Pull(t.Context(), address)
		if err != nil || string(got.Package) != string(data) {
			t.Fatalf("%v", err)
		}
		server.Stop() // the second pull must not need the server
	}
	t.Run("but not believed when it was changed", func(t *testing.T) {
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) != 2 {
			t.Fatalf("%v, %v", entries, err)
		}
		for _, entry := range entries {
			if strings.HasSuffix(entry.Name(), ".tgz") {
				write(t, dir, entry.Name(), string(data)+"x")
			}
		}
		if _, err := chart.NewPuller(registry.NewClient(), dir, 1<<20).Pull(t.Context(), address); err == nil {
			t.Error("no error")
		}
	})
}

func TestPullCacheIsBounded(t *testing.T) {
	server, first, data := pushed(t, chartLayer)
	dir := t.TempDir()
	puller := chart.NewPuller(registry.NewClient(), dir, int64(len(data))+100)
	pull := func(address string) {
		t.Helper()
		if _, err := puller.Pull(t.Context(), address); err != nil {
			t.Fatal(err)
		}
	}
	pull(first)
	for _, entry := range must(os.ReadDir(dir)) { // it was long ago
		old := time.Now().Add(-time.Hour)
		if err := os.Chtimes(filepath.Join(dir, entry.Name()), old, old); err != nil {
			t.Fatal(err)
		}
	}
	other := pack(t, charttest.Files("c/Chart.yaml", charttest.ChartYAML, "c/templates/pod.yaml", charttest.PodYAML), "c", "small")
	second := "oci://" + server.Name("charts/small") + "@" + server.Attach(t, "charts/small", server.Image(t, "charts/small"), chartLayer, other, nil)
	pull(second)
	server.Stop()
	pull(second)
	if _, err := puller.Pull(t.Context(), first); err == nil {
		t.Error("the first is kept beyond the bound")
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func TestPullRejects(t *testing.T) {
	server, address, _ := pushed(t, "application/octet-stream")
	for name, tt := range map[string]struct{ address, want string }{
		"what is no chart":      {address, "it isn't a chart: its manifest has no layer of type"},
		"a tag":                 {"oci://" + server.Name("charts/small") + ":1.0.0", "want oci://HOST/REPOSITORY@sha256:…"},
		"another address":       {"https://example.com/c@sha256:" + strings.Repeat("a", 64), "want oci://"},
		"what isn't there":      {"oci://" + server.Name("charts/small") + "@sha256:" + strings.Repeat("a", 64), "not found"},
		"a registry that's off": {"oci://127.0.0.1:1/charts/c@sha256:" + strings.Repeat("a", 64), "refused"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			_, err := chart.NewPuller(registry.NewClient(), "", 0).Pull(ctx, tt.address)
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "loading chart") {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

func TestPullIsSharedAndStopsWithContext(t *testing.T) {
	server, address, _ := pushed(t, chartLayer)
	var asked atomic.Int32
	held := make(chan struct{})
	server.Before(func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/manifests/") {
			asked.Add(1)
			<-held
		}
		return false
	})
	puller := chart.NewPuller(registry.NewClient(), "", 0)
	hurried, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := puller.Pull(hurried, address); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	var group sync.WaitGroup
	for range 5 {
		group.Go(func() {
			if _, err := puller.Pull(t.Context(), address); err != nil {
				t.Error(err)
			}
		})
	}
	close(held)
	group.Wait()
	if n := asked.Load(); n > 2 { // some may come when the first is done
		t.Errorf("the registry was asked %d times", n)
	}
}
