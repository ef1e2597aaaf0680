package programs

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// ModuleDir returns the folder of a program's own module in the module cache:
// its manifests, templates and CRDs are read from there.
func ModuleDir(ctx context.Context, name string) (string, error) {
	p, err := Lookup(name)
	if err != nil {
		return "", err
	}
	dir, err := p.dir()
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "go", "list", "-mod=readonly", "-m", "-f", "{{.Dir}}", p.Module)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("finding module %q: %w", p.Module, err)
	}
	found := strings.TrimSpace(string(out))
	if found == "" {
		return "", fmt.Errorf("finding module %q: not in the module cache, run `bed build %s`", p.Module, name)
	}
	return found, nil
}

// Assets returns a folder with links to what envtest wants to find in
// KUBEBUILDER_ASSETS, and builds what is missing.
func Assets(ctx context.Context, w io.Writer) (string, error) {
	built, err := Build(ctx, w, "etcd", "kube-apiserver", "kubectl")
	if err != nil {
		return "", err
	}
	cache, err := CacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "assets")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("making %q: %w", dir, err)
	}
	for _, b := range built {
		if err := link(b.Path, filepath.Join(dir, b.Name)); err != nil {
			return "", fmt.Errorf("linking %q: %w", b.Name, err)
		}
	}
	return dir, nil
}

// link points name at target. It renames over an older link, so that another
// process never finds it missing.
func link(target, name string) error {
	if now, err := os.Readlink(name); err == nil && now == target {
		return nil
	}
	temp := fmt.Sprintf("%s.%d", name, os.Getpid())
	if err := os.Symlink(target, temp); err != nil {
		return err
	}
	return os.Rename(temp, name)
}
