package gitrepo

import (
	"os"
	"path/filepath"
	"testing"
)

func TestFetch(t *testing.T) {
	t.Run("branch created during the fetch is fetched again", func(t *testing.T) {
		r, bare := world(t)
		// A remote on which the branch appears after its branches were listed for the first time.
		program := filepath.Join(t.TempDir(), "upload-pack")
		check(t, os.WriteFile(program, []byte("#!/bin/sh\ngit-upload-pack \"$@\"\nstatus=$?\ngit -C "+bare+" branch --force new main\nexit $status\n"), 0o700))
		git(t, r.Root, "config", "remote.origin.uploadpack", program)
		q := quarantine(t, r)
		got, err := q.Fetch(t.Context(), "new")
		check(t, err)
		if want := git(t, bare, "rev-parse", "main"); got != want {
			t.Errorf("got commit %q, want %s", got, want)
		}
	})
	t.Run("missing branch is no error", func(t *testing.T) {
		r, _ := world(t)
		if got, err := quarantine(t, r).Fetch(t.Context(), "none"); got != "" || err != nil {
			t.Errorf("got commit %q, error %v", got, err)
		}
	})
	t.Run("missing remote is an error", func(t *testing.T) {
		r, bare := world(t)
		q := quarantine(t, r)
		check(t, os.RemoveAll(bare))
		if _, err := q.Fetch(t.Context(), "main"); err == nil {
			t.Error("no error")
		}
	})
}
