package bed_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"

	"github.com/envladder/envladder/test/bed"
)

// shared is a bed with all parts. Tests use their own namespaces and names.
var shared *bed.Bed

func TestMain(m *testing.M) {
	if os.Getenv(helperVariable) != "" {
		helper()
		return
	}
	os.Exit(bed.Main(m, bed.Parts{
		Clusters: []bed.ClusterOptions{{Name: bed.Staging}, {Name: bed.Prod}},
		ArgoCD:   "v3",
		Gitea:    true,
		Registries: []bed.RegistryOptions{
			{Name: "main", Referrers: true},
			{Name: "plain"},
			{Name: "tls", Referrers: true, TLS: true},
			{Name: "plain-tls", TLS: true},
		},
	}, func(b *bed.Bed) { shared = b }))
}

const digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// deployment returns a Deployment.
func deployment(name, image, annotations string) string {
	return fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s}
spec:
  replicas: 2
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}, annotations: {%[3]s}}
    spec:
      initContainers: [{name: migrate, image: %[2]q}]
      containers: [{name: web, image: %[2]q}]
`, name, image, annotations)
}

// createNamespace creates a namespace.
func createNamespace(t *testing.T, c *bed.Cluster, name string) {
	t.Helper()
	if err := c.Namespace(t.Context(), name); err != nil {
		t.Fatal(err)
	}
}

func TestKwokSetsImageID(t *testing.T) {
	t.Parallel()
	c := shared.Cluster(bed.Prod)
	createNamespace(t, c, "ready")
	other := strings.Replace(digest, "0123", "4567", 1)
	for name, tt := range map[string]struct{ image, annotations, want string }{
		"digest":         {"127.0.0.1:5000/team/web@" + digest, "", "127.0.0.1:5000/team/web@" + digest},
		"tag-and-digest": {"127.0.0.1:5000/team/web:v1@" + digest, "", "127.0.0.1:5000/team/web@" + digest},
		"annotation": {
			"registry.example.com/team/web:v1", bed.AnnotationDigest + "web: " + other,
			"registry.example.com/team/web@" + other,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := c.Apply(t.Context(), "ready", deployment(name, tt.image, tt.annotations)); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Kubectl(t.Context(), "-n", "ready", "rollout", "status", "deployment/"+name, "--timeout=30s"); err != nil {
				t.Fatal(err)
			}
			for _, pod := range pods(t, c, "ready", name) {
				if got := pod.Status.ContainerStatuses[0].ImageID; got != tt.want {
					t.Errorf("imageID is %q, want %q", got, tt.want)
				}
				if !pod.Status.InitContainerStatuses[0].Ready {
					t.Error("the init container isn't done")
				}
			}
		})
	}
}

// pods returns the pods of app, at least one.
func pods(t *testing.T, c *bed.Cluster, namespace, app string) []corev1.Pod {
	t.Helper()
	list, err := c.Client().CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "app=" + app})
	if err != nil {
		t.Fatal(err)
	}
	if len(list.Items) == 0 {
		t.Fatalf("no pods of %q", app)
	}
	return list.Items
}

// awaitPod waits until a pod of app satisfies check, and returns it.
func awaitPod(t *testing.T, c *bed.Cluster, namespace, app string, check func(corev1.Pod) bool) corev1.Pod {
	t.Helper()
	var found corev1.Pod
	err := bed.Poll(t.Context(), 20*time.Second, func(ctx context.Context) error {
		list, err := c.Client().CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: "app=" + app})
		if err != nil {
			return err
		}
		for _, pod := range list.Items {
			if len(pod.Status.ContainerStatuses) > 0 && check(pod) {
				found = pod
				return nil
			}
		}
		return fmt.Errorf("none of %d pods satisfies the check", len(list.Items))
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestAnnotationHoldKeepsPodsUnready(t *testing.T) {
	t.Parallel()
	c := shared.Cluster(bed.Prod)
	createNamespace(t, c, "held")
	for _, why := range []string{"CrashLoopBackOff", "ImagePullBackOff", "NotReady"} {
		t.Run(why, func(t *testing.T) {
			t.Parallel()
			app := strings.ToLower(why)
			if err := c.Apply(t.Context(), "held", deployment(app, "a.example/web@"+digest, bed.AnnotationHold+": "+why)); err != nil {
				t.Fatal(err)
			}
			pod := awaitPod(t, c, "held", app, func(corev1.Pod) bool { return true })
			status := pod.Status.ContainerStatuses[0]
			if status.Ready {
				t.Error("the container is ready")
			}
			if waiting := status.State.Waiting; why != "NotReady" && (waiting == nil || waiting.Reason != why) {
				t.Errorf("state is %+v, want waiting for %s", status.State, why)
			}
		})
	}
}

func TestPodStatusCanBeChanged(t *testing.T) {
	t.Parallel()
	c, ctx := shared.Cluster(bed.Prod), t.Context()
	createNamespace(t, c, "changed")
	if err := c.Apply(ctx, "changed", deployment("web", "a.example/web@"+digest, "")); err != nil {
		t.Fatal(err)
	}
	pod := awaitPod(t, c, "changed", "web", func(p corev1.Pod) bool { return p.Status.ContainerStatuses[0].Ready })
	if err := c.RestartContainer(ctx, "changed", pod.Name, "web"); err != nil {
		t.Fatal(err)
	}
	if err := c.SetPodReady(ctx, "changed", pod.Name, false); err != nil {
		t.Fatal(err)
	}
	awaitPod(t, c, "changed", "web", func(p corev1.Pod) bool {
		status := p.Status.ContainerStatuses[0]
		return p.Name == pod.Name && !status.Ready && status.RestartCount == 1 && status.ImageID != ""
	})
	if err := c.RestartContainer(ctx, "changed", pod.Name, "missing"); err == nil {
		t.Error("no error for a missing container")
	}
}

func TestJobCompletes(t *testing.T) {
	t.Parallel()
	c := shared.Cluster(bed.Staging)
	createNamespace(t, c, "jobs")
	if _, err := c.Kubectl(t.Context(), "-n", "jobs", "create", "job", "once", "--image=a.example/once:v1"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Kubectl(t.Context(), "-n", "jobs", "wait", "--for=condition=Complete", "job/once", "--timeout=30s"); err != nil {
		t.Fatal(err)
	}
}

func TestClusterEnforcesRBAC(t *testing.T) {
	t.Parallel()
	c, ctx := shared.Cluster(bed.Prod), t.Context()
	createNamespace(t, c, "rbac")
	err := c.Apply(ctx, "rbac", `
