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

// subject is an image, and what must be said of it.
type subject struct {
	name, image string
	// codes of a denial; with the registry down, RegistryUnavailable is as good.
	codes []string
	// never is set where it must never be admitted.
	never bool

	verdicts atomic.Int64

	mu sync.Mutex
	// denied is what must be said now, and epoch changes with it: while it is odd,
	// either may be said.
	denied bool
	epoch  int
}

func (s *subject) state() (denied bool, epoch int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.denied || s.never, s.epoch
}

// turn ends what must be said, or says what must be from now on.
func (s *subject) turn(denied bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.denied = denied
	s.epoch++
}

// judge says what is wrong with an answer.
func (s *subject) judge(denied bool, err error) error {
	switch {
	case !denied && err != nil:
		return fmt.Errorf("%s (%s) was refused: %w", s.image, s.name, err)
	case denied && err == nil:
		return fmt.Errorf("%s (%s) was admitted", s.image, s.name)
	case denied && !s.isDenial(err):
		return fmt.Errorf("%s (%s) was refused, but not for %s: %w", s.image, s.name, strings.Join(s.codes, ", "), err)
	}
	return nil
}

func (s *subject) isDenial(err error) bool {
	return apierrors.IsForbidden(err) && slices.ContainsFunc(append([]string{"RegistryUnavailable"}, s.codes...), func(code string) bool {
		return strings.Contains(err.Error(), "- "+code+":")
	})
}

// await waits until what is said of a subject is what must be.
func (w *world) await(ctx context.Context, s *subject) error {
	return bed.Poll(ctx, settleBound, func(ctx context.Context) error {
		denied, _ := s.state()
		return s.judge(denied, w.create(ctx, podOf(s.image), []string{metav1.DryRunAll}))
	})
}

// change does what turns the verdict on a subject, and waits until it has.
func (w *world) change(ctx context.Context, s *subject, do func(context.Context) error) error {
	denied, _ := s.state()
	s.turn(!denied)
	if err := do(ctx); err != nil {
		return err
	}
	if err := w.await(ctx, s); err != nil {
		return err
	}
	s.turn(!denied)
	return nil
}

// hold waits until each subject was asked about often enough while nothing changes.
func (w *world) hold(ctx context.Context) error {
	subjects := w.all()
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

// load asks about all subjects, in turn, until ctx ends; a wrong verdict ends it.
func (w *world) load(ctx context.Context, wrong context.CancelCauseFunc) {
	var group sync.WaitGroup
	var next atomic.Int64
	for range workers {
		group.Go(func() {
			for ctx.Err() == nil {
				subjects := w.all()
				n := int(next.Add(1))
				// Each of them is asked about as a pod in one round, and as a Deployment in the next.
				if err := w.ask(ctx, subjects[n%len(subjects)], n/len(subjects)); err != nil && ctx.Err() == nil {
					wrong(err)
				}
			}
		})
	}
	group.Wait()
}

// ask asks for a pod or a Deployment. A verdict that was made while what must be said
// changed is none.
func (w *world) ask(ctx context.Context, s *subject, round int) error {
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
	return s.judge(denied, err)
}

func (w *world) create(ctx context.Context, object any, dryRun []string) (err error) {
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

func specOf(image string) corev1.PodSpec {
	return corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: image}}}
}

func podOf(image string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{GenerateName: "web-", Labels: labels}, Spec: specOf(image)}
}

func deploymentOf(image string) *appsv1.Deployment {
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "web-"},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: specOf(image)},
		},
	}
}

// tally is how many verdicts there were.
func (w *world) tally() string {
	counts := map[string]int64{}
	var names []string
	for _, s := range w.all() {
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
