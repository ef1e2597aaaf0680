package observer

import (
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/observer/observertest"
)

func TestDipBetweenObservationsInterrupts(t *testing.T) {
	s, d, r, digest := begin(t)
	r.pass(20 * time.Second)
	d.setPod(0, false, 0)
	d.setPod(0, true, 0)
	// The watch brings both events before this one, of another object of its kind.
	marker := d.pods[1].DeepCopy()
	marker.Annotations = map[string]string{"marker": "seen"}
	s.must(s.client.Update(t.Context(), marker))
	w := r.program.engine.Watcher(s.namespace)
	observertest.WaitUntil(t, "the dip is noticed", func() bool {
		return w.State().Dips > 0
	})
	observertest.WaitUntil(t, "the dip is over", func() bool {
		return w.Snapshot().Pods[d.pods[0].UID].Ready
	})
	r.tick(10 * time.Second)
	r.tick(10 * time.Second)
	if w := s.soak(digest).Status.Window; w.HealthySeconds != 30 || w.InterruptedSeconds != 10 || w.Interruptions[0].Reason != v1alpha1.SoakDegraded {
		t.Errorf("the window is %+v", w)
	}
}

func TestMissingReadinessProbeStopsCounting(t *testing.T) {
	s := newStaging(t)
	digest := s.registry.Image(t, "shop/web")
	s.deploy(s.web()+"@"+digest, func(d *appsv1.Deployment) { d.Spec.Template.Spec.Containers[0].ReadinessProbe = nil })
	r := s.observe()
	r.untilState(digest, v1alpha1.SoakWaiting, v1alpha1.SoakNoReadinessProbe)
	r.pass(2 * time.Minute)
	if got := s.soak(digest); got.Status.Window != nil || !strings.Contains(got.Status.Message, `container "web" has no readinessProbe`) {
		t.Errorf("the status is %+v", got.Status)
	}
	if all := s.attestations(digest); len(all) != 0 {
		t.Errorf("it was attested: %+v", all)
	}
}

func TestTaggedImageWarns(t *testing.T) {
	s := newStaging(t)
	s.deploy(s.web() + ":1.4.2")
	r := s.observe()
	observertest.WaitUntil(t, "there is an event", func() bool {
		r.tick(0)
		return s.event(s.gate.Name, "NoDigest")
	})
}

func TestNodeRunningOtherImageInterrupts(t *testing.T) {
	s, d, r, digest := begin(t)
	other := s.registry.Image(t, "shop/web")
	d.pods[1].Status.ContainerStatuses[0].ImageID = s.web() + "@" + other
	s.must(s.client.Status().Update(t.Context(), d.pods[1]))
	r.untilState(digest, v1alpha1.SoakInterrupted, v1alpha1.SoakOtherImage)
	d.pods[1].Status.ContainerStatuses[0].ImageID = "mirror.example.com/cache/web@" + observertest.Digest("9")
	s.must(s.client.Status().Update(t.Context(), d.pods[1]))
	r.untilState(digest, v1alpha1.SoakHealthy, "") // it can't be compared
}
