package ladder

import (
	"bufio"
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/envladder/envladder/internal/strictyaml"
)

// submodulesFile lists the submodules of a repository, in its root.
const submodulesFile = ".gitmodules"

// submodules returns the paths of the submodules of the repository at root, or nothing
// where the file that lists them can't be read.
func submodules(repo fs.FS, root string) []string {
	data, err := strictyaml.ReadFile(repo, path.Join(root, submodulesFile))
	if err != nil {
		return nil
	}
	var paths []string
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		key, value, ok := strings.Cut(lines.Text(), "=")
		if !ok || !strings.EqualFold(strings.TrimSpace(key), "path") {
			continue
		}
		value = strings.TrimSpace(value)
		if unquoted, err := strconv.Unquote(value); err == nil {
			value = unquoted
		}
		if value = path.Clean(value); fs.ValidPath(value) && value != "." {
			paths = append(paths, path.Join(root, value))
		}
	}
	return paths
}

// SubmoduleOf returns the outermost submodule that file is in, and reports whether there is
// one.
func SubmoduleOf(repo fs.FS, file string) (submodule string, ok bool) {
	all := submodules(repo, ".")
	i := slices.IndexFunc(all, func(s string) bool { return file == s || strings.HasPrefix(file, s+"/") })
	if i < 0 {
		return "", false
	}
	return all[i], true
}

// missingSubmodule returns the submodule that file is in if the submodule isn't checked
// out: its folder is missing or empty.
func missingSubmodule(repo fs.FS, file string) (submodule string, missing bool) {
	for root := "."; ; root = submodule {
		inside := func(s string) bool { return s != root && (file == s || strings.HasPrefix(file, s+"/")) }
		all := submodules(repo, root)
		i := slices.IndexFunc(all, inside)
		if i < 0 {
			return "", false
		}
		submodule = all[i]
		if found, err := fs.ReadDir(repo, submodule); err != nil || len(found) == 0 {
			return submodule, true
		}
	}
}

// notCheckedOut describes the error, and how to get a submodule's files.
func notCheckedOut(submodule string) string {
	return fmt.Sprintf("is in the submodule %q, which isn't checked out: run `git submodule update --init --recursive` (Argo CD does so unless ARGOCD_GIT_MODULES_ENABLED is false)", submodule)
}

// superproject returns the root of the outermost repository that checks out the one at
// root as a submodule, or root itself. That repository is what Argo CD sends, so it is
// what a path in a ladder may reach.
func superproject(root string) string {
	for {
		outer, ok := rootAbove(filepath.Dir(root))
		if !ok || !hasSubmodule(outer, root) {
			return root
		}
		root = outer
	}
}

func hasSubmodule(outer, inner string) bool {
	rel, err := filepath.Rel(outer, inner)
	return err == nil && slices.Contains(submodules(os.DirFS(outer), "."), filepath.ToSlash(rel))
}
