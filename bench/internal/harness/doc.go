// Package harness is shared by the benchmarks of the plugin and the webhook. It runs the
// measured processes and the clients that repeat requests, and formats tables.
package harness
