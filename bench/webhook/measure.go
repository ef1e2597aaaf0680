package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/envladder/envladder/bench/internal/harness"
)

// Names of the request kinds in the tables.
const (
	onePod         = "a pod"
	ownedPod       = "a pod of a ReplicaSet"
	tenContainers  = "a pod of 10 containers"
	throughServer  = "a pod, through the API server"
	newImage       = "a pod, new image"
	newImageCached = "a pod, new image, evidence cached"
)

// requestKind is a kind of request that clients send repeatedly.
type requestKind struct {
	name string
	send func(ctx context.Context, number int) error
}

// inTurn returns a request kind that posts the reviews in turn.
func (c *contender) inTurn(name string, reviews [][]byte) requestKind {
	return requestKind{name, func(ctx context.Context, number int) error { return c.admit(ctx, reviews[number%len(reviews)]) }}
}

// reviewsOf returns a review for each image.
func reviewsOf(images []string, review func(image string) []byte) [][]byte {
	reviews := make([][]byte, len(images))
	for i, image := range images {
		reviews[i] = review(image)
	}
	return reviews
}

// commonKinds returns the request kinds that are measured with both webhooks.
func (w *fixture) commonKinds(c *contender) []requestKind {
	return []requestKind{
		c.inTurn(onePod, reviewsOf(w.compared, func(image string) []byte { return reviewOf(c.namespace, 1, image) })),
		c.inTurn(tenContainers, reviewsOf(w.compared, func(image string) []byte { return reviewOf(c.namespace, 10, image) })),
		{throughServer, func(ctx context.Context, number int) error {
			return w.client.Create(ctx, podOf(c.namespace, 1, w.compared[number%len(w.compared)]), client.DryRunAll)
		}},
	}
}

// load measures a request kind with each number of clients.
func (w *fixture) load(ctx context.Context, r *results, c *contender, kind requestKind) error {
	for _, clients := range w.clients {
		measured, err := w.measure(ctx, c, kind, clients)
		if err != nil {
			return err
		}
		r.cells = append(r.cells, measured)
	}
	return nil
}

// measure measures a request kind with a number of clients.
func (w *fixture) measure(ctx context.Context, c *contender, kind requestKind, clients int) (cell, error) {
	measured := cell{title: c.title, request: kind.name, clients: clients}
	before, err := c.buckets(ctx)
	if err != nil {
		return cell{}, err
	}
	var counter atomic.Int64
	if measured.Sample, err = harness.Load(ctx, c.PID(), clients, w.time, &counter, kind.send); err != nil {
		return cell{}, fmt.Errorf("%s, %s, %d at once: %w", c.title, kind.name, clients, err)
	}
	after, err := c.buckets(ctx)
	if err != nil {
		return cell{}, err
	}
	measured.inside = quantile(before, after, 99)
	fmt.Fprintf(os.Stderr, "%s, %s, %d at once: %.0f a second, p99 %s\n", c.title, kind.name, clients, measured.Rate(), harness.Round(measured.P99))
	return measured, nil
}

// count records how many requests to the registry an admission makes.
func (w *fixture) count(ctx context.Context, r *results, c *contender, request string, review []byte) error {
	before, err := w.registries.requests(ctx)
	if err != nil {
		return err
	}
	if err := c.admit(ctx, review); err != nil {
		return err
	}
	after, err := w.registries.requests(ctx)
	r.registryRequests = append(r.registryRequests, registryRequests{c.title, request, after - before})
	return err
}

// measureOurs measures envladder-webhook.
func (w *fixture) measureOurs(ctx context.Context, r *results) error {
	if err := w.create(ctx, w.benchGate()); err != nil {
		return err
	}
	c, err := w.startOurs(ctx)
	if err != nil {
		return err
	}
	defer c.Stop()
	r.idleMemory = append(r.idleMemory, idleMemory{c.title, c.idleMemory})
	if err := w.registerAndAwait(ctx, c); err != nil {
		return err
	}
	owned, err := w.ownedReviews(ctx)
	if err != nil {
		return err
	}
	for _, kind := range append(w.commonKinds(c), c.inTurn(ownedPod, owned)) {
		if err := w.load(ctx, r, c, kind); err != nil {
			return err
		}
	}
	return w.measureCold(ctx, r, c)
}

