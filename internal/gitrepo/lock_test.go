package gitrepo

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Variables of the process that is killed.
const (
	victimDir  = "GITREPO_TEST_DIR"
	stopAt     = "GITREPO_TEST_STOP"
	stopFolder = "GITREPO_TEST_STOP_DIR"
)

// TestMain is also the process that is killed: it fetches, commits and pushes.
func TestMain(m *testing.M) {
	dir := os.Getenv(victimDir)
	if dir == "" {
		os.Exit(m.Run())
	}
	ctx := context.Background()
	r, err := Open(ctx, dir, "origin")
	if err != nil {
		panic(err)
	}
	q, err := r.Quarantine(ctx)
	if err != nil {
		panic(err)
	}
	base, err := q.Fetch(ctx, "main")
	if err != nil {
		panic(err)
	}
	tree, err := q.Tree(base)
	if err == nil {
		tree, err = tree.With(ctx, "new", []byte("x"))
	}
	if err != nil {
		panic(err)
	}
	message, err := q.EditMessage(ctx, "new\n")
	if err != nil {
		panic(err)
	}
	commit, err := q.Commit(ctx, tree, base, message)
	if err != nil {
		panic(err)
	}
	panic(q.Push(ctx, "feature", "", commit))
}

// stop is a script that git runs in place of a program or as a hook: where it is meant to,
// it reports that and waits. Git then fails, so that a git that outlives the process changes
// nothing more.
const stop = `#!/bin/sh
name=$(basename "$0")
if [ "$name" != "$GITREPO_TEST_STOP" ]; then
  [ "$name" = upload-pack ] && exec git-upload-pack "$@"
  exit 0
fi
touch "$GITREPO_TEST_STOP_DIR/reached"
n=0
while [ ! -e "$GITREPO_TEST_STOP_DIR/released" ] && [ $n -lt 600 ]; do sleep 0.05; n=$((n + 1)); done
exit 1
`

func TestLeftovers(t *testing.T) {
	for _, point := range []string{"upload-pack", "commit-msg", "pre-receive"} {
		for name, alone := range map[string]bool{"without its programs": true, "with its programs": false} {
			t.Run("next quarantine removes leftovers of a process killed in "+point+" "+name, func(t *testing.T) {
				r, bare := world(t)
				prepareStops(t, r, bare)
				openAndClose(t, r)
				before := remains(t, r)

				release := kill(t, r, point, alone)
				if diff := cmp.Diff(before, remains(t, r)); diff == "" {
					t.Fatal("it has left nothing: it wasn't killed where it should be")
				}
				openAndClose(t, r)
				if alone { // git is still running
					release()
				} else if diff := cmp.Diff(before, remains(t, r)); diff != "" {
					t.Errorf("left (-before +after):\n%s", diff)
				}
				deadline := time.Now().Add(20 * time.Second)
				for remains(t, r) != before {
					if time.Now().After(deadline) {
						t.Fatalf("left (-before +after):\n%s", cmp.Diff(before, remains(t, r)))
					}
					openAndClose(t, r)
				}
			})
		}
	}
}

// prepareStops has git run the script at each of the points.
func prepareStops(t *testing.T, r *Repository, bare string) {
	t.Helper()
	own := filepath.Join(r.Root, ".git", "upload-pack")
	for _, name := range []string{own, filepath.Join(r.Root, ".git", "hooks", "commit-msg"), filepath.Join(bare, "hooks", "pre-receive")} {
		check(t, os.WriteFile(name, []byte(stop), 0o700))
	}
	git(t, r.Root, "config", "remote.origin.uploadpack", own)
}

// kill starts a promotion and kills it at a point. The function lets what it has started,
// if that lives, go on.
func kill(t *testing.T, r *Repository, point string, alone bool) (release func()) {
	t.Helper()
	folder := t.TempDir()
	release = func() { check(t, os.WriteFile(filepath.Join(folder, "released"), nil, 0o600)) }
	victim := exec.CommandContext(t.Context(), os.Args[0]) // this very test
	victim.Env = append(os.Environ(), victimDir+"="+r.Root, stopAt+"="+point, stopFolder+"="+folder)
	victim.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	check(t, victim.Start())
	t.Cleanup(func() { _ = syscall.Kill(-victim.Process.Pid, syscall.SIGKILL) })
	ended := make(chan error, 1)
	go func() { ended <- victim.Wait() }()
	deadline := time.After(30 * time.Second)
	for {
		if _, err := os.Stat(filepath.Join(folder, "reached")); err == nil {
			break
		}
		select {
		case err := <-ended:
			t.Fatalf("it ended before it was killed: %v", err)
		case <-deadline:
			t.Fatal("it didn't come to where it is killed")
		case <-time.After(10 * time.Millisecond):
		}
	}
	pid := victim.Process.Pid
	if !alone {
		pid = -pid
	}
	check(t, syscall.Kill(pid, syscall.SIGKILL))
	<-ended
	return release
}

func openAndClose(t *testing.T, r *Repository) {
	t.Helper()
	q, err := r.Quarantine(t.Context())
	check(t, err)
	q.Close()
}

// remains returns everything that must be as it was.
func remains(t *testing.T, r *Repository) string {
	t.Helper()
	all := []string{state(t, r)}
	for _, pattern := range []string{filepath.Join(r.common, "envladder", "*"), filepath.Join(r.common, "*")} {
		found, err := filepath.Glob(pattern)
		check(t, err)
		all = append(all, strings.Join(found, "\n"))
	}
	return strings.Join(all, "\n\n")
}
