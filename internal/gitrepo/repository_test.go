package gitrepo

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

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
	q := quarantine(t, r)
	if got, err := q.Fetch(t.Context(), "none"); got != "" || err != nil {
		t.Errorf("a branch that isn't there: %q, %v", got, err)
	}
	for _, name := range []string{"-x", "a..b", "a b", ""} {
		if err := r.CheckBranch(t.Context(), name); err == nil {
			t.Errorf("%q was taken", name)
		}
	}
	check(t, r.CheckBranch(t.Context(), "envladder/shop/prod-eu"))
}

func TestOpenRejects(t *testing.T) {
	if _, err := Open(t.Context(), t.TempDir(), "origin"); err == nil || !strings.Contains(err.Error(), "not a git repository") {
		t.Errorf("error %v", err)
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := Open(t.Context(), ".", "origin"); err == nil || !strings.Contains(err.Error(), "is not installed") {
		t.Errorf("error %v", err)
	}
}

func TestErrorsHaveNoCredentials(t *testing.T) {
	r, _ := world(t)
	// No one listens on port 1.
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

func TestGitMessage(t *testing.T) {
	got := errorText("remote: \x1b[31mno\x1b[0m  \nremote:\nhint: git pull\nCounting 1%\rCounting 100%\nerror: bad\r\n")
	if want := "remote: \uFFFD[31mno\uFFFD[0m\nCounting 100%\nerror: bad"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
