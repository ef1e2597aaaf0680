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

// TestMain is also the process that is killed: it makes a work tree, commits and pushes.
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
	w, err := r.Worktree(ctx, "main")
	if err != nil {
		panic(err)
	}
	if err := w.Write("new", []byte("x")); err != nil {
		panic(err)
	}
	commit, err := w.Commit(ctx, "new", "new")
	if err != nil {
		panic(err)
	}
	panic(w.Push(ctx, "feature", "", commit))
}

// stop is a script that git runs: where it is meant to, it says so and waits. Git then
// fails, so that a git that outlives the process changes nothing more.
const stop = `#!/bin/sh
name=$(basename "$0")
if [ "$name" = reference-transaction ]; then
  [ "$1" = committed ] && grep -q refs/envladder || exit 0
fi
if [ "$name" != "$GITREPO_TEST_STOP" ]; then
  [ "$name" != smudge ] || cat
  exit 0
fi
touch "$GITREPO_TEST_STOP_DIR/reached"
n=0
while [ ! -e "$GITREPO_TEST_STOP_DIR/released" ] && [ $n -lt 600 ]; do sleep 0.05; n=$((n + 1)); done
exit 1
`

// Killed anywhere, alone or with all that it has started, a promotion leaves nothing that
// the next one doesn't take away.
func TestWhatAKilledProcessLeavesIsTakenAway(t *testing.T) {
	for _, point := range []string{"reference-transaction", "smudge", "post-checkout", "pre-commit", "pre-push"} {
		for name, alone := range map[string]bool{"alone": true, "with its programs": false} {
			t.Run(point+" "+name, func(t *testing.T) {
				r, _ := world(t)
				t.Setenv("TMPDIR", t.TempDir())
				prepareStops(t, r)
				// A person's own work tree, whose folder is gone for now and whose name begins like ours.
				own := filepath.Join(filepath.Dir(r.Root), "envladder-fix")
				git(t, r.Root, "worktree", "add", "--quiet", "--detach", own)
				check(t, os.Rename(own, own+".away"))
				openAndClose(t, r)
				before := remains(t, r)

				release := kill(t, r, point, alone)
				if diff := cmp.Diff(before, remains(t, r)); diff == "" {
					t.Fatal("it has left nothing: it wasn't killed where it should be")
				}
				openAndClose(t, r)
				if alone { // git is still at work
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

// prepareStops has git run the script in each of the places.
func prepareStops(t *testing.T, r *Repository) {
	t.Helper()
	hooks := filepath.Join(r.Root, ".git", "hooks")
	for _, name := range []string{"reference-transaction", "smudge", "post-checkout", "pre-commit", "pre-push"} {
		check(t, os.WriteFile(filepath.Join(hooks, name), []byte(stop), 0o700))
	}
	git(t, r.Root, "config", "filter.slow.smudge", filepath.Join(hooks, "smudge"))
	git(t, r.Root, "config", "filter.slow.clean", "cat")
	git(t, r.Root, "config", "filter.slow.required", "true")
	check(t, os.WriteFile(filepath.Join(r.Root, ".gitattributes"), []byte("slow filter=slow\n"), 0o600))
	check(t, os.WriteFile(filepath.Join(r.Root, "slow"), []byte("x\n"), 0o600))
	git(t, r.Root, "add", "--all")
	git(t, r.Root, "commit", "--quiet", "-m", "slow")
	git(t, r.Root, "push", "--quiet", "origin", "main")
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
	w, err := r.Worktree(t.Context(), "main")
	check(t, err)
	check(t, w.Close(t.Context()))
}

// remains is everything that must be as it was.
func remains(t *testing.T, r *Repository) string {
	t.Helper()
	all := []string{state(t, r)}
	for _, pattern := range []string{
		filepath.Join(os.Getenv("TMPDIR"), "*"), filepath.Join(r.common, "worktrees", "*"), filepath.Join(r.common, "refs", "envladder", "*", "*"),
		filepath.Join(r.common, "*"),
	} {
		found, err := filepath.Glob(pattern)
		check(t, err)
		all = append(all, strings.Join(found, "\n"))
	}
	return strings.Join(all, "\n\n")
}
