// Package v1alpha1 has envladder's custom resources: the Gate, which says what a
// digest must show before it may run in an environment, and the Recall, which says
// which digests must not run any more.
//
// +kubebuilder:object:generate=true
// +groupName=envladder.dev
package v1alpha1
