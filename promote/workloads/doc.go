// Package workloads reads what clusters run of a ladder: the workloads that carry its
// stamps, with their images and ready pods.
package workloads
