//go:build race

package worker_test

// memory of the tests' workers: the race detector takes four bytes beside each.
const memory = 2 << 30
