// Package observer measures how long digests are healthy in the namespaces of Gates with
// spec.observe, and signs that as soaks. It wires the parts that do it:
//
//   - package watch observes namespaces,
//   - package window adds up healthy time,
//   - package soakstore keeps the figures in Soaks,
//   - package engine runs the three, and signs what is due.
//
// How a statement is signed and stored is left to internal/evidence, whether a soak
// suffices to internal/gate.
package observer
