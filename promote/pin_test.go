package promote

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/envladder/envladder/internal/ladder"
)

// TestPin/several_at_once_lose_no_edit: each reads the file, and writes all of it.
func TestPin(t *testing.T) {
	digest := func(i int) string { return "sha256:" + strings.Repeat(fmt.Sprintf("%x", i%16), 64) }
	const images = 12
	open := func(t *testing.T) (repo *ladder.Repository, pins string) {
		t.Helper()
		dir := t.TempDir()
		var list strings.Builder
		for i := range images {
			fmt.Fprintf(&list, "  - {name: app%d, repository: registry.example.com/app%[1]d, valuesPath: app%[1]d}\n", i)
		}
		document := "apiVersion: envladder.dev/v1alpha1\nkind: Ladder\nmetadata: {name: shop}\nspec:\n  chart: chart\n  images:\n" +
			list.String() + "  environments:\n  - {name: dev, pins: pins/dev.yaml, promotion: Commit}\n"
		if err := os.WriteFile(filepath.Join(dir, ladder.FileName), []byte(document), 0o600); err != nil {
			t.Fatal(err)
		}
		repo, err := ladder.FindRepository(dir)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = repo.Close() })
		return repo, filepath.Join(dir, "pins/dev.yaml")
	}
	t.Run("concurrent pins lose no edit", func(t *testing.T) {
		repo, pins := open(t)
		var group sync.WaitGroup
		for i := range images {
			group.Go(func() {
				if _, err := Pin(repo, "dev", "", fmt.Sprintf("app%d@%s", i, digest(i))); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		content, err := os.ReadFile(pins)
		if err != nil {
			t.Fatal(err)
		}
		for i := range images {
			if line := fmt.Sprintf("  app%d: %s\n", i, digest(i)); !strings.Contains(string(content), line) {
				t.Errorf("%q is lost:\n%s", line, content)
			}
		}
	})
	t.Run("symbolic link is rejected and stays", func(t *testing.T) {
		repo, pins := open(t)
		other := filepath.Join(repo.Root, "other.yaml")
		if err := os.MkdirAll(filepath.Dir(pins), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(other, []byte("images: {}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("../other.yaml", pins); err != nil {
			t.Fatal(err)
		}
		_, err := Pin(repo, "dev", "", "app0@"+digest(0))
		if err == nil || !strings.Contains(err.Error(), `"other.yaml"`) {
			t.Errorf("error %v, want one that names the file", err)
		}
		if content, err := os.ReadFile(other); err != nil || string(content) != "images: {}\n" {
			t.Errorf("%q was written, %v", content, err)
		}
	})
}
