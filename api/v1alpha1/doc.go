// Package v1alpha1 has envladder's custom resources: the Gate, which says what a
// digest must show before it may run in an environment, and the Recall, which says
// which digests must not run any more. It reads them strictly from files and from what
// an API server serves. Whether a Gate makes sense is internal/gate's to say.
//
// +kubebuilder:object:generate=true
// +groupName=envladder.dev
package v1alpha1

//go:generate go tool -modfile=../../tools/controller-gen.mod controller-gen object crd paths=. output:crd:dir=../../manifests/crds
