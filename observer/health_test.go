package observer

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/digests"
	"github.com/envladder/envladder/internal/registry"
	"github.com/envladder/envladder/internal/registry/registrytest"
)

const (
	indexDigest    = "sha256:e9d7eb8d329455cdafcac2391cb91b8dc9153ab22ae7cb8cd7b9038566747c16"
	manifestDigest = "sha256:abef9895339391946908c26a4d4c52df1e9933bbb12732b62e13c7e75ed25aa3"
	configDigest   = "sha256:ac5e75935a5d3184f66a62de72d4223eb4622b2e694d6197a846909669441d1b"
	shopWeb        = "registry.example.com/shop/web"
)

// podStatuses is the test bed's folder of what its simulated runtime can't show.
var podStatuses = filepath.Join("..", "test", "bed", "testdata", "podstatus")

// recorded is a pod's status as a runtime reports it.
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

func TestWhatRuntimesReport(t *testing.T) {
	names := map[string]bool{indexDigest: true, manifestDigest: true, configDigest: true}
	for name, want := range map[string]imageID{
		"containerd-index":            {digest: indexDigest},
		"containerd-manifest":         {digest: manifestDigest},
		"containerd-other-repository": {digest: indexDigest},
		"containerd-loaded":           {digest: configDigest, bare: true},
		"containerd-restarted":        {digest: indexDigest},
		"crio":                        {digest: manifestDigest},
		"crio-storage-id":             {},
		"docker-pulled":               {digest: indexDigest},
		"docker-config":               {digest: configDigest, bare: true},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPod(recorded(t, name))
			c := p.container("web")
			if c == nil || c.runs != want || !p.ready || !c.probed {
				t.Errorf("read %+v, want %+v", c, want)
			}
			known := &catalog{known: map[string]*entry{shopWeb + "@" + indexDigest: {names: names}}}
			if known.contradicts(shopWeb, indexDigest, c.runs) {
				t.Error("it is taken for another image")
			}
		})
	}
}

func TestWhatRuntimesReportOfWhatDoesNotRun(t *testing.T) {
	for name, want := range map[string]struct {
		runs     imageID
		restarts int32
	}{
		"containerd-crash-loop":  {imageID{digest: indexDigest}, 7},
		"containerd-pull-failed": {imageID{}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPod(recorded(t, name))
			c := p.container("web")
			if c == nil || c.runs != want.runs || c.restarts != want.restarts || p.ready {
				t.Errorf("read %+v of a pod that is ready: %v, want %+v of one that isn't", c, p.ready, want)
			}
		})
	}
}

func TestContainersThatKeepRunning(t *testing.T) {
	var names []string
	for _, c := range containersOf(&recorded(t, "containerd-sidecars").Spec) {
		names = append(names, c.name)
	}
	if diff := cmp.Diff([]string{"proxy", "web"}, names); diff != "" {
		t.Errorf("containers (-want +got):\n%s", diff)
	}
}

func TestTheCatalogProvesByTheRegistry(t *testing.T) {
	server := registrytest.Start(t, registrytest.WithReferrers)
	index, children := server.Index(t, "shop/web", "linux/amd64", "linux/arm64")
	other := server.Image(t, "shop/web")
	manifest, err := registry.NewClient().Manifest(t.Context(), server.Name("shop/web"), children[1])
	if err != nil {
		t.Fatal(err)
	}
	c := newCatalog(registry.NewClient(), discard())
	c.contradicts(server.Name("shop/web"), index, imageID{digest: other})
	until(t, "both images are known", func() bool {
		return c.contradicts(server.Name("shop/web"), index, imageID{digest: other})
	})
	for name, test := range map[string]struct {
		digest string
		runs   imageID
		want   bool
	}{
		"a child":                          {index, imageID{digest: children[0]}, false},
		"a child's configuration":          {index, imageID{digest: manifest.Config, bare: true}, false},
		"another image's configuration":    {index, imageID{digest: configDigest, bare: true}, true},
		"an image that nobody can look at": {index, imageID{digest: indexDigest}, false},
		"nothing that can be read":         {index, imageID{}, false},
		"the index that the child is of":   {children[1], imageID{digest: index}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := c.contradicts(server.Name("shop/web"), test.digest, test.runs); got != test.want {
				t.Errorf("contradicts: %v, want %v", got, test.want)
			}
		})
	}
}

// stage builds a scene of objects as an API server has them.
func stage(objects ...client.Object) scene {
	w := newWorld("shop")
	for _, o := range objects {
		w.set(o)
	}
	return w.scene
}

func own(o metav1.Object, apiVersion, kind string, owner metav1.Object) {
	yes := true
	o.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: apiVersion, Kind: kind, Name: owner.GetName(), UID: owner.GetUID(), Controller: &yes}})
}

