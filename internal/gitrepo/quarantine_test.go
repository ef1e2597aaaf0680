package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func quarantine(t *testing.T, r *Repository) *Quarantine {
	t.Helper()
	q, err := r.Quarantine(t.Context())
	check(t, err)
	t.Cleanup(q.Close)
	return q
}

// newest returns the files of the newest commit of main.
func newest(t *testing.T, q *Quarantine) *Tree {
	t.Helper()
	commit, err := q.Fetch(t.Context(), "main")
	check(t, err)
	tree, err := q.Tree(commit)
	check(t, err)
	return tree
}

// change commits a change of one file onto a tree.
func change(t *testing.T, q *Quarantine, tree *Tree, file, content string) string {
	t.Helper()
	changed, err := tree.With(t.Context(), file, []byte(content))
	check(t, err)
	message, err := q.EditMessage(t.Context(), "change "+file+"\n\n# not a comment\n\nMark: shop/dev\n")
	check(t, err)
	commit, err := q.Commit(t.Context(), changed, tree.Commit, message)
	check(t, err)
	return commit
}

// pushFile pushes a file to a branch of the bare repository, as another user.
func pushFile(t *testing.T, bare, branch, file, content string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "other")
	git(t, filepath.Dir(dir), "clone", "--quiet", "file://"+bare, dir)
	git(t, dir, "checkout", "--quiet", "-B", branch, "origin/main")
	check(t, os.MkdirAll(filepath.Join(dir, filepath.Dir(file)), 0o750))
	check(t, os.WriteFile(filepath.Join(dir, file), []byte(content), 0o600))
	git(t, dir, "add", "--all")
	git(t, dir, "commit", "--quiet", "-m", "change "+file)
	git(t, dir, "push", "--quiet", "origin", branch)
}

