// Package workload reads objects that start pods: where each kind has its pod templates,
// and which images these name. It knows Kubernetes' kinds, Argo Rollouts' and Knative's,
// and others by the paths that it is given.
//
// It reads in full or not at all: what it can't read is an error, since an image that it
// overlooks would be let by unjudged. What the images have proven is others' to judge.
package workload
