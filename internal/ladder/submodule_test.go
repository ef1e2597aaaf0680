package ladder_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/envladder/envladder/internal/ladder"
)

// git runs git in dir, with nothing of the user's configuration.
func git(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", append([]string{
		"-c", "user.name=Ana", "-c", "user.email=ana@example.com", "-c", "protocol.file.allow=always", "-c", "init.defaultBranch=main",
	}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
}

func commitFiles(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	git(t, dir, "add", "--all")
	git(t, dir, "commit", "--quiet", "-m", "files")
}

// newSuperproject returns a clone, with its submodules, of a repository whose services/shop
// has a ladder, and whose org has a layer; both are submodules.
func newSuperproject(t *testing.T) (clone string) {
	t.Helper()
	base := t.TempDir()
	for _, name := range []string{"shop", "org", "gitops"} {
		if err := os.Mkdir(filepath.Join(base, name), 0o700); err != nil {
			t.Fatal(err)
		}
		git(t, filepath.Join(base, name), "init", "--quiet")
	}
	commitFiles(t, filepath.Join(base, "org"), map[string]string{"values.yaml": "who: org\n"})
	commitFiles(t, filepath.Join(base, "shop"), map[string]string{
		"chart/Chart.yaml": "name: shop\n",
		"ladder.yaml": head + `spec:
  chart: chart
  layers: [../../shared/values.yaml, {path: ../../org/values.yaml, optional: true}, {path: "../../org/*.yaml", optional: true}]
  environments: [{name: dev}]
`,
	})
	gitops := filepath.Join(base, "gitops")
	git(t, gitops, "submodule", "--quiet", "add", "../shop", "services/shop")
	git(t, gitops, "submodule", "--quiet", "add", "../org", "org")
	commitFiles(t, gitops, map[string]string{"shared/values.yaml": "who: shared\n"})
	clone = filepath.Join(base, "clone")
	git(t, base, "clone", "--quiet", "--recurse-submodules", "gitops", "clone")
	return clone
}

func TestSubmodules(t *testing.T) {
	clone := newSuperproject(t)
	inSubmodule := filepath.Join(clone, "services", "shop")

	t.Run("a ladder in one reaches what Argo CD sends", func(t *testing.T) {
		repo, err := ladder.FindSources(inSubmodule)
		if err != nil {
			t.Fatal(err)
		}
		defer repo.Close()
		if repo.Dir != "services/shop" {
			t.Errorf("the folder is %q, want services/shop", repo.Dir)
		}
		document, err := ladder.Open(repo.FS(), repo.Dir)
		if err != nil {
			t.Fatal(err)
		}
		resolved, err := document.Resolve("dev", "")
		if err != nil {
			t.Fatal(err)
		}
		if len(resolved.Layers) != 2 || resolved.Layers[0].Path != "shared/values.yaml" || resolved.Layers[1].Path != "org/values.yaml" {
			t.Errorf("layers %v", resolved.Layers)
		}
	})
	t.Run("git commits to the submodule", func(t *testing.T) {
		repo, err := ladder.FindRepository(inSubmodule)
		if err != nil {
			t.Fatal(err)
		}
		defer repo.Close()
		if repo.Dir != "." {
			t.Errorf("the folder is %q, want .", repo.Dir)
		}
	})
	t.Run("a layer in one that isn't checked out is an error, also if it is optional", func(t *testing.T) {
		git(t, clone, "submodule", "--quiet", "deinit", "--force", "org")
		document, err := ladder.Open(os.DirFS(clone), "services/shop")
		if err != nil {
			t.Fatal(err)
		}
		_, err = document.Resolve("dev", "")
		want := `is in the submodule "org", which isn't checked out`
		if err == nil || strings.Count(err.Error(), want) != 2 {
			t.Errorf("got %v, want twice %s", err, want)
		}
	})
	t.Run("a ladder in one that isn't checked out is an error that says so", func(t *testing.T) {
		git(t, clone, "submodule", "--quiet", "deinit", "--force", "services/shop")
		_, err := ladder.Open(os.DirFS(clone), "services/shop")
		if want := `it is in the submodule "services/shop", which isn't checked out`; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	})
}
