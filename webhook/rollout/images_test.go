package rollout

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/json"

	"github.com/envladder/envladder/internal/workload"
	"github.com/envladder/envladder/webhook/webhooktest"
)

func TestResolve(t *testing.T) {
	image := "r/web@" + webhooktest.Digest('a')
	resolver := NewResolver(webhooktest.UnreachableAPI{}, workload.NewKinds())
	request := func(change func(*corev1.Pod)) *admissionv1.AdmissionRequest {
		pod := webhooktest.NewPod("shop", "web", image)
		pod.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}
		change(pod)
		r := webhooktest.PodRequest(image)
		var err error
		if r.Object.Raw, err = json.Marshal(pod); err != nil {
			t.Fatal(err)
		}
		return r
	}
	t.Run("containers of one image are one review", func(t *testing.T) {
		changes, err := resolver.Resolve(t.Context(), request(func(pod *corev1.Pod) {
			pod.Spec.InitContainers = []corev1.Container{{Name: "init", Image: image}}
		}))
		if err != nil {
			t.Fatal(err)
		}
		fields := []string{"spec.initContainers[0].image", "spec.containers[0].image"}
		if len(changes.Images) != 1 || changes.Images[0].Reference != image || len(changes.Warnings) != 0 {
			t.Fatalf("the changes are %+v", changes)
		}
		if diff := cmp.Diff(fields, changes.Images[0].Fields); diff != "" {
			t.Errorf("fields (-want +got):\n%s", diff)
		}
	})
	t.Run("failed owner look-up is a warning", func(t *testing.T) {
		owned := request(func(pod *corev1.Pod) {
			owner := webhooktest.NewReplicaSet("shop", image)
			owner.UID = "u"
			webhooktest.SetOwner(pod, owner, "apps/v1", "ReplicaSet")
		})
		owned.UserInfo.Username = "system:kube-controller-manager"
		changes, err := resolver.Resolve(t.Context(), owned)
		if err != nil {
			t.Fatal(err)
		}
		if len(changes.Images) != 1 || changes.Images[0].Rescheduled {
			t.Errorf("the images are %+v, want one that isn't rescheduled", changes.Images)
		}
		if len(changes.Warnings) != 1 || !strings.Contains(changes.Warnings[0].Err.Error(), `looking up ReplicaSet "web"`) {
			t.Errorf("the warnings are %v, want one of the owner", changes.Warnings)
		}
	})
	t.Run("deletion starts nothing", func(t *testing.T) {
		deletion := request(func(*corev1.Pod) {})
		deletion.Operation = admissionv1.Delete
		if changes, err := resolver.Resolve(t.Context(), deletion); err != nil || changes.Note == "" || len(changes.Images) != 0 {
			t.Errorf("the changes are %+v, %v, want a note", changes, err)
		}
	})
}
