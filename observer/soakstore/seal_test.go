package soakstore

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/envladder/envladder/api/v1alpha1"
)

func TestSealCoversObjectAndFigures(t *testing.T) {
	s := newSealer([]byte("key"))
	soak := &v1alpha1.Soak{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", UID: "1"}}
	soak.Status.Window = &v1alpha1.SoakWindow{HealthySeconds: 10}
	seal, err := s.seal(soak)
	if err != nil {
		t.Fatal(err)
	}
	soak.Status.Seal = seal
	if !s.verify(soak) {
		t.Fatal("the seal doesn't verify")
	}
	for name, change := range map[string]func(*v1alpha1.Soak){
		"namespace": func(s *v1alpha1.Soak) { s.Namespace = "other" },
		"name":      func(s *v1alpha1.Soak) { s.Name = "other" },
		"uid":       func(s *v1alpha1.Soak) { s.UID = "2" },
		"spec":      func(s *v1alpha1.Soak) { s.Spec.Environment = "prod" },
		"figures":   func(s *v1alpha1.Soak) { s.Status.Window.HealthySeconds++ },
		"seal":      func(s *v1alpha1.Soak) { s.Status.Seal = "" },
	} {
		edited := soak.DeepCopy()
		change(edited)
		if s.verify(edited) {
			t.Errorf("a changed %s verifies", name)
		}
	}
	if newSealer([]byte("other key")).verify(soak) {
		t.Error("another key verifies")
	}
}
