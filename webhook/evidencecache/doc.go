// Package evidencecache stores the attestations of admitted digests in the cluster, so that
// they are available after a restart and while the registry is down.
//
// It leaves to internal/evidence how attestations are verified, both when they are stored
// and when they are loaded again: the cache itself proves nothing.
package evidencecache
