package bed_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

// folder creates a folder with one file.
func folder(t *testing.T, name, content string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestGiteaMergesPullRequest(t *testing.T) {
	t.Parallel()
	g, ctx := shared.Gitea, t.Context()
	url, err := g.CreateRepository(ctx, "team/web")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Push(ctx, "team/web", "main", folder(t, "a.txt", "one\n"), "First"); err != nil {
		t.Fatal(err)
	}
	head, err := g.Push(ctx, "team/web", "change", folder(t, "b.txt", "two\n"), "Second")
	if err != nil {
		t.Fatal(err)
	}
	number, err := g.PullRequest(ctx, "team/web", "change", "main", "A change")
	if err != nil {
		t.Fatal(err)
	}
	var pull struct{ Head struct{ SHA string } }
	if err := g.API(ctx, http.MethodGet, fmt.Sprintf("/repos/team/web/pulls/%d", number), nil, &pull); err != nil {
		t.Fatal(err)
	}
	if pull.Head.SHA != head {
		t.Errorf("the pull request is at %s, want %s", pull.Head.SHA, head)
	}
	if err := g.Merge(ctx, "team/web", number); err != nil {
		t.Fatal(err)
	}
	clone := filepath.Join(t.TempDir(), "clone")
	if _, err := g.Git(ctx, "", "clone", "--quiet", url, clone); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(clone, "b.txt")); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(clone, "a.txt")); !os.IsNotExist(err) {
		t.Errorf("a.txt still exists: %v", err)
	}
}
