// Package chart loads charts and renders them with a ladder's values: what it renders
// equals what `helm template --include-crds` of the linked Helm version prints for the same
// chart and values, before post-rendering. It and the packages below it alone import Helm,
// and of Helm only the loader, the values and the engine. Helm's actions would link the
// clients of a cluster, of a registry and of a release store.
//
// A render reaches no cluster, no network and no file outside the chart. Which layers there
// are, and in which order, is decided by package ladder.
//
// Imports run one way:
//
//	chartlint -> chart -> postrender -> manifest
//
// Package manifest has the rendered documents. Package postrender checks and annotates
// them. This package loads, renders, and calls postrender. Package chartlint checks what a
// chart does with its values, by reading its templates and by rendering it again.
package chart
