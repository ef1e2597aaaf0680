package workloads

import (
	"context"
	"errors"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	appsclient "k8s.io/client-go/kubernetes/typed/apps/v1"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/registry"
)

const (
	// pageSize bounds a response to a few MiB: a workload has some 10 KiB.
	pageSize = 500
	// maxPages bounds a kind to 50,000 workloads, more than a cluster has.
	maxPages = 100
)

// Cluster is a cluster to read.
type Cluster struct {
	// Name is the context's in the kubeconfig.
	Name string
	// Namespace to read; all where it is empty.
	Namespace string
	Client    appsclient.AppsV1Interface
}

// Running is what a workload runs.
type Running struct {
	Cluster   string `json:"cluster"`
	Namespace string `json:"namespace"`
	Kind      string `json:"kind"`
	Name      string `json:"name"`
	// Digest is empty where the workload references its image by tag.
	Digest  string `json:"digest,omitempty"`
	Ready   int32  `json:"ready"`
	Desired int32  `json:"desired"`
}

// Workload is a workload with the stamps of a ladder.
type Workload struct {
	Environment, Target string

	// running lacks its digest, which depends on the image.
	running Running
	images  []string
}

// Running returns what the workload runs of a repository's images, with each digest once.
func (w Workload) Running(repository string) []Running {
	want, err := registry.ParseRepository(repository)
	if err != nil {
		return nil
	}
	var found []Running
	seen := map[string]bool{}
	for _, image := range w.images {
		reference, err := registry.ParseReference(image)
		if err != nil || reference.Repository != want || seen[reference.Digest] {
			continue
		}
		seen[reference.Digest] = true
		running := w.running
		running.Digest = reference.Digest
		found = append(found, running)
	}
	return found
}

// List returns the Deployments, StatefulSets and DaemonSets with the stamps of a ladder.
// With an error it returns those of the kinds that could be read.
func (c Cluster) List(ctx context.Context, ladderName string) ([]Workload, error) {
	var workloads []Workload
	add := func(kind string, meta metav1.ObjectMeta, pod corev1.PodSpec, ready, desired int32) {
		if meta.Annotations[v1alpha1.AnnotationLadder] != ladderName {
			return
		}
		workloads = append(workloads, Workload{
			Environment: meta.Annotations[v1alpha1.AnnotationEnvironment], Target: meta.Annotations[v1alpha1.AnnotationTarget],
			running: Running{Cluster: c.Name, Namespace: meta.Namespace, Kind: kind, Name: meta.Name, Ready: ready, Desired: desired},
			images:  podImages(pod),
		})
	}
	errs := []error{
		listPages(func(options metav1.ListOptions) (string, error) {
			list, err := c.Client.Deployments(c.Namespace).List(ctx, options)
			if err != nil {
				return "", err
			}
			for _, d := range list.Items {
				add("Deployment", d.ObjectMeta, d.Spec.Template.Spec, readyPods(d.Status.ReadyReplicas, d.Status.UpdatedReplicas, d.Status.ObservedGeneration, d.ObjectMeta), replicas(d.Spec.Replicas))
			}
			return list.Continue, nil
		}),
		listPages(func(options metav1.ListOptions) (string, error) {
			list, err := c.Client.StatefulSets(c.Namespace).List(ctx, options)
			if err != nil {
				return "", err
			}
			for _, s := range list.Items {
				add("StatefulSet", s.ObjectMeta, s.Spec.Template.Spec, readyPods(s.Status.ReadyReplicas, s.Status.UpdatedReplicas, s.Status.ObservedGeneration, s.ObjectMeta), replicas(s.Spec.Replicas))
			}
			return list.Continue, nil
		}),
		listPages(func(options metav1.ListOptions) (string, error) {
			list, err := c.Client.DaemonSets(c.Namespace).List(ctx, options)
			if err != nil {
				return "", err
			}
			for _, d := range list.Items {
				add("DaemonSet", d.ObjectMeta, d.Spec.Template.Spec, readyDaemonPods(d), d.Status.DesiredNumberScheduled)
			}
			return list.Continue, nil
		}),
	}
	return workloads, errors.Join(errs...)
}

func readyDaemonPods(d appsv1.DaemonSet) int32 {
	return readyPods(d.Status.NumberReady, d.Status.UpdatedNumberScheduled, d.Status.ObservedGeneration, d.ObjectMeta)
}

// readyPods returns at most how many pods are ready and from the present template: during
// a rollout, ready pods may still be from the previous one.
func readyPods(ready, updated int32, observed int64, meta metav1.ObjectMeta) int32 {
	if observed < meta.Generation {
		return 0 // the controller hasn't observed the template yet
	}
	return min(ready, updated)
}

func replicas(n *int32) int32 {
	if n == nil {
		return 1 // the API server's default
	}
	return *n
}

// listPages lists page by page.
func listPages(list func(metav1.ListOptions) (next string, err error)) error {
	options := metav1.ListOptions{Limit: pageSize}
	for range maxPages {
		next, err := list(options)
		if err != nil || next == "" {
			return err
		}
		options.Continue = next
	}
	return fmt.Errorf("listing workloads: there are more than %d", pageSize*maxPages)
}

func podImages(pod corev1.PodSpec) []string {
	var images []string
	for _, c := range pod.InitContainers {
		images = append(images, strings.TrimSpace(c.Image))
	}
	for _, c := range pod.Containers {
		images = append(images, strings.TrimSpace(c.Image))
	}
	return images
}
