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

// What is asked.
const (
	onePod    = "a pod"
	ownedPod  = "a pod of a ReplicaSet"
	tenEqual  = "a pod of 10 containers"
	throughIt = "a pod, through the API server"
	firstTime = "a pod, its image for the first time"
	firstKept = "the same, and the proof is kept"
)

// question is one of them, asked again and again.
type question struct {
	what string
	ask  func(ctx context.Context, number int) error
}

// repeated asks by reviews in turn.
func (c *contender) repeated(what string, reviews [][]byte) question {
	return question{what, func(ctx context.Context, number int) error { return c.admit(ctx, reviews[number%len(reviews)]) }}
}

// each makes a review of each image.
func each(images []string, review func(image string) []byte) [][]byte {
	reviews := make([][]byte, len(images))
	for i, image := range images {
		reviews[i] = review(image)
	}
	return reviews
}

// questions that both are asked.
func (w *world) questions(c *contender) []question {
	return []question{
		c.repeated(onePod, each(w.compared, func(image string) []byte { return reviewOf(c.namespace, 1, image) })),
		c.repeated(tenEqual, each(w.compared, func(image string) []byte { return reviewOf(c.namespace, 10, image) })),
		{throughIt, func(ctx context.Context, number int) error {
			return w.client.Create(ctx, podOf(c.namespace, 1, w.compared[number%len(w.compared)]), client.DryRunAll)
		}},
	}
}

// load asks a question with each number of clients.
func (w *world) load(ctx context.Context, r *results, c *contender, q question) error {
	for _, clients := range w.clients {
		measured, err := w.measure(ctx, c, q, clients)
		if err != nil {
			return err
		}
		r.cells = append(r.cells, measured)
	}
	return nil
}

func (w *world) measure(ctx context.Context, c *contender, q question, clients int) (cell, error) {
	measured := cell{title: c.title, what: q.what, clients: clients}
	before, err := c.buckets(ctx)
	if err != nil {
		return cell{}, err
	}
	var counter atomic.Int64
	if measured.Sample, err = harness.Load(ctx, c.PID(), clients, w.time, &counter, q.ask); err != nil {
		return cell{}, fmt.Errorf("%s, %s, %d at once: %w", c.title, q.what, clients, err)
	}
	after, err := c.buckets(ctx)
	if err != nil {
		return cell{}, err
	}
	measured.inside = quantile(before, after, 99)
	fmt.Fprintf(os.Stderr, "%s, %s, %d at once: %.0f a second, p99 %s\n", c.title, q.what, clients, measured.Rate(), harness.Round(measured.P99))
	return measured, nil
}

// count notes how many requests to the registry an admission costs.
func (w *world) count(ctx context.Context, r *results, c *contender, what string, review []byte) error {
	before, err := w.registries.requests(ctx)
	if err != nil {
		return err
	}
	if err := c.admit(ctx, review); err != nil {
		return err
	}
	after, err := w.registries.requests(ctx)
	r.requests = append(r.requests, requests{c.title, what, after - before})
	return err
}

func (w *world) measureOurs(ctx context.Context, r *results) error {
	if err := w.create(ctx, w.gateOf()); err != nil {
		return err
	}
	c, err := w.startOurs(ctx)
	if err != nil {
		return err
	}
	defer c.Stop()
	r.resting = append(r.resting, resting{c.title, c.resting})
	if err := w.called(ctx, c); err != nil {
		return err
	}
	owned, err := w.ownedReviews(ctx)
	if err != nil {
		return err
	}
	for _, q := range append(w.questions(c), c.repeated(ownedPod, owned)) {
		if err := w.load(ctx, r, c, q); err != nil {
			return err
		}
	}
	return w.measureCold(ctx, r, c)
}