func TestQuarantine(t *testing.T) {
	t.Run("commits and pushes without a trace in the clone", func(t *testing.T) {
		r, bare := world(t)
		if r.Dir != "shop" {
			t.Errorf("the folder is %q, want shop", r.Dir)
		}
		pushFile(t, bare, "main", "shop/README", "new")
		check(t, os.WriteFile(filepath.Join(r.Root, "mine.txt"), []byte("mine"), 0o600))
		before := remains(t, r)
		q, err := r.Quarantine(t.Context())
		check(t, err)
		commit := change(t, q, newest(t, q), "shop/pins/new/prod.yaml", "images: {}\n")
		check(t, q.Push(t.Context(), "main", newest(t, q).Commit, commit))
		q.Close()

		check(t, os.RemoveAll(filepath.Join(r.common, "envladder.lock"))) // which stays for the next one
		if diff := cmp.Diff(before, remains(t, r)); diff != "" {
			t.Errorf("the clone changed (-before +after):\n%s", diff)
		}
		if got := git(t, bare, "rev-parse", "main"); got != commit {
			t.Errorf("main is %s, want %s", got, commit)
		}
		if got := git(t, bare, "log", "-1", "--format=%an <%ae>%n%B", "main"); got != "Ana <ana@example.com>\nchange shop/pins/new/prod.yaml\n\n# not a comment\n\nMark: shop/dev" {
			t.Errorf("the commit is %q", got)
		}
		if got := git(t, bare, "show", "--stat=100", "--format=", "main"); !strings.Contains(got, "1 file changed, 1 insertion(+)") {
			t.Errorf("the commit changes:\n%s", got)
		}
	})

	t.Run("waits for another one in the same clone", func(t *testing.T) {
		r, _ := world(t)
		var group sync.WaitGroup
		var open atomic.Int32
		for range 6 {
			group.Go(func() {
				q, err := r.Quarantine(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				defer q.Close()
				if n := open.Add(1); n != 1 {
					t.Errorf("%d at once", n)
				}
				if _, err := q.Fetch(t.Context(), "main"); err != nil {
					t.Error(err)
				}
				open.Add(-1)
			})
		}
		group.Wait()

		quarantine(t, r)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err := r.Quarantine(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "another promotion in this clone") {
			t.Errorf("error %v", err)
		}
	})

	t.Run("is removed on cancellation", func(t *testing.T) {
		r, _ := world(t)
		openAndClose(t, r)
		before := remains(t, r)
		reached := filepath.Join(t.TempDir(), "reached")
		// The hook reports that it runs, and runs longer than git may.
		check(t, os.WriteFile(filepath.Join(r.Root, ".git", "hooks", "commit-msg"), []byte("#!/bin/sh\ntouch "+reached+"\nexec sleep 20\n"), 0o700))
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			for {
				if _, err := os.Stat(reached); err == nil || t.Context().Err() != nil {
					cancel()
					return
				}
				time.Sleep(10 * time.Millisecond) // until the next poll
			}
		}()
		q, err := r.Quarantine(ctx)
		check(t, err)
		if message, err := q.EditMessage(ctx, "x\n"); !errors.Is(err, context.Canceled) {
			t.Errorf("%q, %v", message, err)
		}
		q.Close()
		if diff := cmp.Diff(before, remains(t, r)); diff != "" {
			t.Errorf("the clone changed (-before +after):\n%s", diff)
		}
	})

	t.Run("works in a linked work tree and in a submodule", func(t *testing.T) {
		r, bare := world(t)
		linked := filepath.Join(t.TempDir(), "linked")
		git(t, r.Root, "worktree", "add", "--quiet", "--detach", linked)
		outer := t.TempDir()
		git(t, outer, "init", "--quiet", ".")
		git(t, outer, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", "file://"+bare, "inner")
		for _, dir := range []string{linked, filepath.Join(outer, "inner")} {
			r, err := Open(t.Context(), filepath.Join(dir, "shop"), "origin")
			check(t, err)
			q, err := r.Quarantine(t.Context())
			check(t, err)
			tree := newest(t, q)
			check(t, q.Push(t.Context(), "main", tree.Commit, change(t, q, tree, "file", dir)))
			q.Close()
			if got := git(t, bare, "show", "main:file"); got != dir {
				t.Errorf("%s: main has %q", dir, got)
			}
		}
	})
}

func TestConfiguration(t *testing.T) {
	t.Run("identity and URL of an includeIf are used", func(t *testing.T) {
		r, bare := world(t)
		git(t, r.Root, "config", "--global", "--unset", "user.name")
		git(t, r.Root, "config", "--global", "--unset", "user.email")
		included := filepath.Join(t.TempDir(), "included")
		check(t, os.WriteFile(included, []byte("[user]\n\tname = CI\n\temail = ci@example.com\n"+
			"[url \"file://"+filepath.Dir(bare)+"/\"]\n\tinsteadOf = https://nowhere.invalid/\n"), 0o600))
		git(t, r.Root, "config", "includeIf.gitdir:"+filepath.Join(r.Root, ".git")+".path", included)
		git(t, r.Root, "remote", "set-url", "origin", "https://nowhere.invalid/bare.git")
		check(t, r.CheckIdentity(t.Context()))
		q := quarantine(t, r)
		tree := newest(t, q)
		check(t, q.Push(t.Context(), "main", tree.Commit, change(t, q, tree, "file", "x")))
		if got := git(t, bare, "log", "-1", "--format=%an <%ae> %cn", "main"); got != "CI <ci@example.com> CI" {
			t.Errorf("committed by %q", got)
		}
	})

	t.Run("setting with several values has each once", func(t *testing.T) {
		r, _ := world(t)
		git(t, r.Root, "config", "--global", "http.extraHeader", "X-Global: 1")
		git(t, r.Root, "config", "http.extraHeader", "Authorization: basic secret")
		check(t, os.WriteFile(filepath.Join(r.Root, ".git", "more"), []byte("[http]\n\textraHeader = X-Included: 1\n"), 0o600))
		git(t, r.Root, "config", "include.path", "more")
		t.Setenv("GIT_CONFIG_COUNT", "1")
		t.Setenv("GIT_CONFIG_KEY_0", "http.extraHeader")
		t.Setenv("GIT_CONFIG_VALUE_0", "X-Environment: 1")
		want := git(t, r.Root, "config", "--get-all", "http.extraHeader")
		got, err := quarantine(t, r).git(t.Context(), "config", "--get-all", "http.extraHeader")
		check(t, err)
		if diff := cmp.Diff(want, strings.TrimSpace(got)); diff != "" || strings.Count(got, "\n") != 4 {
			t.Errorf("(-clone +quarantine):\n%s", diff)
		}
	})

	t.Run("path of a remote is relative to the work tree", func(t *testing.T) {
		r, _ := world(t)
		git(t, r.Root, "remote", "set-url", "origin", "../bare.git")
		newest(t, quarantine(t, r))
	})
}

func TestCommit(t *testing.T) {
	t.Run("message hooks run in the work tree, others don't", func(t *testing.T) {
		r, _ := world(t)
		hooks := filepath.Join(r.Root, ".githooks")
		check(t, os.Mkdir(hooks, 0o750))
		for name, script := range map[string]string{
			"prepare-commit-msg": `test "$2" = message && printf '\nPrepared-in: %s\n' "$PWD" >>"$1"`,
			"commit-msg":         `printf '\nSigned-off-by: Ana <ana@example.com>\n' >>"$1"`,
			"pre-commit":         "exit 1", "post-commit": "touch ../ran", "pre-push": "exit 1", "reference-transaction": "exit 1",
		} {
			check(t, os.WriteFile(filepath.Join(hooks, name), []byte("#!/bin/sh\n"+script+"\n"), 0o700))
		}
		git(t, r.Root, "config", "core.hooksPath", ".githooks")
		q := quarantine(t, r)
		tree := newest(t, q)
		commit := change(t, q, tree, "file", "x")
		check(t, q.Push(t.Context(), "feature", "", commit))
		commits, err := q.Commits(t.Context(), tree.Commit, commit)
		check(t, err)
		want := "change file\n\n# not a comment\n\nMark: shop/dev\n\nPrepared-in: " + r.Root + "\n\nSigned-off-by: Ana <ana@example.com>\n"
		if len(commits) != 1 || commits[0].Message != want {
			t.Errorf("%+v", commits)
		}
		if _, err := os.Stat(filepath.Join(r.Root, "..", "ran")); err == nil {
			t.Error("post-commit ran")
		}
	})

	t.Run("message of a rejecting hook is quoted", func(t *testing.T) {
		r, _ := world(t)
		check(t, os.WriteFile(filepath.Join(r.Root, ".git", "hooks", "commit-msg"), []byte("#!/bin/sh\necho 'no ticket' >&2\nexit 1\n"), 0o700))
		_, err := quarantine(t, r).EditMessage(t.Context(), "x\n")
		if err == nil || err.Error() != "committing: git hook commit-msg: no ticket" {
			t.Errorf("error %v", err)
		}
	})

	t.Run("commit.gpgSign signs", func(t *testing.T) {
		r, bare := world(t)
		signer := filepath.Join(t.TempDir(), "signer")
		check(t, os.WriteFile(signer, []byte("#!/bin/sh\ncat >/dev/null\necho '[GNUPG:] SIG_CREATED ' >&2\nprintf -- '-----BEGIN PGP SIGNATURE-----\\n\\nby the test\\n-----END PGP SIGNATURE-----\\n'\n"), 0o700))
		git(t, r.Root, "config", "gpg.program", signer)
		git(t, r.Root, "config", "commit.gpgSign", "true")
		q := quarantine(t, r)
		tree := newest(t, q)
		check(t, q.Push(t.Context(), "main", tree.Commit, change(t, q, tree, "file", "x")))
		if got := git(t, bare, "cat-file", "commit", "main"); !strings.Contains(got, "by the test") {
			t.Errorf("the commit isn't signed:\n%s", got)
		}
	})
}

func TestPush(t *testing.T) {
	r, bare := world(t)
	ours := quarantine(t, r)
	base := newest(t, ours)
	our := change(t, ours, base, "a", "ours")
	pushFile(t, bare, "main", "a", "theirs")

	t.Run("moved branch is distinguished from a rejected push", func(t *testing.T) {
		if err := ours.Push(t.Context(), "main", base.Commit, our); !errors.Is(err, ErrMoved) {
			t.Errorf("error %v, want that the branch has moved", err)
		}
		if err := ours.Push(t.Context(), "main", "", our); !errors.Is(err, ErrMoved) {
			t.Errorf("error %v, want that there is a branch already", err)
		}
		hook := "#!/bin/sh\necho 'main is protected: open a pull request' >&2\nexit 1\n"
		check(t, os.WriteFile(filepath.Join(bare, "hooks", "pre-receive"), []byte(hook), 0o700))
		err := ours.Push(t.Context(), "feature", "", our)
		if err == nil || errors.Is(err, ErrMoved) || !strings.Contains(err.Error(), "main is protected: open a pull request") {
			t.Errorf("error %v, want the hook's words", err)
		}
		check(t, os.Remove(filepath.Join(bare, "hooks", "pre-receive")))
	})

	t.Run("push stopped after it succeeded is no error", func(t *testing.T) {
		reached := filepath.Join(t.TempDir(), "reached")
		// The branch is there when the hook runs, and git waits for the hook.
		check(t, os.WriteFile(filepath.Join(bare, "hooks", "post-receive"), []byte("#!/bin/sh\ntouch "+reached+"\nexec sleep 20\n"), 0o700))
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			for {
				if _, err := os.Stat(reached); err == nil || t.Context().Err() != nil {
					cancel()
					return
				}
				time.Sleep(10 * time.Millisecond) // until the next poll
			}
		}()
		check(t, ours.Push(ctx, "stopped", "", our))
	})
}

