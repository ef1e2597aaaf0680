// Package soakstore keeps the engine's figures in Soaks, so that a restart resumes them.
//
//   - status.go converts a window to a Soak's status and back.
//   - seal.go authenticates a status: anyone who edits a Soak lacks the signing key's file.
//   - store.go opens, reads and writes Soaks, and notices edits, deletions, and another
//     observer that writes too; prune.go deletes the oldest ones.
package soakstore
