package admission

import (
	"fmt"
	"strings"
	"testing"

	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/envladder/envladder/test/bed"
)

// exempted returns an image that the Gate exempts.
func exempted(digit string) string {
	return "registry.example.com/shop/web@sha256:" + strings.Repeat(digit, 64)
}

const exemptingGate = `
apiVersion: envladder.dev/v1alpha1
kind: Gate
metadata: {name: shop}
spec:
  environment: prod
  namespaces: [shop]
  action: Deny
  exemptImages: [{repository: registry.example.com/shop/*}]
  observe: {attestAfter: [1h]}
`

// workload returns a workload of three pods that are labelled with its name.
func workload(apiVersion, kind, name, more string) string {
	return fmt.Sprintf(`
apiVersion: %[1]s
kind: %[2]s
metadata: {name: %[3]s}
spec:
  %[4]s
  selector: {matchLabels: {app: %[3]s}}
  template: {metadata: {labels: {app: %[3]s}}, spec: {containers: [{name: web, image: "%[5]s"}]}}
`, apiVersion, kind, name, more, exempted("a"))
}

// TestWebhookDown checks with Kubernetes' own controllers what works while the webhook is down,
// what is denied, and that pending work continues when the webhook is back.
func TestWebhookDown(t *testing.T) {
	e := start(t, bed.Parts{Clusters: []bed.ClusterOptions{{Name: bed.Prod}}})
	e.apply(t, exemptingGate)
	e.awaitResult(t, "", "run", "probe", "--image="+exempted("a"), "--dry-run=server")
	e.deploy(t)

	e.webhook.Stop()
	e.awaitResult(t, unreachable, "run", "probe", "--image="+exempted("a"), "--dry-run=server")
	for _, step := range []struct {
		name string
		try  func(*testing.T, *env)
	}{
		{"scale-down works", scaleDown},
		{"autoscaler scales down", autoscale},
		{"scale-up waits for pods", scaleUp},
		{"resumed rollout waits for pods", resume},
		{"changes that start no pods work", changes},
		{"deletions and evictions work", deletions},
		{"changes that start pods are denied", denials},
	} {
		if !t.Run(step.name, func(t *testing.T) { step.try(t, e) }) {
			return
		}
	}

	if err := e.webhook.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Run("pending work continues", func(t *testing.T) {
		// Controllers that failed often wait for many minutes, unless an object changes.
		e.kubectl(t, "annotate", "deployments,replicasets,jobs", "--all", "example.com/retry=now")
		e.awaitPods(t, "up", 5)
		e.awaitPods(t, "evicted", 3)
		e.awaitPods(t, "recreate", 3)
		e.awaitOutput(t, exempted("b"), "get", "pods", "-l", "app=rolling", "-o", "jsonpath={.items[0].spec.containers[0].image}")
		e.awaitOutput(t, "2", "get", "job", "work", "-o", "jsonpath={.status.succeeded}")
	})
	t.Run("rollback works", func(t *testing.T) {
		e.kubectl(t, "rollout", "undo", "deployment/undo")
		e.awaitOutput(t, exempted("a"), "get", "deployment", "undo", "-o", "jsonpath={.spec.template.spec.containers[0].image}")
	})
}

// deploy creates all workloads while the webhook is running.
func (e *env) deploy(t *testing.T) {
	t.Helper()
	for _, name := range []string{"down", "auto", "up", "rolling", "undo", "evicted", "deleted", "orphaned"} {
		e.apply(t, workload("apps/v1", "Deployment", name, "replicas: 3"))
	}
	e.apply(t,
		workload("apps/v1", "Deployment", "recreate", "replicas: 3\n  strategy: {type: Recreate}"),
		workload("apps/v1", "ReplicaSet", "set", "replicas: 3"),
		workload("apps/v1", "StatefulSet", "stateful", "replicas: 3\n  podManagementPolicy: Parallel"),
		workload("apps/v1", "DaemonSet", "daemon", "minReadySeconds: 0"),
		strings.Replace(workload("v1", "ReplicationController", "controller", "replicas: 3"), "{matchLabels: {app: controller}}", "{app: controller}", 1),
		fmt.Sprintf(`
apiVersion: batch/v1
kind: Job
metadata: {name: work}
spec: {suspend: true, parallelism: 2, completions: 2, template: {metadata: {labels: {app: work}}, spec: {restartPolicy: Never, containers: [{name: web, image: "%[1]s"}]}}}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: cron}
spec: {schedule: "0 0 1 1 *", jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: web, image: "%[1]s"}]}}}}}
`, exempted("a")))
	for _, name := range []string{"down", "auto", "up", "rolling", "undo", "evicted", "deleted", "orphaned", "recreate", "set", "stateful", "controller"} {
		e.awaitPods(t, name, 3)
	}
	e.awaitPods(t, "daemon", 2)
	// Prepares a previous revision for the rollback, and a next one for the paused rollouts.
	e.kubectl(t, "set", "image", "deployment/undo", "web="+exempted("b"))
	for _, name := range []string{"rolling", "recreate"} {
		e.kubectl(t, "rollout", "pause", "deployment/"+name)
		e.kubectl(t, "set", "image", "deployment/"+name, "web="+exempted("b"))
	}
	e.kubectl(t, "rollout", "status", "deployment/undo", "--timeout=2m")
}

