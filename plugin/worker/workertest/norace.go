//go:build !race

package workertest

// Memory of the tests' workers.
const Memory = 512 << 20