apiVersion: v1
kind: ServiceAccount
metadata: {name: reader}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: readers}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects:
- {kind: ServiceAccount, name: reader, namespace: rbac}
- {kind: Group, name: readers, apiGroup: rbac.authorization.k8s.io}
`)
	if err != nil {
		t.Fatal(err)
	}
	account, err := c.ServiceAccountKubeconfig(ctx, "rbac", "reader")
	if err != nil {
		t.Fatal(err)
	}
	member, err := c.UserKubeconfig("ana@example.com", "readers")
	if err != nil {
		t.Fatal(err)
	}
	unbound, err := c.UserKubeconfig("eve@example.com")
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		kubeconfig string
		mayRead    bool
	}{
		"a bound ServiceAccount":    {account, true},
		"a member of a bound group": {member, true},
		"a user without a binding":  {unbound, false},
	} {
		t.Run(name, func(t *testing.T) {
			client := clientFor(t, tt.kubeconfig)
			_, err := client.CoreV1().Pods("rbac").List(ctx, metav1.ListOptions{})
			if tt.mayRead && err != nil {
				t.Errorf("listing pods: %v", err)
			}
			if !tt.mayRead && !apierrors.IsForbidden(err) {
				t.Errorf("listing pods: %v, want forbidden", err)
			}
			_, err = client.CoreV1().Secrets("rbac").List(ctx, metav1.ListOptions{})
			if !apierrors.IsForbidden(err) {
				t.Errorf("listing secrets: %v, want forbidden", err)
			}
		})
	}
}

// clientFor returns a client for a kubeconfig.
func clientFor(t *testing.T, kubeconfig string) kubernetes.Interface {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func TestReportIncludesEveryProcess(t *testing.T) {
	report := shared.Report()
	data, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", data)
	if len(report.Processes) < 15 || len(report.Parts) < 7 || report.Seconds == 0 {
		t.Errorf("incomplete report: %s", data)
	}
	for _, p := range report.Processes {
		if p.MemoryMiB == 0 {
			t.Errorf("%s has no memory", p.Name)
		}
	}
}

func TestPodStatusFixturesAreCompletePods(t *testing.T) {
	files, err := filepath.Glob("testdata/podstatus/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no fixtures: %v", err)
	}
	readme, err := os.ReadFile("testdata/podstatus/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !strings.Contains(string(readme), "| `"+filepath.Base(file)+"` |") {
			t.Errorf("%s: the README doesn't name its source", file)
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var pod corev1.Pod
		if err := yaml.UnmarshalStrict(data, &pod); err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		if len(pod.Status.ContainerStatuses) != len(pod.Spec.Containers) {
			t.Errorf("%s: %d statuses for %d containers", file, len(pod.Status.ContainerStatuses), len(pod.Spec.Containers))
		}
	}
}

// smallParts returns parts that start quickly and have every kind of teardown.
func smallParts() bed.Parts {
	return bed.Parts{
		Clusters:   []bed.ClusterOptions{{Name: "small", APIServerOnly: true}},
		Registries: []bed.RegistryOptions{{Name: "main", Referrers: true}},
	}
}

// awaitEnd waits until the processes have ended.
func awaitEnd(t *testing.T, pids []int) {
	t.Helper()
	err := bed.Poll(t.Context(), 10*time.Second, func(context.Context) error {
		for _, pid := range pids {
			if !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
				return fmt.Errorf("process %d still runs", pid)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// pids returns the process ids in a report.
func pids(r bed.Report) (pids []int) {
	for _, p := range r.Processes {
		pids = append(pids, p.PID)
	}
	return pids
}

func TestDownRemovesProcessesAndFolder(t *testing.T) {
	t.Parallel()
	b, err := bed.Up(t.Context(), bed.Options{Parts: smallParts()})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Down(); err != nil {
		t.Error(err)
	}
	awaitEnd(t, pids(b.Report()))
	if _, err := os.Stat(b.Dir); !os.IsNotExist(err) {
		t.Errorf("the folder still exists: %v", err)
	}
	if err := b.Down(); err != nil {
		t.Errorf("second Down: %v", err)
	}
	if _, err := b.Run(t.Context(), bed.Process{Name: "late", Path: "/bin/sleep", Args: []string{"60"}}); err == nil {
		t.Error("a stopped bed started a process")
	}
}

func TestUpCanceledLeavesNothing(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer cancel()
		_ = bed.Poll(ctx, time.Minute, func(context.Context) error {
			logs, err := filepath.Glob(filepath.Join(temp, "*", "logs", "small-etcd.log"))
			if err == nil && len(logs) == 0 {
				err = errors.New("etcd hasn't been started")
			}
			return err
		})
	}()
	_, err := bed.Up(ctx, bed.Options{Parts: smallParts()})
	if !errors.Is(err, context.Canceled) || err.Error() != "starting the bed: context canceled" {
		t.Errorf("got %v, want only that the start was canceled", err)
	}
	left, err := filepath.Glob(filepath.Join(temp, "envladder-bed-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("folders left: %v (%v)", left, err)
	}
}

func TestChildrenEndWithParent(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		how      string
		end      syscall.Signal
		cleansUp bool
	}{
		"killed":      {"wait", syscall.SIGKILL, false},
		"interrupted": {"wait", syscall.SIGINT, true},
		"terminated":  {"wait", syscall.SIGTERM, true},
		"panicking":   {"panic", 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			report, cmd := startHelper(t, tt.how)
			if tt.end != 0 {
				if err := cmd.Process.Signal(tt.end); err != nil {
					t.Fatal(err)
				}
			}
			_ = cmd.Wait()
			awaitEnd(t, report.PIDs)
			_, err := os.Stat(report.Dir)
			if tt.cleansUp && !os.IsNotExist(err) {
				t.Errorf("the folder still exists: %v", err)
			}
			_ = os.RemoveAll(report.Dir)
		})
	}
}

const helperVariable = "ENVLADDER_BED_TEST_HELPER"

type helperReport struct {
	Dir  string
	PIDs []int
}

// helper runs a bed in another process.
func helper() {
	m := &testing.M{}
	bed.Main(m, smallParts(), func(b *bed.Bed) {
		_ = json.NewEncoder(os.Stdout).Encode(helperReport{b.Dir, pids(b.Report())})
		if os.Getenv(helperVariable) == "panic" {
			done := make(chan struct{})
			go func() { panic("as a test may") }()
			<-done
		}
		select {}
	})
}

// startHelper starts helper in another process and returns its report.
func startHelper(t *testing.T, how string) (helperReport, *exec.Cmd) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), helperVariable+"="+how)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		t.Fatalf("no report from the helper: %v", err)
	}
	var report helperReport
	if err := json.Unmarshal(line, &report); err != nil || len(report.PIDs) == 0 {
		t.Fatalf("unexpected report from the helper %q: %v", line, err)
	}
	return report, cmd
}
