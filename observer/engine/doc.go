// Package engine measures: at each interval it observes the namespaces of Gates with
// spec.observe, adds a sample to the tracker of each digest, writes its Soak, and has
// statements signed that are due.
//
//   - engine.go holds the loop, namespaces.go the namespace watchers it keeps, observe.go
//     what happens in one observation of a namespace.
//   - A tracker (tracker.go) is one Soak while it is measured. resume.go brings Soaks of
//     digests that stopped up to date, pending.go flushes their statements.
//   - attester.go signs and pushes statements (statement.go) in the background.
//
// One goroutine runs all of it but the signing.
package engine
