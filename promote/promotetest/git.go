package promotetest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// T is the needed part of *testing.T, which scripts implement too.
type T interface {
	Helper()
	Fatal(arguments ...any)
	Cleanup(clean func())
}

// Git runs git in a folder, with an identity and only the repository's configuration, and
// returns its output.
func Git(t T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...) //nolint:gosec,noctx // a test's
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0", "LC_ALL=C",
		"GIT_AUTHOR_NAME=Ana", "GIT_AUTHOR_EMAIL=ana@example.com", "GIT_COMMITTER_NAME=Ana", "GIT_COMMITTER_EMAIL=ana@example.com")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatal("git "+strings.Join(args, " ")+": ", err, "\n", string(out))
	}
	return strings.TrimSpace(string(out))
}

// Bare creates a bare repository with files on its branch main.
func Bare(t T, bare string, files map[string]string) {
	t.Helper()
	check(t, os.MkdirAll(bare, 0o750))
	Git(t, bare, "init", "--quiet", "--bare", "--initial-branch=main", ".")
	// Allow pushes over HTTP: the server authenticates.
	Git(t, bare, "config", "http.receivepack", "true")
	CommitTo(t, bare, "main", "the beginning", files)
}

// CommitTo commits files to a branch of a bare repository, as another user would.
func CommitTo(t T, bare, branch, message string, files map[string]string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "promotetest-")
	check(t, err)
	defer func() { _ = os.RemoveAll(dir) }() // the rest is in a temporary folder
	Git(t, dir, "init", "--quiet", "--initial-branch="+branch, ".")
	if Git(t, bare, "for-each-ref", "refs/heads/"+branch) != "" {
		Git(t, dir, "fetch", "--quiet", bare, branch)
		Git(t, dir, "reset", "--quiet", "--hard", "FETCH_HEAD")
	}
	for name, content := range files {
		file := filepath.Join(dir, filepath.FromSlash(name))
		check(t, os.MkdirAll(filepath.Dir(file), 0o750))
		check(t, os.WriteFile(file, []byte(content), 0o600))
	}
	Git(t, dir, "add", "--all")
	Git(t, dir, "commit", "--quiet", "--message", message)
	Git(t, dir, "push", "--quiet", bare, "HEAD:refs/heads/"+branch)
}

func check(t T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
