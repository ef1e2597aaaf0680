//go:build race

package plugin_test

// renderMemory of the tests: the race detector takes four bytes beside each.
const renderMemory = 2 << 30
