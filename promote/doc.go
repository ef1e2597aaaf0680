// Package promote moves digests up the ladder: it writes pins, turns a candidate into a
// commit or a pull request that shows the Gate's verdict, and reports the status of the
// environments.
//
// Git is written by internal/gitrepo and pull requests by internal/scm. Whether a digest
// may run is decided by internal/verdict.
package promote
