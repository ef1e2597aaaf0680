package gitrepo

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// world is a bare repository with a file on main, and a clone of it whose user is Ana.
func world(t *testing.T) (r *Repository, bare string) {
	t.Helper()
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("GIT_CONFIG_NOSYSTEM", "1")
	t.Setenv("XDG_CONFIG_HOME", home)
	git(t, home, "config", "--global", "user.name", "Ana")
	git(t, home, "config", "--global", "user.email", "ana@example.com")
	git(t, home, "config", "--global", "init.defaultBranch", "trunk")
	bare, clone := filepath.Join(home, "bare.git"), filepath.Join(home, "clone")
	git(t, home, "init", "--quiet", "--bare", "--initial-branch=main", bare)
	git(t, home, "clone", "--quiet", "file://"+bare, clone)
	check(t, os.MkdirAll(filepath.Join(clone, "shop", "pins"), 0o750))
	check(t, os.WriteFile(filepath.Join(clone, "shop", "pins", "dev.yaml"), []byte("images: {}\n"), 0o600))
	git(t, clone, "checkout", "--quiet", "-b", "main")
	git(t, clone, "add", "--all")
	git(t, clone, "commit", "--quiet", "-m", "begin")
	git(t, clone, "push", "--quiet", "origin", "main")
	r, err := Open(t.Context(), filepath.Join(clone, "shop"), "origin")
	check(t, err)
	return r, bare
}

// state is everything of a user's repository that must stay as it is.
func state(t *testing.T, r *Repository) string {
	t.Helper()
	return strings.Join([]string{
		git(t, r.Root, "status", "--porcelain", "--branch"), git(t, r.Root, "for-each-ref"),
		git(t, r.Root, "worktree", "list"), git(t, r.Root, "stash", "list"),
	}, "\n")
}

func TestAWorktreeLeavesNothingBehind(t *testing.T) {
	r, bare := world(t)
	if r.Dir != "shop" {
		t.Errorf("the folder is %q, want shop", r.Dir)
	}
	check(t, os.WriteFile(filepath.Join(r.Root, "mine.txt"), []byte("mine"), 0o600))
	before := state(t, r)

	w, err := r.Worktree(t.Context(), "main")
	check(t, err)
	check(t, w.Write("shop/pins/dev.yaml", []byte("images: {web: x}\n")))
	check(t, w.Write("shop/pins/new/prod.yaml", []byte("images: {}\n")))
	commit, err := w.Commit(t.Context(), "shop/pins/dev.yaml", "pins\n\n# not a comment\n\nMark: shop/dev\n")
	check(t, err)
	check(t, w.Push(t.Context(), "main", w.Base, commit))
	check(t, w.Close(t.Context()))

	if _, err := os.Stat(w.Root); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the work tree is still there: %v", err)
	}
	// Git itself notes what it has pushed in origin/main.
	git(t, r.Root, "update-ref", "refs/remotes/origin/main", w.Base)
	if diff := cmp.Diff(before, state(t, r)); diff != "" {
		t.Errorf("the user's repository changed (-before +after):\n%s", diff)
	}
	if got := git(t, bare, "rev-parse", "main"); got != commit {
		t.Errorf("main is %s, want %s", got, commit)
	}
	if got := git(t, bare, "log", "-1", "--format=%an <%ae>%n%B", "main"); !strings.HasPrefix(got, "Ana <ana@example.com>\npins\n\n# not a comment") {
		t.Errorf("the commit is %q", got)
	}
}

