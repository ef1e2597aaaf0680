// Package observer measures how long digests are healthy in the namespaces of Gates
// that ask for it (spec.observe), and signs that: it knows what a namespace is like and
// when it couldn't see that (world.go, feed.go), what healthy is at an instant
// (health.go), how instants become time that counts (account.go), and how the figures
// survive (notebook.go, seal.go).
//
// It leaves to internal/evidence how a statement is signed and stored, and to
// internal/gate what a soak amounts to.
package observer
