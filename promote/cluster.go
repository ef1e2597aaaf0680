package promote

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
	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/registry"
)

// Bounds on what a cluster tells.
const (
	// pageSize keeps an answer at a few MiB: a workload has some 10 KiB.
	pageSize = 500
	// maxPages of a kind, 50,000 workloads: clusters end before that.
	maxPages = 100
)

// Cluster is one that is looked at for what runs.
type Cluster struct {
	// Name is the context's in the kubeconfig.
	Name string
	// Namespace to look at; all where it is empty.
	Namespace string
	Client    appsclient.AppsV1Interface
}

// Workload is one that is stamped as the ladder's.
type Workload struct {
	Environment, Target string
	// Running is without its digest, which depends on the image.
	Running

	images []string
}

// of is what a workload runs of an image: each digest of it once.
func (w Workload) of(image ladder.Image) []Running {
	want, err := registry.ParseRepository(image.Repository)
	if err != nil {
		return nil
	}
	var all []Running
	seen := map[string]bool{}
	for _, name := range w.images {
		reference, err := registry.ParseReference(name)
		if err != nil || reference.Repository != want || seen[reference.Digest] {
			continue
		}
		seen[reference.Digest] = true
		running := w.Running
		running.Digest = reference.Digest
		all = append(all, running)
	}
	return all
}

// Workloads are the Deployments, StatefulSets and DaemonSets that are stamped as this
// ladder's. Beside an error they are those of the kinds that could be read.
func (c Cluster) Workloads(ctx context.Context, ladderName string) ([]Workload, error) {
	var all []Workload
	keep := func(kind string, meta metav1.ObjectMeta, pod corev1.PodSpec, ready, desired int32) {
		if meta.Annotations[v1alpha1.AnnotationLadder] != ladderName {
			return
		}
		all = append(all, Workload{
			Environment: meta.Annotations[v1alpha1.AnnotationEnvironment], Target: meta.Annotations[v1alpha1.AnnotationTarget],
			Running: Running{Cluster: c.Name, Namespace: meta.Namespace, Kind: kind, Name: meta.Name, Ready: ready, Desired: desired},
			images:  imagesOf(pod),
		})
	}
	errs := []error{
		pages(func(options metav1.ListOptions) (string, error) {
			list, err := c.Client.Deployments(c.Namespace).List(ctx, options)
			if err != nil {
				return "", err
			}
			for _, d := range list.Items {
				keep("Deployment", d.ObjectMeta, d.Spec.Template.Spec, updated(d.Status.ReadyReplicas, d.Status.UpdatedReplicas, d.Status.ObservedGeneration, d.ObjectMeta), replicas(d.Spec.Replicas))
			}
			return list.Continue, nil
		}),
		pages(func(options metav1.ListOptions) (string, error) {
			list, err := c.Client.StatefulSets(c.Namespace).List(ctx, options)
			if err != nil {
				return "", err
			}
			for _, s := range list.Items {
				keep("StatefulSet", s.ObjectMeta, s.Spec.Template.Spec, updated(s.Status.ReadyReplicas, s.Status.UpdatedReplicas, s.Status.ObservedGeneration, s.ObjectMeta), replicas(s.Spec.Replicas))
			}
			return list.Continue, nil
		}),
		pages(func(options metav1.ListOptions) (string, error) {
			list, err := c.Client.DaemonSets(c.Namespace).List(ctx, options)
			if err != nil {
				return "", err
			}
			for _, d := range list.Items {
				keep("DaemonSet", d.ObjectMeta, d.Spec.Template.Spec, daemonReady(d), d.Status.DesiredNumberScheduled)
			}
			return list.Continue, nil
		}),
	}
	return all, errors.Join(errs...)
}

func daemonReady(d appsv1.DaemonSet) int32 {
	return updated(d.Status.NumberReady, d.Status.UpdatedNumberScheduled, d.Status.ObservedGeneration, d.ObjectMeta)
}

// updated is how many pods are ready and of the present template, at most: while a
// rollout goes on, ready pods may still be of the one before.
func updated(ready, updated int32, observed int64, meta metav1.ObjectMeta) int32 {
	if observed < meta.Generation {
		return 0 // the controller hasn't seen the template yet
	}
	return min(ready, updated)
}

func replicas(n *int32) int32 {
	if n == nil {
		return 1 // the API server's default
	}
	return *n
}

// pages asks for a list page by page.
func pages(list func(metav1.ListOptions) (next string, err error)) error {
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

func imagesOf(pod corev1.PodSpec) []string {
	var images []string
	for _, c := range pod.InitContainers {
		images = append(images, strings.TrimSpace(c.Image))
	}
	for _, c := range pod.Containers {
		images = append(images, strings.TrimSpace(c.Image))
	}
	return images
}