// To git, a fetch beside a work tree that comes or goes is a fetch of a broken repository.
func TestWorktreesOfOneCloneComeOneAfterAnother(t *testing.T) {
	r, _ := world(t)
	before := state(t, r)
	var group sync.WaitGroup
	var open atomic.Int32
	for range 6 {
		group.Go(func() {
			w, err := r.Worktree(t.Context(), "main")
			if err != nil {
				t.Error(err)
				return
			}
			if n := open.Add(1); n != 1 {
				t.Errorf("%d at once", n)
			}
			if _, err := w.Fetch(t.Context(), "main"); err != nil {
				t.Error(err)
			}
			open.Add(-1)
			if err := w.Close(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if diff := cmp.Diff(before, state(t, r)); diff != "" {
		t.Errorf("the user's repository changed (-before +after):\n%s", diff)
	}

	held, err := r.Worktree(t.Context(), "main")
	check(t, err)
	defer held.Close(t.Context())
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := r.Worktree(ctx, "main"); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "another promotion in this clone") {
		t.Errorf("error %v", err)
	}
}

func TestAPushAfterAnothersIsToldFromOneThatIsRefused(t *testing.T) {
	r, bare := world(t)
	ours, err := r.Worktree(t.Context(), "main")
	check(t, err)
	defer ours.Close(t.Context())
	git(t, r.Root, "clone", "--quiet", "file://"+bare, "../other")
	other, err := Open(t.Context(), filepath.Join(r.Root, "..", "other"), "origin")
	check(t, err)
	theirs, err := other.Worktree(t.Context(), "main")
	check(t, err)
	defer theirs.Close(t.Context())
	check(t, ours.Write("a", []byte("ours")))
	check(t, theirs.Write("a", []byte("theirs")))
	our, err := ours.Commit(t.Context(), "a", "ours")
	check(t, err)
	their, err := theirs.Commit(t.Context(), "a", "theirs")
	check(t, err)
	check(t, theirs.Push(t.Context(), "main", theirs.Base, their))
	if err := ours.Push(t.Context(), "main", ours.Base, our); !errors.Is(err, ErrMoved) {
		t.Errorf("error %v, want that the branch has moved", err)
	}
	if err := ours.Push(t.Context(), "main", "", our); !errors.Is(err, ErrMoved) {
		t.Errorf("error %v, want that there is a branch already", err)
	}

	hook := "#!/bin/sh\necho 'main is protected: open a pull request' >&2\nexit 1\n"
	check(t, os.WriteFile(filepath.Join(bare, "hooks", "pre-receive"), []byte(hook), 0o700))
	err = ours.Push(t.Context(), "feature", "", our)
	if err == nil || errors.Is(err, ErrMoved) || !strings.Contains(err.Error(), "main is protected: open a pull request") {
		t.Errorf("error %v, want the hook's words", err)
	}
}

func TestACanceledPromotionLeavesNothingBehind(t *testing.T) {
	r, _ := world(t)
	before := state(t, r)
	hooks := filepath.Join(r.Root, ".git", "hooks")
	reached := filepath.Join(t.TempDir(), "reached")
	// The hook tells that it runs, and goes on for longer than git is given.
	check(t, os.WriteFile(filepath.Join(hooks, "post-checkout"), []byte("#!/bin/sh\ntouch "+reached+"\nexec sleep 20\n"), 0o700))
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for {
			if _, err := os.Stat(reached); err == nil || t.Context().Err() != nil {
				cancel()
				return
			}
			time.Sleep(10 * time.Millisecond) // until it is asked again
		}
	}()
	w, err := r.Worktree(ctx, "main")
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("%v, %v", w, err)
	}
	check(t, os.Remove(filepath.Join(hooks, "post-checkout")))
	if diff := cmp.Diff(before, state(t, r)); diff != "" {
		t.Errorf("the user's repository changed (-before +after):\n%s", diff)
	}
}

func TestIdentity(t *testing.T) {
	r, _ := world(t)
	check(t, r.CheckIdentity(t.Context()))
	git(t, r.Root, "config", "--global", "--unset", "user.email")
	for _, variable := range []string{"EMAIL", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"} {
		t.Setenv(variable, "") // restored afterwards
		check(t, os.Unsetenv(variable))
	}
	if err := r.CheckIdentity(t.Context()); err == nil || !strings.Contains(err.Error(), "git config user.email") {
		t.Errorf("error %v, want what to do", err)
	}
	t.Setenv("GIT_AUTHOR_EMAIL", "")
	t.Setenv("GIT_COMMITTER_EMAIL", "")
	if err := r.CheckIdentity(t.Context()); err == nil {
		t.Error("an empty address was taken")
	}
}

func TestChanged(t *testing.T) {
	r, _ := world(t)
	check(t, os.WriteFile(filepath.Join(r.Root, "shop/pins/dev.yaml"), []byte("images: {a: b}\n"), 0o600))
	check(t, os.WriteFile(filepath.Join(r.Root, "new file"), []byte("x"), 0o600))
	check(t, os.WriteFile(filepath.Join(r.Root, "other"), []byte("x"), 0o600))
	got, err := r.Changed(t.Context(), "shop/pins/dev.yaml", "new file", "none", "*")
	check(t, err)
	if diff := cmp.Diff([]string{"shop/pins/dev.yaml", "new file"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestBranches(t *testing.T) {
	r, _ := world(t)
	if got, err := r.DefaultBranch(t.Context()); got != "main" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := r.Tip(t.Context(), "none"); got != "" || err != nil {
		t.Errorf("a branch that isn't there: %q, %v", got, err)
	}
	if _, err := r.Worktree(t.Context(), "none"); err == nil || !strings.Contains(err.Error(), "no such branch") {
		t.Errorf("error %v", err)
	}
	for _, name := range []string{"-x", "a..b", "a b", ""} {
		if err := r.CheckBranch(t.Context(), name); err == nil {
			t.Errorf("%q was taken", name)
		}
	}
	check(t, r.CheckBranch(t.Context(), "envladder/shop/prod-eu"))
}

func TestOpenRefuses(t *testing.T) {
	if _, err := Open(t.Context(), t.TempDir(), "origin"); err == nil || !strings.Contains(err.Error(), "not a git repository") {
		t.Errorf("error %v", err)
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := Open(t.Context(), ".", "origin"); err == nil || !strings.Contains(err.Error(), "isn't installed") {
		t.Errorf("error %v", err)
	}
}

func TestNoCredentialsInErrors(t *testing.T) {
	r, _ := world(t)
	// Nobody listens on port 1.
	git(t, r.Root, "remote", "set-url", "origin", "http://ana:s3cret@127.0.0.1:1/team/gitops.git?private_token=s3cret")
	_, err := r.DefaultBranch(t.Context())
	if err == nil || strings.Contains(err.Error(), "s3cret") || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("error %v", err)
	}
	for text, want := range map[string]string{
		"fatal: https://x:y@h/p: no":          "fatal: https://…@h/p: no",
		"https://token@h/p":                   "https://…@h/p",
		"https://x:p@ss@h/p":                  "https://…@h/p",
		"ssh://git@h:22/p and 'https://a@b/'": "ssh://…@h:22/p and 'https://…@b/'",
		"https://h/p?token=x end":             "https://h/p?… end",
		"git@h:p user@example.com":            "git@h:p user@example.com",
	} {
		if got := Redact(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}

func TestComplaintIsFitForATerminal(t *testing.T) {
	got := complaint("remote: \x1b[31mno\x1b[0m  \nremote:\nhint: git pull\nCounting 1%\rCounting 100%\nerror: bad\r\n")
	if want := "remote: [31mno[0m\nCounting 100%\nerror: bad"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
