//go:build !race

package plugin_test

// renderMemory of the tests.
const renderMemory = 512 << 20
