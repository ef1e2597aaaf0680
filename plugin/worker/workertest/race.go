//go:build race

package workertest

// Memory is the memory limit of the tests' workers. The race detector uses four
// bytes in addition to each byte.
const Memory = 2 << 30
