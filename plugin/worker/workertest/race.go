//go:build race

package workertest

// Memory is the memory limit of the tests' workers. The race detector needs four times as much.
const Memory = 2 << 30