// ownedReviews are of pods whose ReplicaSets live: the webhook asks the API server for
// them.
func (w *world) ownedReviews(ctx context.Context) ([][]byte, error) {
	var reviews [][]byte
	for n, image := range w.compared {
		pod := podOf(ourGuarded, 1, image)
		set := &appsv1.ReplicaSet{
			ObjectMeta: metav1.ObjectMeta{Name: "web-" + strconv.Itoa(n), Namespace: ourGuarded},
			Spec: appsv1.ReplicaSetSpec{
				Selector: &metav1.LabelSelector{MatchLabels: pod.Labels},
				Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: pod.Labels}, Spec: pod.Spec},
			},
		}
		if err := w.create(ctx, set); err != nil {
			return nil, err
		}
		owner := *metav1.NewControllerRef(set, appsv1.SchemeGroupVersion.WithKind("ReplicaSet"))
		reviews = append(reviews, ownedReviewOf(ourGuarded, image, owner))
	}
	return reviews, nil
}

// measureCold asks about each of the cold images once: for a dry run, which is what
// policy-controller does for each pod, and so that the proof is kept in the cluster.
func (w *world) measureCold(ctx context.Context, r *results, c *contender) error {
	first := w.unasked[0]
	if err := w.count(ctx, r, c, firstTime, tracelessReviewOf(c.namespace, first)); err != nil {
		return err
	}
	if err := w.count(ctx, r, c, onePod, tracelessReviewOf(c.namespace, first)); err != nil {
		return err
	}
	var next atomic.Int64
	once := func(what string, review func(image string) []byte) question {
		return question{what, func(ctx context.Context, number int) error {
			if number > w.cold { // the rest is for the next measurement
				return harness.ErrEnough
			}
			return c.admit(ctx, review(w.unasked[next.Add(1)]))
		}}
	}
	return errors.Join(
		w.load(ctx, r, c, once(firstTime, func(image string) []byte { return tracelessReviewOf(c.namespace, image) })),
		w.load(ctx, r, c, once(firstKept, func(image string) []byte { return reviewOf(c.namespace, 1, image) })),
	)
}

func (w *world) measureTheirs(ctx context.Context, r *results) error {
	if err := w.installTheirs(ctx); err != nil {
		return fmt.Errorf("installing policy-controller: %w", err)
	}
	stock, err := w.startTheirs(ctx, theirsStock, 40)
	if err != nil {
		return err
	}
	err = w.load(ctx, r, stock, w.questions(stock)[0])
	stock.Stop()
	if err != nil {
		return err
	}
	c, err := w.startTheirs(ctx, theirs, -1)
	if err != nil {
		return err
	}
	defer c.Stop()
	r.resting = append(r.resting, resting{c.title, c.resting})
	if err := errors.Join(
		w.count(ctx, r, c, onePod, reviewOf(c.namespace, 1, w.compared[0])),
		w.count(ctx, r, c, tenEqual, reviewOf(c.namespace, 10, w.compared[0])),
	); err != nil {
		return err
	}
	if err := w.called(ctx, c); err != nil {
		return err
	}
	for _, q := range w.questions(c) {
		if err := w.load(ctx, r, c, q); err != nil {
			return err
		}
	}
	return nil
}

// measureKnown measures ours by how many digests it knows, with one client. The reviews
// are dry runs, so that nothing is kept in the cluster meanwhile.
func (w *world) measureKnown(ctx context.Context, r *results) error {
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
	reviews := each(images, func(image string) []byte { return tracelessReviewOf(c.namespace, image) })
	learnt := 0
	for _, known := range w.known {
		if err := learn(ctx, c, reviews[learnt:known]); err != nil {
			return err
		}
		learnt = known
		measured, err := w.measure(ctx, c, c.repeated("known digests: "+strconv.Itoa(known), reviews[:known]), 1)
		if err != nil {
			return err
		}
		r.known = append(r.known, measured)
	}
	return nil
}

// learn has a webhook see each review once.
func learn(ctx context.Context, c *contender, reviews [][]byte) error {
	if len(reviews) == 0 {
		return nil
	}
	const (
		learners = 8
		bound    = 10 * time.Minute
	)
	var counter atomic.Int64
	_, err := harness.Load(ctx, 0, learners, bound, &counter, func(ctx context.Context, number int) error {
		if number > len(reviews) {
			return harness.ErrEnough
		}
		return c.admit(ctx, reviews[number-1])
	})
	return err
}
