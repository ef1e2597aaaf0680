// Package postrender does what a rendering by envladder has beyond one by Helm. It holds
// images to their pins, puts the preflight object in front, stamps workloads, and annotates
// what each sync recreates with the workloads that run its images. It also finds Secrets
// whose values another tool would have to resolve, and whether an image is used.
//
// It works on manifests and knows neither charts nor Helm: package chart calls it.
package postrender
