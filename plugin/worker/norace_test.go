//go:build !race

package worker_test

// memory of the tests' workers.
const memory = 512 << 20
