// Package admission tests the webhook together with the controllers of Kubernetes and Argo
// Rollouts: how they handle admissions and denials, and what works while the webhook is down.
package admission

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/envladder/envladder/test/bed"
	"github.com/envladder/envladder/test/bed/install"
)

const (
	// namespace is the namespace that the plain manifests send to the webhook.
	namespace = "shop"
	// bound is the maximum time that controllers may take. A HorizontalPodAutoscaler runs every
	// 15s, and a controller that failed often waits for a minute or two.
	bound = 3 * time.Minute
	// unreachable is the error of an API server that can't reach the webhook.
	unreachable = `failed calling webhook "validate.envladder.dev"`
)

// env is a cluster with the webhook.
type env struct {
	*bed.Cluster
	bed     *bed.Bed
	webhook *bed.Running
	root    string
}

// start starts a cluster with its controllers, and the webhook from its plain manifests with
// additional flags.
func start(t *testing.T, parts bed.Parts, flags ...string) *env {
	t.Helper()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	b := bed.ForTest(t, parts)
	e := &env{Cluster: b.Cluster(bed.Prod), bed: b, root: root}
	_, err = install.Webhook(t.Context(), b, e.Cluster, root, func(ctx context.Context, p bed.Process) (err error) {
		p.Args = append(p.Args, flags...)
		e.webhook, err = b.Run(ctx, p)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Namespace(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	return e
}

// kubectl runs kubectl in the namespace. It must succeed.
func (e *env) kubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := e.Kubectl(t.Context(), append([]string{"-n", namespace}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// wantDenied runs kubectl in the namespace. It must fail with an error that contains want.
func (e *env) wantDenied(t *testing.T, want string, args ...string) {
	t.Helper()
	out, err := e.Kubectl(t.Context(), append([]string{"-n", namespace}, args...)...)
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("kubectl %q: %v %s, want an error with %q", args, err, out, want)
	}
}

// apply applies documents in the namespace.
func (e *env) apply(t *testing.T, documents ...string) {
	t.Helper()
	if err := e.Apply(t.Context(), namespace, documents...); err != nil {
		t.Fatal(err)
	}
}

// awaitOutput waits until kubectl prints want.
func (e *env) awaitOutput(t *testing.T, want string, args ...string) {
	t.Helper()
	err := bed.Poll(t.Context(), bound, func(ctx context.Context) error {
		out, err := e.Kubectl(ctx, append([]string{"-n", namespace}, args...)...)
		if err == nil && strings.TrimSpace(out) != want {
			err = fmt.Errorf("kubectl %q prints %q, want %q", args, out, want)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// awaitPods waits until an app has this number of pods, all ready.
func (e *env) awaitPods(t *testing.T, app string, want int) {
	t.Helper()
	e.awaitOutput(t, strings.TrimSpace(strings.Repeat("True ", want)), "get", "pods", "-l", "app="+app,
		"-o", `jsonpath={range .items[*]}{.status.conditions[?(@.type=="Ready")].status}{" "}{end}`)
}

// awaitEvent waits for an event with the text about an object whose name has the prefix.
func (e *env) awaitEvent(t *testing.T, kind, name, text string) {
	t.Helper()
	err := bed.Poll(t.Context(), bound, func(ctx context.Context) error {
		events, err := e.Client().CoreV1().Events(namespace).List(ctx, metav1.ListOptions{FieldSelector: "involvedObject.kind=" + kind})
		if err != nil {
			return err
		}
		for _, event := range events.Items {
			if strings.HasPrefix(event.InvolvedObject.Name, name) && strings.Contains(event.Message, text) {
				return nil
			}
		}
		return fmt.Errorf("%s %s has no event with %q", kind, name, text)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// awaitResult runs kubectl until it succeeds, or, if want isn't empty, until it fails with an
// error that contains want.
func (e *env) awaitResult(t *testing.T, want string, args ...string) {
	t.Helper()
	err := bed.Poll(t.Context(), bound, func(ctx context.Context) error {
		_, err := e.Kubectl(ctx, append([]string{"-n", namespace}, args...)...)
		switch {
		case want == "":
			return err
		case err == nil || !strings.Contains(err.Error(), want):
			return fmt.Errorf("kubectl %q: %w, want an error with %q", args, err, want)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
