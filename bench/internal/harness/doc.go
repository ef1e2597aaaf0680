// Package harness has what the benchmarks of the plugin and the webhook share: the
// processes that are measured, clients that repeat requests, and tables of figures.
package harness