// cloneOf makes another clone and opens its folder shop.
func cloneOf(t *testing.T, bare string, args ...string) *Repository {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "clone")
	git(t, filepath.Dir(dir), append(append([]string{"clone", "--quiet"}, args...), "file://"+bare, dir)...)
	r, err := Open(t.Context(), filepath.Join(dir, "shop"), "origin")
	check(t, err)
	return r
}

func TestDeepen(t *testing.T) {
	r, bare := world(t)
	git(t, bare, "config", "uploadpack.allowFilter", "true")
	fork := git(t, bare, "rev-parse", "main")
	pushFile(t, bare, "feature", "shop/feature", "x")
	for i := range 60 { // more than the first step brings
		git(t, r.Root, "commit", "--quiet", "--allow-empty", "-m", fmt.Sprint("commit ", i))
	}
	git(t, r.Root, "push", "--quiet", "origin", "main")

	r = cloneOf(t, bare, "--depth=1")
	before := git(t, r.Root, "rev-list", "--all")
	q := quarantine(t, r)
	main, err := q.Fetch(t.Context(), "main")
	check(t, err)
	feature, err := q.FetchWithParent(t.Context(), "feature")
	check(t, err)
	steps := 0
	for {
		base, err := q.MergeBase(t.Context(), main, feature)
		check(t, err)
		cut, err := q.Cut(t.Context(), main, feature)
		check(t, err)
		if base == fork && !cut {
			break
		}
		more, err := q.Deepen(t.Context(), "main", "feature")
		check(t, err)
		if steps++; !more || steps > len(deepenings)+1 {
			t.Fatalf("after %d steps the merge base is %q, want %s", steps, base, fork)
		}
	}
	if steps != 2 {
		t.Errorf("%d steps, want 2", steps)
	}
	if after := git(t, r.Root, "rev-list", "--all"); after != before {
		t.Errorf("the clone is as deep as:\n%s", after)
	}
	// What was left out is read when it is needed.
	tree, err := q.Tree(feature)
	check(t, err)
	if data, err := fs.ReadFile(tree, "shop/feature"); string(data) != "x" || err != nil {
		t.Errorf("%q, %v", data, err)
	}
}
