// Package manifest has the documents that a chart renders to: their type, their order in
// print, and how their objects are read. It reads YAML as Argo CD does, and knows neither
// Helm nor ladders.
package manifest