// ownedReviews creates a ReplicaSet for each compared image and returns reviews of their
// pods. The webhook reads the ReplicaSets from the API server.
func (w *fixture) ownedReviews(ctx context.Context) ([][]byte, error) {
	var reviews [][]byte
	for n, image := range w.compared {
		pod := podOf(ourChecked, 1, image)
		set := &appsv1.ReplicaSet{
			ObjectMeta: metav1.ObjectMeta{Name: "web-" + strconv.Itoa(n), Namespace: ourChecked},
			Spec: appsv1.ReplicaSetSpec{
				Selector: &metav1.LabelSelector{MatchLabels: pod.Labels},
				Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: pod.Labels}, Spec: pod.Spec},
			},
		}
		if err := w.create(ctx, set); err != nil {
			return nil, err
		}
		owner := *metav1.NewControllerRef(set, appsv1.SchemeGroupVersion.WithKind("ReplicaSet"))
		reviews = append(reviews, ownedReviewOf(ourChecked, image, owner))
	}
	return reviews, nil
}

// measureCold measures images that the webhook hasn't seen, each once: as a dry run, which is
// the work that policy-controller does for each pod, and with the evidence cached in the cluster.
func (w *fixture) measureCold(ctx context.Context, r *results, c *contender) error {
	first := w.newImages[0]
	if err := w.count(ctx, r, c, newImage, dryRunReviewOf(c.namespace, first)); err != nil {
		return err
	}
	if err := w.count(ctx, r, c, onePod, dryRunReviewOf(c.namespace, first)); err != nil {
		return err
	}
	var next atomic.Int64
	once := func(name string, review func(image string) []byte) requestKind {
		return requestKind{name, func(ctx context.Context, number int) error {
			if number > w.cold { // the next measurement uses the rest
				return harness.ErrEnough
			}
			return c.admit(ctx, review(w.newImages[next.Add(1)]))
		}}
	}
	return errors.Join(
		w.load(ctx, r, c, once(newImage, func(image string) []byte { return dryRunReviewOf(c.namespace, image) })),
		w.load(ctx, r, c, once(newImageCached, func(image string) []byte { return reviewOf(c.namespace, 1, image) })),
	)
}

// measureTheirs measures policy-controller's webhook, with its usual limit and without one.
func (w *fixture) measureTheirs(ctx context.Context, r *results) error {
	if err := w.installTheirs(ctx); err != nil {
		return fmt.Errorf("installing policy-controller: %w", err)
	}
	stock, err := w.startTheirs(ctx, theirsStock, 40)
	if err != nil {
		return err
	}
	err = w.load(ctx, r, stock, w.commonKinds(stock)[0])
	stock.Stop()
	if err != nil {
		return err
	}
	c, err := w.startTheirs(ctx, theirs, -1)
	if err != nil {
		return err
	}
	defer c.Stop()
	r.idleMemory = append(r.idleMemory, idleMemory{c.title, c.idleMemory})
	if err := errors.Join(
		w.count(ctx, r, c, onePod, reviewOf(c.namespace, 1, w.compared[0])),
		w.count(ctx, r, c, tenContainers, reviewOf(c.namespace, 10, w.compared[0])),
	); err != nil {
		return err
	}
	if err := w.registerAndAwait(ctx, c); err != nil {
		return err
	}
	for _, kind := range w.commonKinds(c) {
		if err := w.load(ctx, r, c, kind); err != nil {
			return err
		}
	}
	return nil
}

// measureKnown measures our webhook by the number of digests that it knows, with one client.
// The reviews are dry runs, so that nothing is cached in the cluster meanwhile.
func (w *fixture) measureKnown(ctx context.Context, r *results) error {
	most := w.known[len(w.known)-1]
	fmt.Fprintf(os.Stderr, "pushing and signing %d images\n", most)
	images, err := w.pushProven(ctx, most, func(n int) string { return w.registries.modern + "/known/" + strconv.Itoa(n) })
	if err != nil {
		return err
	}
	c, err := w.startOurs(ctx)
	if err != nil {
		return err
	}
	defer c.Stop()
	reviews := reviewsOf(images, func(image string) []byte { return dryRunReviewOf(c.namespace, image) })
	sent := 0
	for _, known := range w.known {
		if err := sendOnce(ctx, c, reviews[sent:known]); err != nil {
			return err
		}
		sent = known
		measured, err := w.measure(ctx, c, c.inTurn("known digests: "+strconv.Itoa(known), reviews[:known]), 1)
		if err != nil {
			return err
		}
		r.known = append(r.known, measured)
	}
	return nil
}

// sendOnce posts each review to a webhook once.
func sendOnce(ctx context.Context, c *contender, reviews [][]byte) error {
	if len(reviews) == 0 {
		return nil
	}
	const (
		senders = 8
		bound   = 10 * time.Minute
	)
	var counter atomic.Int64
	_, err := harness.Load(ctx, 0, senders, bound, &counter, func(ctx context.Context, number int) error {
		if number > len(reviews) {
			return harness.ErrEnough
		}
		return c.admit(ctx, reviews[number-1])
	})
	return err
}
