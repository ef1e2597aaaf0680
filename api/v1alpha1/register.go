package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion of envladder's resources.
var GroupVersion = schema.GroupVersion{Group: "envladder.dev", Version: "v1alpha1"}

// AddToScheme registers envladder's resources.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion, &Gate{}, &GateList{}, &Recall{}, &RecallList{}, &Exception{}, &ExceptionList{}, &Soak{}, &SoakList{}, &EvidenceCache{}, &EvidenceCacheList{})
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}
