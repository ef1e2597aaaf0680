// Package appset answers Argo CD's ApplicationSet plugin generator with a ladder's
// previews: one row for each open pull request whose images exist.
//
// An empty answer makes Argo CD delete every preview, so it is given only where it is
// proven: whatever isn't known (a forge, a registry, a ladder that can't be read) is an
// error, at which Argo CD leaves everything as it is.
//
// How a forge lists pull requests it leaves to internal/scm, what a tag's digest is to
// internal/registry, and how a preview looks to the ApplicationSet and the plugin.
package appset
