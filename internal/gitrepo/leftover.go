package gitrepo

import (
	"os"
	"path/filepath"
)

// quarantines returns the folder of the clone's quarantines.
func (r *Repository) quarantines() string { return filepath.Join(r.common, "envladder") }

// removeLeftovers removes all quarantines. Under the lock there are only those
// of killed processes. Programs that a killed process started may still write there; the next
// quarantine removes that.
func (r *Repository) removeLeftovers() {
	_ = os.RemoveAll(r.quarantines()) //nolint:gosec // git names the folder
}
