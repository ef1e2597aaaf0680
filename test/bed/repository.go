package bed

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// CloneURL returns the address of a repository, given as owner/name. Everyone can read it.
func (g *Gitea) CloneURL(repository string) string { return g.URL + "/" + repository + ".git" }

// CreateRepository creates an empty repository and returns its address. The repository is
// owner/name, or only a name for one of the administrator. A missing owner is created as an
// organisation.
func (g *Gitea) CreateRepository(ctx context.Context, repository string) (string, error) {
	owner, name, ok := strings.Cut(repository, "/")
	if !ok {
		owner, name = g.User, repository
	}
	path := "/user/repos"
	if owner != g.User {
		path = "/orgs/" + owner + "/repos"
		err := g.API(ctx, http.MethodPost, "/orgs", map[string]any{"username": owner}, nil)
		if err != nil && !hasStatus(err, http.StatusUnprocessableEntity) {
			return "", err
		}
	}
	if err := g.API(ctx, http.MethodPost, path, map[string]any{"name": name}, nil); err != nil {
		return "", err
	}
	return g.CloneURL(owner + "/" + name), nil
}

// Git runs git in dir with the administrator's credentials and an author.
func (g *Gitea) Git(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = dir
	basic := base64.StdEncoding.EncodeToString([]byte(g.User + ":" + g.Password))
	cmd.Env = append(g.bed.env(),
		"GIT_AUTHOR_NAME=Bed", "GIT_AUTHOR_EMAIL=bed@bed.example",
		"GIT_COMMITTER_NAME=Bed", "GIT_COMMITTER_EMAIL=bed@bed.example",
		"GIT_TERMINAL_PROMPT=0",
		// The environment has the credentials, so that neither a process list nor a clone's
		// configuration shows the password.
		"GIT_CONFIG_COUNT=1",
		"GIT_CONFIG_KEY_0=http."+g.URL+"/.extraHeader",
		"GIT_CONFIG_VALUE_0=Authorization: Basic "+basic,
	)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("running git %q: %w: %s", args, err, bytes.TrimSpace(errOut.Bytes()))
	}
	return strings.TrimSpace(out.String()), nil
}

// Push adds a commit to a branch, after which the branch has exactly the files of dir (except
// .git), and returns the commit. A new branch starts at the default branch, or with this commit
// in an empty repository.
func (g *Gitea) Push(ctx context.Context, repository, branch, dir, message string) (string, error) {
	work, err := os.MkdirTemp(g.bed.path("tmp"), "push-")
	if err != nil {
		return "", fmt.Errorf("pushing %q: %w", repository, err)
	}
	defer os.RemoveAll(work)
	if err := g.checkout(ctx, repository, branch, work); err != nil {
		return "", fmt.Errorf("pushing %q: %w", repository, err)
	}
	if err := replaceFiles(work, dir); err != nil {
		return "", fmt.Errorf("pushing %q: %w", repository, err)
	}
	for _, args := range [][]string{
		{"add", "--all", "--force"},
		{"commit", "--quiet", "--allow-empty", "--message", message},
		{"push", "--quiet", "origin", "HEAD:refs/heads/" + branch},
	} {
		if _, err := g.Git(ctx, work, args...); err != nil {
			return "", fmt.Errorf("pushing %q: %w", repository, err)
		}
	}
	return g.Git(ctx, work, "rev-parse", "HEAD")
}

// checkout clones a repository and checks out or creates a branch.
func (g *Gitea) checkout(ctx context.Context, repository, branch, work string) error {
	if _, err := g.Git(ctx, "", "clone", "--quiet", g.CloneURL(repository), work); err != nil {
		return err
	}
	if _, err := g.Git(ctx, work, "rev-parse", "--verify", "--quiet", "origin/"+branch); err == nil {
		_, err := g.Git(ctx, work, "checkout", "--quiet", "-B", branch, "origin/"+branch)
		return err
	}
	_, err := g.Git(ctx, work, "checkout", "--quiet", "-B", branch)
	return err
}

// replaceFiles replaces the files in folder work, except .git, with a copy of dir.
func replaceFiles(work, dir string) error {
	entries, err := os.ReadDir(work)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.Name() == ".git" {
			continue
		}
		if err := os.RemoveAll(filepath.Join(work, entry.Name())); err != nil {
			return err
		}
	}
	entries, err = os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.Name() == ".git" {
			continue
		}
		if err := copyTree(filepath.Join(dir, entry.Name()), filepath.Join(work, entry.Name())); err != nil {
			return err
		}
	}
	return nil
}

// copyTree copies a folder without .git.
func copyTree(from, to string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return os.CopyFS(to, os.DirFS(from))
	}
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, info.Mode().Perm())
}

// PullRequest opens a pull request and returns its number.
func (g *Gitea) PullRequest(ctx context.Context, repository, head, base, title string) (int, error) {
	in := map[string]any{"head": head, "base": base, "title": title}
	var out struct{ Number int }
	// Right after a push Gitea may not know the branch yet.
	err := Poll(ctx, 10*time.Second, func(ctx context.Context) error {
		err := g.API(ctx, http.MethodPost, "/repos/"+repository+"/pulls", in, &out)
		if err != nil && !hasStatus(err, http.StatusNotFound) {
			return final(err)
		}
		return err
	})
	return out.Number, err
}

// Merge merges a pull request.
func (g *Gitea) Merge(ctx context.Context, repository string, number int) error {
	path := fmt.Sprintf("/repos/%s/pulls/%d/merge", repository, number)
	// A pull request can't be merged until Gitea has checked it for conflicts.
	return Poll(ctx, 20*time.Second, func(ctx context.Context) error {
		err := g.API(ctx, http.MethodPost, path, map[string]any{"Do": "merge"}, nil)
		if err != nil && !hasStatus(err, http.StatusMethodNotAllowed) {
			return final(err)
		}
		return err
	})
}
