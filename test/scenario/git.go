package scenario

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// checkout is a working copy of a repository that Argo CD reads, in a folder of the shell.
type checkout struct {
	*shell
	name string
}

// newCheckout copies src to a folder, passes each file through edit, and pushes the result to
// remote as the first commit.
func newCheckout(ctx context.Context, s *shell, name, src, remote string, edit func(string) (string, error)) (*checkout, error) {
	c := &checkout{shell: s, name: name}
	if err := copyTree(src, filepath.Join(s.dir, name), edit); err != nil {
		return nil, fmt.Errorf("filling repository %q: %w", name, err)
	}
	for _, args := range [][]string{
		{"init", "--quiet", "--initial-branch=main"},
		{"config", "user.name", "Ana"},
		{"config", "user.email", "ana@example.com"},
		{"add", "--all"},
		{"commit", "--quiet", "--message=The first state"},
		{"remote", "add", "origin", remote},
		{"push", "--quiet", "--set-upstream", "origin", "main"},
	} {
		if _, err := c.git(ctx, args...); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// git runs git in the working copy and returns its output.
func (c *checkout) git(ctx context.Context, args ...string) (string, error) {
	return c.run(ctx, "git", append([]string{"-C", c.name}, args...)...)
}

// commit commits, shows and pushes an edit, and returns the commit's hash.
func (c *checkout) commit(ctx context.Context, message string) (string, error) {
	if _, err := c.show(ctx, "git", "-C", c.name, "commit", "-qam", message); err != nil {
		return "", err
	}
	if _, err := c.show(ctx, "git", "-C", c.name, "show", "--format=%an: %s", "--stat", "HEAD"); err != nil {
		return "", err
	}
	// The forge's output for a push isn't relevant here.
	c.say.Command(line("git", []string{"-C", c.name, "push"}))
	if _, err := c.git(ctx, "push", "--quiet"); err != nil {
		return "", err
	}
	head, err := c.git(ctx, "rev-parse", "HEAD")
	return strings.TrimSpace(head), err
}

// copyTree copies a folder and passes each file through edit.
func copyTree(src, dst string, edit func(string) (string, error)) error {
	return filepath.WalkDir(src, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(src, path)
		if err != nil {
			return err
		}
		to := filepath.Join(dst, rel)
		if entry.IsDir() {
			return os.MkdirAll(to, 0o755)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		text, err := edit(string(data))
		if err != nil {
			return fmt.Errorf("editing %s: %w", rel, err)
		}
		return os.WriteFile(to, []byte(text), 0o644)
	})
}
