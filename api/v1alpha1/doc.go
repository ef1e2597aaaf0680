// Package v1alpha1 has envladder's custom resources: the Gate (the evidence that a digest
// needs to run in an environment), the Recall (digests that must not run), the Exception
// (digests that are exempt from requirements), the Soak (how long a digest was healthy) and
// the EvidenceCache. It decodes them strictly from files and from an API server's objects.
// internal/gate checks whether a Gate is valid.
//
// +kubebuilder:object:generate=true
// +groupName=envladder.dev
package v1alpha1

//go:generate go tool -modfile=../../tools/controller-gen.mod controller-gen object crd paths=. output:crd:dir=../../manifests/crds
