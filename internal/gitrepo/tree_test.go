package gitrepo

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

// linkWorld is a repository whose main has files, a link to a file and one to a folder,
// links out of the repository and in a circle, and a submodule.
func linkWorld(t *testing.T) *Tree {
	t.Helper()
	r, bare := world(t)
	check(t, os.WriteFile(filepath.Join(r.Root, "shop", "run.sh"), []byte("#!/bin/sh\n"), 0o700))
	check(t, os.WriteFile(filepath.Join(r.Root, "shop", "empty"), nil, 0o600))
	for name, target := range map[string]string{
		"shop/link": "pins/dev.yaml", "folder": "shop/pins", "out": "../../etc/passwd", "absolute": "/etc/passwd", "circle": "./circle",
	} {
		check(t, os.Symlink(target, filepath.Join(r.Root, name)))
	}
	git(t, r.Root, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", "file://"+bare, "inner")
	git(t, r.Root, "add", "--all")
	git(t, r.Root, "commit", "--quiet", "-m", "links")
	git(t, r.Root, "push", "--quiet", "origin", "main")
	return newest(t, quarantine(t, r))
}

func TestTree(t *testing.T) {
	tree := linkWorld(t)
	t.Run("implements a file system", func(t *testing.T) {
		shop, err := fs.Sub(tree, "shop/pins")
		check(t, err)
		check(t, fstest.TestFS(shop, "dev.yaml"))
		for name, want := range map[string]string{"shop/link": "images: {}\n", "folder/dev.yaml": "images: {}\n", "shop/empty": ""} {
			info, err := fs.Stat(tree, name)
			check(t, err)
			if data, err := fs.ReadFile(tree, name); string(data) != want || err != nil || info.Size() != int64(len(want)) || !info.Mode().IsRegular() {
				t.Errorf("%s: %q, %v, %v", name, data, err, info)
			}
		}
		if target, err := fs.ReadLink(tree, "shop/link"); target != "pins/dev.yaml" || err != nil {
			t.Errorf("%q, %v", target, err)
		}
		if info, err := fs.Lstat(tree, "folder"); err != nil || info.Mode().Type() != fs.ModeSymlink {
			t.Errorf("%v, %v", info, err)
		}
		if info, err := fs.Stat(tree, "shop/run.sh"); err != nil || info.Mode() != 0o755 {
			t.Errorf("%v, %v", info, err)
		}
	})

	t.Run("links that lead outside are rejected", func(t *testing.T) {
		for name, want := range map[string]string{
			"out": "leads out of the repository", "absolute": "leads out of the repository", "circle": "too many symbolic links",
			"inner/file": `"inner" is a submodule`, "../x": "invalid", "folder/../x": "invalid",
		} {
			if _, err := fs.ReadFile(tree, name); err == nil || !strings.Contains(err.Error(), want) || errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: error %v, want %q", name, err, want)
			}
		}
		if _, err := fs.ReadDir(tree, "inner"); err == nil || !strings.Contains(err.Error(), "is a submodule") {
			t.Errorf("error %v", err)
		}
		for _, name := range []string{"none", "none/file", "shop/run.sh/file"} {
			if _, err := fs.Stat(tree, name); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: error %v", name, err)
			}
		}
	})

	t.Run("changed file keeps its mode", func(t *testing.T) {
		changed, err := tree.With(t.Context(), "shop/run.sh", []byte("new"))
		check(t, err)
		if changed, err = changed.With(t.Context(), "new/folder/file", []byte("new too")); err != nil {
			t.Fatal(err)
		}
		diff, err := tree.quarantine.git(t.Context(), "diff-tree", "-r", "--no-abbrev", "--raw", tree.root.id, changed.root.id)
		check(t, err)
		lines := strings.Split(strings.TrimSpace(diff), "\n")
		if len(lines) != 2 || !strings.HasPrefix(lines[0], ":000000 100644") || !strings.HasSuffix(lines[0], "\tnew/folder/file") ||
			!strings.HasPrefix(lines[1], ":100755 100755") || !strings.HasSuffix(lines[1], "\tshop/run.sh") {
			t.Errorf("it differs in:\n%s", diff)
		}
		check(t, tree.quarantine.checkObjects(t, changed.root.id))
	})

	t.Run("only regular files can be changed", func(t *testing.T) {
		for file, want := range map[string]string{
			"shop/link": `"link" is a symbolic link`, "folder/dev.yaml": `"folder" is a symbolic link`,
			"inner/x": `"inner" is a submodule`, "shop": `"shop" is a folder`, "shop/run.sh/x": `"run.sh" is not a folder`,
		} {
			if _, err := tree.With(t.Context(), file, []byte("x")); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error %v, want %q", file, err, want)
			}
		}
	})
}

// checkObjects has git check a tree and what is in it.
func (q *Quarantine) checkObjects(t *testing.T, id string) error {
	t.Helper()
	_, err := q.git(t.Context(), "fsck", "--strict", id)
	return err
}

func TestUnchanged(t *testing.T) {
	r, bare := world(t)
	q := quarantine(t, r)
	tree := newest(t, q)
	for _, name := range []string{"shop/pins/dev.yaml", "shop/none", "shop/chart"} {
		_, _ = fs.Stat(tree, name) // whether it is there or not
	}
	edited, err := tree.With(t.Context(), "shop/pins/dev.yaml", []byte("images: {web: x}\n"))
	check(t, err)
	_, _ = fs.ReadFile(edited, "shop/pins/dev.yaml")
	for _, step := range []struct {
		file string
		want bool
	}{{"other/file", true}, {"shop/README", true}, {"shop/chart/Chart.yaml", false}, {"shop/pins/dev.yaml", false}} {
		pushFile(t, bare, "main", step.file, "new")
		other := newest(t, q)
		if got := edited.Unchanged(other); got != step.want {
			t.Errorf("after a change of %s: unchanged %t", step.file, got)
		}
	}
}

func TestUnchangedLink(t *testing.T) {
	tree := linkWorld(t)
	q := tree.quarantine
	_, err := fs.ReadLink(tree, "folder")
	check(t, err)
	git(t, q.repository.Root, "rm", "--quiet", "folder")
	check(t, os.Symlink("shop", filepath.Join(q.repository.Root, "folder")))
	git(t, q.repository.Root, "add", "--all")
	git(t, q.repository.Root, "commit", "--quiet", "-m", "retargeted")
	git(t, q.repository.Root, "push", "--quiet", "origin", "main")
	if tree.Unchanged(newest(t, q)) {
		t.Error("a link that leads elsewhere counts as unchanged")
	}
}
