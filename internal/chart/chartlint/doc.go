// Package chartlint checks what a chart does with its values: which values its templates
// read, which change nothing that is rendered, which calls make two renders of the same
// input differ, and which numbers are rendered in another notation than they were written
// in. It reads templates without running them where that is enough, and renders the chart
// again, a bounded number of times, where it isn't.
//
// It changes nothing, and reports paths and positions. Package lint makes messages of them.
package chartlint
