//go:build !race

package workertest

// Memory is the memory limit of the tests' workers.
const Memory = 512 << 20
