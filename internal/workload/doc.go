// Package workload reads objects that start pods: where each kind has its pod templates,
// and which images these name. It knows Kubernetes' kinds, Argo Rollouts' and Knative's,
// and others by the paths that it is given.
//
// It returns an error for an object that it can't read in full, since an overlooked image
// would be admitted without a review. It doesn't evaluate evidence.
package workload