func readyPod(uid string, owner metav1.Object, apiVersion, kind string, spec corev1.PodSpec) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: uid, UID: types.UID(uid)}, Spec: spec}
	own(p, apiVersion, kind, owner)
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	return p
}

func TestHealthOfEachKind(t *testing.T) {
	image := shopWeb + "@" + indexDigest
	tpl := template(image)
	one := int32(1)
	meta := metav1.ObjectMeta{Name: "web", UID: "w", Generation: 2}
	statefulSet := &appsv1.StatefulSet{ObjectMeta: meta, Spec: appsv1.StatefulSetSpec{Template: tpl}, Status: appsv1.StatefulSetStatus{ObservedGeneration: 2, ReadyReplicas: 1}}
	daemonSet := &appsv1.DaemonSet{ObjectMeta: meta, Spec: appsv1.DaemonSetSpec{Template: tpl}, Status: appsv1.DaemonSetStatus{ObservedGeneration: 2, DesiredNumberScheduled: 1, NumberReady: 1}}
	replicaSet := &appsv1.ReplicaSet{ObjectMeta: meta, Spec: appsv1.ReplicaSetSpec{Replicas: &one, Template: tpl}, Status: appsv1.ReplicaSetStatus{ObservedGeneration: 2, ReadyReplicas: 1}}
	controller := &corev1.ReplicationController{ObjectMeta: meta, Spec: corev1.ReplicationControllerSpec{Template: &tpl}, Status: corev1.ReplicationControllerStatus{ObservedGeneration: 2, ReadyReplicas: 1}}
	lagging := statefulSet.DeepCopy()
	lagging.Status.ObservedGeneration = 1
	idle := daemonSet.DeepCopy()
	idle.Status.DesiredNumberScheduled = 0
	rolloutOld := replicaSet.DeepCopy() // an Argo Rollout's, scaled away
	rolloutOld.UID, rolloutOld.Name, rolloutOld.Spec.Replicas = "old", "web-old", new(int32)
	own(rolloutOld, "argoproj.io/v1alpha1", "Rollout", &metav1.ObjectMeta{Name: "web", UID: "r"})
	rolloutNew := replicaSet.DeepCopy()
	own(rolloutNew, "argoproj.io/v1alpha1", "Rollout", &metav1.ObjectMeta{Name: "web", UID: "r"})
	pod := func(apiVersion, kind string) *corev1.Pod {
		return readyPod("p", &meta, apiVersion, kind, *tpl.Spec.DeepCopy())
	}
	another := pod("apps/v1", "StatefulSet")
	another.UID = "q"
	another.Spec.Containers[0].Image = shopWeb + "@" + manifestDigest
	bare := pod("apps/v1", "StatefulSet")
	bare.Spec.Containers[0].ReadinessProbe = nil
	for name, test := range map[string]struct {
		objects []client.Object
		want    v1alpha1.SoakReason
		absent  bool
	}{
		"a StatefulSet":                      {objects: []client.Object{statefulSet, pod("apps/v1", "StatefulSet")}},
		"a DaemonSet":                        {objects: []client.Object{daemonSet, pod("apps/v1", "DaemonSet")}},
		"a ReplicaSet":                       {objects: []client.Object{replicaSet, pod("apps/v1", "ReplicaSet")}},
		"a ReplicationController":            {objects: []client.Object{controller, pod("v1", "ReplicationController")}},
		"a Rollout's, the old one is at 0":   {objects: []client.Object{rolloutOld, rolloutNew, pod("apps/v1", "ReplicaSet")}},
		"of two kinds both must be healthy":  {objects: []client.Object{statefulSet, pod("apps/v1", "StatefulSet"), func() client.Object { d := daemonSet.DeepCopy(); d.UID = "d"; return d }()}, want: v1alpha1.SoakDegraded},
		"its controller lags":                {objects: []client.Object{lagging, pod("apps/v1", "StatefulSet")}, want: v1alpha1.SoakProgressing},
		"no node takes it":                   {objects: []client.Object{idle}, want: v1alpha1.SoakScaledToZero},
		"its pods aren't there":              {objects: []client.Object{statefulSet}, want: v1alpha1.SoakDegraded},
		"a pod runs another digest":          {objects: []client.Object{statefulSet, pod("apps/v1", "StatefulSet"), another}, want: v1alpha1.SoakMixedDigests},
		"a pod has lost its readiness probe": {objects: []client.Object{statefulSet, bare}, want: v1alpha1.SoakNoReadinessProbe},
		"a pod that nobody controls":         {objects: []client.Object{&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", UID: "p"}, Spec: tpl.Spec}}, absent: true},
	} {
		t.Run(name, func(t *testing.T) {
			g := &observedGate{name: "g", spec: &v1alpha1.GateSpec{Images: []v1alpha1.GateImage{{Repository: shopWeb}}}}
			w := newWorld("shop")
			w.scene = stage(test.objects...)
			seen := w.look([]*observedGate{g}, func(string, string, imageID) bool { return false }, &fakeClock{})
			h, ok := seen.subjects[subject{"g", shopWeb, indexDigest}]
			if ok == test.absent || h.Reason != test.want {
				t.Errorf("it is %q (%s), there: %v; want %q", h.Reason, h.Message, ok, test.want)
			}
		})
	}
}

func TestRestartsAreCounted(t *testing.T) {
	tr := newTrack("shop", v1alpha1.SoakSpec{})
	see := func(restarts map[types.UID]int32, o observation) {
		tr.observe(health{Ready: 1, Restarts: restarts}, o, maxInterval)
	}
	see(map[types.UID]int32{"a": 4}, seenAt(0)) // those of before don't count
	see(map[types.UID]int32{"a": 5}, seenAt(1))
	see(map[types.UID]int32{"a": 5, "b": 2}, seenAt(2)) // b came and crashed
	status := v1alpha1.SoakStatus{}
	writePods(tr.pods, &status)
	tr.pods = readPods(&status)
	see(map[types.UID]int32{"b": 3}, seenAt(3))
	if tr.account.Restarts != 4 {
		t.Errorf("%d restarts, want 4", tr.account.Restarts)
	}
}

func TestAChartIsStatedIfItWasOne(t *testing.T) {
	of := func(charts ...string) string {
		tr := newTrack("shop", v1alpha1.SoakSpec{})
		for i, chart := range charts {
			tr.observe(health{Workloads: []*workload{{chartDigest: chart}}}, seenAt(time.Duration(i)*10*time.Second), maxInterval)
		}
		return tr.chart
	}
	if got := of("a", "a"); got != "a" {
		t.Errorf("of one chart: %q", got)
	}
	if got := of("a", "b", "b"); got != "" {
		t.Errorf("of two charts: %q", got)
	}
	if got := of("a", "", "a"); got != "" {
		t.Errorf("of a chart that was unknown for a time: %q", got)
	}
}

func TestTheSealCoversTheObjectAndItsFigures(t *testing.T) {
	s := newSealer([]byte("key"))
	soak := &v1alpha1.Soak{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", UID: "1"}}
	soak.Status.Window = &v1alpha1.SoakWindow{HealthySeconds: 10}
	seal, err := s.seal(soak)
	if err != nil {
		t.Fatal(err)
	}
	soak.Status.Seal = seal
	if !s.verify(soak) {
		t.Fatal("its own seal doesn't verify")
	}
	for name, change := range map[string]func(*v1alpha1.Soak){
		"namespace": func(s *v1alpha1.Soak) { s.Namespace = "other" },
		"name":      func(s *v1alpha1.Soak) { s.Name = "other" },
		"uid":       func(s *v1alpha1.Soak) { s.UID = "2" },
		"spec":      func(s *v1alpha1.Soak) { s.Spec.Environment = "prod" },
		"figures":   func(s *v1alpha1.Soak) { s.Status.Window.HealthySeconds++ },
		"seal":      func(s *v1alpha1.Soak) { s.Status.Seal = "" },
	} {
		edited := soak.DeepCopy()
		change(edited)
		if s.verify(edited) {
			t.Errorf("another %s verifies", name)
		}
	}
	if newSealer([]byte("other key")).verify(soak) {
		t.Error("another key verifies")
	}
}

func TestNames(t *testing.T) {
	spec := v1alpha1.SoakSpec{Gate: "shop-staging", Repository: "registry.example.com/shop/My_web.app", Digest: indexDigest}
	spec.Repository = strings.ToLower(spec.Repository)
	name := soakName(spec)
	if !strings.HasPrefix(name, "my-web-app-e9d7eb8d3294-") {
		t.Errorf("the name is %q", name)
	}
	spec.Target = "eu"
	if soakName(spec) == name {
		t.Error("two targets have one name")
	}
}

// FuzzParseImageID holds that a digest is read whole and from the end, that a scheme
// changes nothing, and that a digest is bare exactly where no repository is before it.
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
		if id.digest == "" {
			if id.bare {
				t.Errorf("%q: no digest is bare", s)
			}
			return
		}
		before, whole := strings.CutSuffix(s, id.digest)
		if !whole || !digests.Valid(id.digest) {
			t.Fatalf("%q is read as %+v", s, id)
		}
		_, rest, schemed := strings.Cut(before, "://")
		if !schemed {
			rest = before
			if again := parseImageID("docker-pullable://" + s); len(s) < maxImageID/2 && again != id {
				t.Errorf("%q is read as %+v, with a scheme as %+v", s, id, again)
			}
		}
		if named := len(rest) > len("@"); id.bare == named {
			t.Errorf("%q is read as %+v", s, id)
		}
	})
}
