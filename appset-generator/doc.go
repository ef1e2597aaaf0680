// Package appset implements Argo CD's ApplicationSet plugin generator for a ladder's
// previews: one row of parameters for each open pull request whose images exist.
//
// An empty response makes Argo CD delete every preview, so it is sent only if there are
// provably none. Anything unknown (a forge, registry or ladder that can't be read) is an
// error, for which Argo CD leaves everything as it is.
//
// Listing pull requests is left to internal/scm, resolving tags to internal/registry, and
// the manifests of a preview to the ApplicationSet and the plugin.
package appset
