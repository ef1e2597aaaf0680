package promote_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/programtest"
	"github.com/envladder/envladder/promote"
	"github.com/envladder/envladder/promote/workloads"
)

var environment = &envtest.Environment{}

// startServer starts a real API server, once for all tests.
var startServer = sync.OnceValues(environment.Start)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := environment.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, "stopping the API server:", err)
	}
	os.Exit(code)
}

func client(t *testing.T) kubernetes.Interface {
	t.Helper()
	programtest.APIServer(t)
	config, err := startServer()
	check(t, err)
	client, err := kubernetes.NewForConfig(config)
	check(t, err)
	return client
}

// stamped returns the metadata of a workload of the shop.
func stamped(name, environment, target string) metav1.ObjectMeta {
	meta := metav1.ObjectMeta{Name: name, Annotations: map[string]string{v1alpha1.AnnotationLadder: "shop", v1alpha1.AnnotationEnvironment: environment}}
	if target != "" {
		meta.Annotations[v1alpha1.AnnotationTarget] = target
	}
	return meta
}

func template(images ...string) corev1.PodTemplateSpec {
	pod := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "x"}}}
	for i, image := range images {
		pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: fmt.Sprintf("c%d", i), Image: image})
	}
	return pod
}

var selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "x"}}

// repo returns the shop's repository as a folder.
func repo(t *testing.T, ladderText string) *ladder.Repository {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"ladder.yaml": ladderText, "chart/Chart.yaml": "apiVersion: v2\nname: shop\nversion: 1.0.0\n", "pins/dev.yaml": pins("b", "b"),
		"pins/staging.yaml": pins("b", "a"), "pins/eu.yaml": pins("a", "a"), "pins/us.yaml": pins("a", "a"),
	} {
		file := filepath.Join(dir, name)
		check(t, os.MkdirAll(filepath.Dir(file), 0o750))
		check(t, os.WriteFile(file, []byte(content), 0o600))
	}
	r, err := ladder.FindRepository(dir)
	check(t, err)
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func TestStatusOfClusters(t *testing.T) {
	api := client(t)
	ctx := t.Context()
	_, err := api.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}, metav1.CreateOptions{})
	check(t, err)
	apps := api.AppsV1()
	two := int32(2)
	deployment := &appsv1.Deployment{ObjectMeta: stamped("web", "prod", "eu"), Spec: appsv1.DeploymentSpec{
		Replicas: &two, Selector: selector, Template: template("registry.example.com/shop/web@"+digest("a"), "registry.example.com/shop/web:v1@"+digest("a"), "docker.io/library/redis"),
	}}
	deployment, err = apps.Deployments("shop").Create(ctx, deployment, metav1.CreateOptions{})
	check(t, err)
	deployment.Status = appsv1.DeploymentStatus{ObservedGeneration: 1, Replicas: 2, UpdatedReplicas: 1, ReadyReplicas: 2, AvailableReplicas: 2}
	_, err = apps.Deployments("shop").UpdateStatus(ctx, deployment, metav1.UpdateOptions{})
	check(t, err)
	_, err = apps.StatefulSets("shop").Create(ctx, &appsv1.StatefulSet{ObjectMeta: stamped("api", "staging", ""), Spec: appsv1.StatefulSetSpec{
		Selector: selector, Template: template("registry.example.com/shop/api:v1"),
	}}, metav1.CreateOptions{})
	check(t, err)
	daemon, err := apps.DaemonSets("shop").Create(ctx, &appsv1.DaemonSet{ObjectMeta: stamped("agent", "staging", ""), Spec: appsv1.DaemonSetSpec{
		Selector: selector, Template: template("registry.example.com/shop/web@" + digest("c")),
	}}, metav1.CreateOptions{})
	check(t, err)
	daemon.Status = appsv1.DaemonSetStatus{ObservedGeneration: 1, DesiredNumberScheduled: 3, NumberReady: 3, UpdatedNumberScheduled: 3}
	_, err = apps.DaemonSets("shop").UpdateStatus(ctx, daemon, metav1.UpdateOptions{})
	check(t, err)
	// Workloads of another ladder, of another environment, and without stamps.
	others := stamped("other", "prod", "eu")
	others.Annotations[v1alpha1.AnnotationLadder] = "other"
	for _, meta := range []metav1.ObjectMeta{others, stamped("qa", "qa", ""), {Name: "plain"}} {
		_, err := apps.Deployments("shop").Create(ctx, &appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{
			Selector: selector, Template: template("registry.example.com/shop/web@" + digest("d")),
		}}, metav1.CreateOptions{})
		check(t, err)
	}

	unreachable, err := kubernetes.NewForConfig(&rest.Config{Host: "http://127.0.0.1:1"})
	check(t, err)
	text := strings.Replace(ladderYAML, "    - {name: ap, pins: pins/ap.yaml, after: eu}\n", "", 1)
	status, err := promote.StatusOf(ctx, repo(t, text), promote.StatusOptions{
		Judge: judge(nil), Now: func() time.Time { return now },
		Clusters: []workloads.Cluster{{Name: "here", Client: apps}, {Name: "unreachable", Client: unreachable.AppsV1()}},
	})
	check(t, err)
	if len(status.Clusters) != 2 || status.Clusters[0].Error != "" || !strings.Contains(status.Clusters[1].Error, "127.0.0.1:1") {
		t.Errorf("clusters: %+v", status.Clusters)
	}
	got := map[string][]workloads.Running{}
	step := map[string]string{}
	for _, row := range status.Rows {
		if len(row.Running) > 0 {
			got[row.EnvTarget+" "+row.Image] = row.Running
		}
		step[row.EnvTarget+" "+row.Image] = fmt.Sprintf("%s %t", row.Before, row.InStep)
	}
	want := map[string][]workloads.Running{
		"prod/eu web": {{Cluster: "here", Namespace: "shop", Kind: "Deployment", Name: "web", Digest: digest("a"), Ready: 1, Desired: 2}},
		"staging api": {{Cluster: "here", Namespace: "shop", Kind: "StatefulSet", Name: "api", Ready: 0, Desired: 1}},
		"staging web": {{Cluster: "here", Namespace: "shop", Kind: "DaemonSet", Name: "agent", Digest: digest("c"), Ready: 3, Desired: 3}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("running (-want +got):\n%s", diff)
	}
	wantStep := map[string]string{
		"local web": " false", "local api": " false", "dev web": " false", "dev api": " false", "staging web": "dev true", "staging api": "dev false",
		"prod/eu web": "staging false", "prod/eu api": "staging true", "prod/us web": "staging false", "prod/us api": "staging true",
	}
	if diff := cmp.Diff(wantStep, step); diff != "" {
		t.Errorf("in step (-want +got):\n%s", diff)
	}

	// Where two images share a repository, a digest is in the row of the one that pins it.
	shared := repo(t, strings.Replace(text, "shop/api,", "shop/web,", 1))
	check(t, os.WriteFile(filepath.Join(shared.Root, "pins", "staging.yaml"), []byte(pins("b", "c")), 0o600))
	status, err = promote.StatusOf(ctx, shared, promote.StatusOptions{
		Judge: judge(nil), Now: func() time.Time { return now }, Clusters: []workloads.Cluster{{Name: "here", Client: apps}},
	})
	check(t, err)
	rows := map[string]int{}
	for _, row := range status.Rows {
		if row.Environment == "staging" {
			rows[row.Image] = len(row.Running)
		}
	}
	if diff := cmp.Diff(map[string]int{"web": 0, "api": 1}, rows); diff != "" {
		t.Errorf("workloads that run an image (-want +got):\n%s", diff)
	}
}

// An account may be limited to one namespace.
func TestStatusOfOneNamespace(t *testing.T) {
	found, err := workloads.Cluster{Name: "here", Namespace: "none", Client: client(t).AppsV1()}.List(context.WithoutCancel(t.Context()), "shop")
	if err != nil || len(found) != 0 {
		t.Errorf("%v, %v", found, err)
	}
}
