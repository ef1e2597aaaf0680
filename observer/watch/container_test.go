package watch

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/envladder/envladder/internal/digests"
)

const (
	indexDigest    = "sha256:e9d7eb8d329455cdafcac2391cb91b8dc9153ab22ae7cb8cd7b9038566747c16"
	manifestDigest = "sha256:abef9895339391946908c26a4d4c52df1e9933bbb12732b62e13c7e75ed25aa3"
	configDigest   = "sha256:ac5e75935a5d3184f66a62de72d4223eb4622b2e694d6197a846909669441d1b"
	shopWeb        = "registry.example.com/shop/web"
)

// podStatuses is the test bed's folder of statuses that its simulated runtime doesn't
// produce.
var podStatuses = filepath.Join("..", "..", "test", "bed", "testdata", "podstatus")

// recorded returns a pod with a status that a runtime reported.
func recorded(t testing.TB, name string) *corev1.Pod {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(podStatuses, name+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	p := &corev1.Pod{}
	if err := yaml.Unmarshal(raw, p); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestNewPodImageID(t *testing.T) {
	names := map[string]bool{indexDigest: true, manifestDigest: true, configDigest: true}
	for name, want := range map[string]ImageID{
		"containerd-index":            {Digest: indexDigest},
		"containerd-manifest":         {Digest: manifestDigest},
		"containerd-other-repository": {Digest: indexDigest},
		"containerd-loaded":           {Digest: configDigest, Bare: true},
		"containerd-restarted":        {Digest: indexDigest},
		"crio":                        {Digest: manifestDigest},
		"crio-storage-id":             {},
		"docker-pulled":               {Digest: indexDigest},
		"docker-config":               {Digest: configDigest, Bare: true},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPod(recorded(t, name))
			c := p.Container("web")
			if c == nil || c.ImageID != want || !p.Ready || !c.Probed {
				t.Errorf("read %+v, want %+v", c, want)
			}
			known := &Catalog{images: map[string]*imageDigests{shopWeb + "@" + indexDigest: {digests: names}}}
			if known.Contradicts(shopWeb, indexDigest, c.ImageID) {
				t.Error("it contradicts the digest")
			}
		})
	}
}

func TestNewPodNotRunning(t *testing.T) {
	for name, want := range map[string]struct {
		runs     ImageID
		restarts int32
	}{
		"containerd-crash-loop":  {ImageID{Digest: indexDigest}, 7},
		"containerd-pull-failed": {ImageID{}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPod(recorded(t, name))
			c := p.Container("web")
			if c == nil || c.ImageID != want.runs || c.Restarts != want.restarts || p.Ready {
				t.Errorf("read %+v (ready: %v), want %+v (not ready)", c, p.Ready, want)
			}
		})
	}
}

func TestLongRunningContainers(t *testing.T) {
	var names []string
	for _, c := range longRunningContainers(&recorded(t, "containerd-sidecars").Spec) {
		names = append(names, c.Name)
	}
	if diff := cmp.Diff([]string{"proxy", "web"}, names); diff != "" {
		t.Errorf("containers (-want +got):\n%s", diff)
	}
}

// FuzzParseImageID checks that a digest is read whole and from the end, that a scheme
// changes nothing, and that a digest is bare exactly where no repository precedes it.
func FuzzParseImageID(f *testing.F) {
	files, err := filepath.Glob(filepath.Join(podStatuses, "*.yaml"))
	if err != nil || len(files) == 0 {
		f.Fatalf("no recorded pods: %v", err)
	}
	for _, file := range files {
		for _, s := range recorded(f, strings.TrimSuffix(filepath.Base(file), ".yaml")).Status.ContainerStatuses {
			f.Add(s.ImageID)
		}
	}
	for _, seed := range []string{"", "@", "://", "a@b@c", "sha256:", "@" + configDigest, "a://b://" + configDigest, strings.Repeat("x", maxImageID+1)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id := parseImageID(s)
		if id.Digest == "" {
			if id.Bare {
				t.Errorf("%q: bare without a digest", s)
			}
			return
		}
		before, whole := strings.CutSuffix(s, id.Digest)
		if !whole || !digests.Valid(id.Digest) {
			t.Fatalf("%q is read as %+v", s, id)
		}
		_, rest, schemed := strings.Cut(before, "://")
		if !schemed {
			rest = before
			if again := parseImageID("docker-pullable://" + s); len(s) < maxImageID/2 && again != id {
				t.Errorf("%q is read as %+v, with a scheme as %+v", s, id, again)
			}
		}
		if named := len(rest) > len("@"); id.Bare == named {
			t.Errorf("%q is read as %+v", s, id)
		}
	})
}
