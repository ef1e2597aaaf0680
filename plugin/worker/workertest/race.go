//go:build race

package workertest

// Memory of the tests' workers: the race detector takes four bytes beside each.
const Memory = 2 << 30