// scaleDown checks that workloads scale down.
func scaleDown(t *testing.T, e *env) {
	for _, w := range []string{"deployment/down", "replicaset/set", "statefulset/stateful", "replicationcontroller/controller"} {
		e.kubectl(t, "scale", w, "--replicas=1")
	}
	for _, app := range []string{"down", "set", "stateful", "controller"} {
		e.awaitPods(t, app, 1)
	}
	// Also by a normal update, and to zero.
	e.kubectl(t, "patch", "deployment", "down", "-p", `{"spec":{"replicas":0}}`)
	e.awaitPods(t, "down", 0)
}

// autoscale checks an autoscaler. It needs no metrics, since the number of replicas is above
// its maximum.
func autoscale(t *testing.T, e *env) {
	e.kubectl(t, "autoscale", "deployment/auto", "--min=1", "--max=2")
	e.awaitPods(t, "auto", 2)
}

// scaleUp checks that workloads accept a scale-up, and pods are denied.
func scaleUp(t *testing.T, e *env) {
	e.kubectl(t, "scale", "deployment/up", "--replicas=5")
	e.awaitEvent(t, "ReplicaSet", "up-", unreachable)
	e.awaitPods(t, "up", 3)
	e.kubectl(t, "patch", "job", "work", "-p", `{"spec":{"suspend":false}}`)
	e.awaitEvent(t, "Job", "work", unreachable)
	e.awaitOutput(t, "", "get", "pods", "-l", "app=work", "-o", "name")
}

// resume resumes rollouts that were written while the webhook was running.
func resume(t *testing.T, e *env) {
	for _, name := range []string{"rolling", "recreate"} {
		e.kubectl(t, "rollout", "resume", "deployment/"+name)
		e.awaitEvent(t, "Deployment", name, unreachable)
	}
	e.awaitPods(t, "rolling", 3)
	e.awaitPods(t, "recreate", 0)
}

// changes checks changes that start no pods.
func changes(t *testing.T, e *env) {
	for _, change := range [][]string{
		{"rollout", "pause", "deployment/up"},
		{"rollout", "resume", "deployment/up"},
		{"patch", "statefulset", "stateful", "-p", `{"spec":{"updateStrategy":{"rollingUpdate":{"partition":1}}}}`},
		{"patch", "daemonset", "daemon", "-p", `{"spec":{"updateStrategy":{"type":"OnDelete","rollingUpdate":null}}}`},
		{"patch", "cronjob", "cron", "-p", `{"spec":{"suspend":true,"schedule":"0 0 1 2 *"}}`},
		{"label", "deployments,replicasets,statefulsets,daemonsets,replicationcontrollers,jobs,cronjobs,pods", "--all", "team=shop"},
		{"annotate", "deployments,replicasets,statefulsets,daemonsets,replicationcontrollers,jobs,cronjobs,pods", "--all", "example.com/note=x"},
	} {
		e.kubectl(t, change...)
	}
	// Controllers have updated the status of the scaled workloads.
	e.awaitOutput(t, "1", "get", "statefulset", "stateful", "-o", "jsonpath={.status.readyReplicas}")
}

// deletions checks deletions and evictions.
func deletions(t *testing.T, e *env) {
	e.kubectl(t, "delete", "deployment", "deleted", "--cascade=foreground", "--timeout=2m")
	e.awaitPods(t, "deleted", 0)
	e.kubectl(t, "delete", "deployment", "orphaned", "--cascade=orphan", "--timeout=2m")
	e.awaitPods(t, "orphaned", 3)
	e.kubectl(t, "patch", "replicaset", "set", "-p", `{"metadata":{"finalizers":["example.com/stay"]}}`)
	e.kubectl(t, "delete", "replicaset", "set", "--wait=false")
	e.kubectl(t, "patch", "replicaset", "set", "--type=merge", "-p", `{"metadata":{"finalizers":null}}`)
	e.awaitOutput(t, "", "get", "replicaset", "set", "-o", "name", "--ignore-not-found")

	pod := e.kubectl(t, "get", "pods", "-l", "app=evicted", "-o", "jsonpath={.items[0].metadata.name}")
	eviction := &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: pod}}
	if err := e.Client().PolicyV1().Evictions(namespace).Evict(t.Context(), eviction); err != nil {
		t.Fatal(err)
	}
	e.awaitEvent(t, "ReplicaSet", "evicted-", unreachable)
	e.awaitPods(t, "evicted", 2)
}

// denials checks changes that start pods.
func denials(t *testing.T, e *env) {
	for _, command := range [][]string{
		{"set", "image", "deployment/up", "web=" + exempted("b")},
		{"set", "image", "statefulset/stateful", "web=" + exempted("b")},
		{"set", "image", "daemonset/daemon", "web=" + exempted("b")},
		{"rollout", "undo", "deployment/undo"},
		{"rollout", "restart", "deployment/up"},
		{"rollout", "restart", "statefulset/stateful"},
		{"rollout", "restart", "daemonset/daemon"},
		{"annotate", "deployment/up", "envladder.dev/environment=dev"},
		{"create", "job", "now", "--from=cronjob/cron"},
		{"create", "deployment", "new", "--image=" + exempted("a")},
		{"run", "new", "--image=" + exempted("a")},
	} {
		e.wantDenied(t, unreachable, command...)
	}
}
