// Package rollout finds out what an admission request would start: the images that must be
// judged, with the stamps that count for each, and which of their digests run already.
//
// It reads owners and other workloads live from the API server. It leaves to
// internal/workload how pod templates and images are read from an object, and judges
// nothing itself.
package rollout
