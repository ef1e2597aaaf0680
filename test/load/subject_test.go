package load

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/envladder/envladder/test/bed"
)

// subject is an image and its expected verdict.
type subject struct {
	name, image string
	// codes are the codes of a correct denial. While the registry is down, RegistryUnavailable
	// is correct too.
	codes []string
	// never is set if the image must never be admitted.
	never bool

	verdicts atomic.Int64

	mu sync.Mutex
	// denied is the expected verdict, and epoch counts its changes. While epoch is odd, both
	// verdicts are correct.
	denied bool
	epoch  int
}

// state returns the expected verdict and its epoch.
func (s *subject) state() (denied bool, epoch int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.denied || s.never, s.epoch
}

// advance starts or ends a change of the expected verdict.
func (s *subject) advance(denied bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.denied = denied
	s.epoch++
}

// check returns an error if a verdict isn't the expected one.
func (s *subject) check(denied bool, err error) error {
	switch {
	case !denied && err != nil:
		return fmt.Errorf("%s (%s) was denied: %w", s.image, s.name, err)
	case denied && err == nil:
		return fmt.Errorf("%s (%s) was admitted", s.image, s.name)
	case denied && !s.isDenial(err):
		return fmt.Errorf("%s (%s) was denied, but not for %s: %w", s.image, s.name, strings.Join(s.codes, ", "), err)
	}
	return nil
}

// isDenial reports whether err is a denial with one of the codes.
func (s *subject) isDenial(err error) bool {
	return apierrors.IsForbidden(err) && slices.ContainsFunc(append([]string{"RegistryUnavailable"}, s.codes...), func(code string) bool {
		return strings.Contains(err.Error(), "- "+code+":")
	})
}

// await waits until the verdict on a subject is the expected one.
func (w *fixture) await(ctx context.Context, s *subject) error {
	return bed.Poll(ctx, settleBound, func(ctx context.Context) error {
		denied, _ := s.state()
		return s.check(denied, w.create(ctx, podOf(s.image), []string{metav1.DryRunAll}))
	})
}

// change makes a change that changes the verdict on a subject, and waits until it has.
func (w *fixture) change(ctx context.Context, s *subject, do func(context.Context) error) error {
	denied, _ := s.state()
	s.advance(!denied)
	if err := do(ctx); err != nil {
		return err
	}
	if err := w.await(ctx, s); err != nil {
		return err
	}
	s.advance(!denied)
	return nil
}

// awaitVerdicts waits until each subject has enough verdicts while nothing changes.
func (w *fixture) awaitVerdicts(ctx context.Context) error {
	subjects := w.currentSubjects()
	goals := make([]int64, len(subjects))
	for i, s := range subjects {
		goals[i] = s.verdicts.Load() + phase
	}
	return bed.Poll(ctx, 2*time.Minute, func(context.Context) error {
		for i, s := range subjects {
			if have := s.verdicts.Load(); have < goals[i] {
				return fmt.Errorf("%s (%s) has %d verdicts, waiting for %d", s.image, s.name, have, goals[i])
			}
		}
		return nil
	})
}

// load requests all subjects in turn until ctx ends. A wrong verdict ends it.
func (w *fixture) load(ctx context.Context, wrong context.CancelCauseFunc) {
	var group sync.WaitGroup
	var next atomic.Int64
	for range workers {
		group.Go(func() {
			for ctx.Err() == nil {
				subjects := w.currentSubjects()
				n := int(next.Add(1))
				// Each subject is requested as a pod in one round, and as a Deployment in the
				// next.
				if err := w.request(ctx, subjects[n%len(subjects)], n/len(subjects)); err != nil && ctx.Err() == nil {
					wrong(err)
				}
			}
		})
	}
	group.Wait()
}

// request requests a pod or a Deployment. It ignores verdicts that were made while the expected
// verdict changed.
func (w *fixture) request(ctx context.Context, s *subject, round int) error {
	denied, epoch := s.state()
	var object any = podOf(s.image)
	if round%2 == 0 {
		object = deploymentOf(s.image)
	}
	err := w.create(ctx, object, []string{metav1.DryRunAll})
	if _, now := s.state(); now != epoch || epoch%2 == 1 {
		return nil
	}
	s.verdicts.Add(1)
	return s.check(denied, err)
}

// create creates a Pod or a Deployment.
func (w *fixture) create(ctx context.Context, object any, dryRun []string) (err error) {
	options := metav1.CreateOptions{DryRun: dryRun}
	switch object := object.(type) {
	case *corev1.Pod:
		_, err = w.cluster.Client().CoreV1().Pods(namespace).Create(ctx, object, options)
	case *appsv1.Deployment:
		_, err = w.cluster.Client().AppsV1().Deployments(namespace).Create(ctx, object, options)
	default:
		err = errors.New("neither a Pod nor a Deployment")
	}
	return err
}

var labels = map[string]string{"app": "web"}

// specOf returns the spec of a pod that runs an image.
func specOf(image string) corev1.PodSpec {
	return corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: image}}}
}

// podOf returns a pod that runs an image.
func podOf(image string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{GenerateName: "web-", Labels: labels}, Spec: specOf(image)}
}

// deploymentOf returns a Deployment that runs an image.
func deploymentOf(image string) *appsv1.Deployment {
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "web-"},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: specOf(image)},
		},
	}
}

// tally returns the number of verdicts.
func (w *fixture) tally() string {
	counts := map[string]int64{}
	var names []string
	for _, s := range w.currentSubjects() {
		if !slices.Contains(names, s.name) {
			names = append(names, s.name)
		}
		counts[s.name] += s.verdicts.Load()
	}
	var texts []string
	for _, name := range names {
		texts = append(texts, fmt.Sprintf("%s %d", name, counts[name]))
	}
	return "verdicts: " + strings.Join(texts, ", ")
}
