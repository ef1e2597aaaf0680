package programs

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// ModuleDir returns the folder of a program's module in the module cache, which has its
// manifests, templates and CRDs.
func ModuleDir(ctx context.Context, name string) (string, error) {
	p, err := Lookup(name)
	if err != nil {
		return "", err
	}
	dir, err := p.dir()
	if err != nil {
		return "", err
	}
	// The command also returns modules that are already in the module cache.
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", p.Module)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("finding module %q: %w", p.Module, err)
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(out, &module); err != nil {
		return "", fmt.Errorf("finding module %q: %w", p.Module, err)
	}
	return module.Dir, nil
}

// Assets returns a folder for KUBEBUILDER_ASSETS with links to the programs that envtest needs.
// It builds missing programs.
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
		return "", fmt.Errorf("creating %q: %w", dir, err)
	}
	for _, b := range built {
		if err := link(b.Path, filepath.Join(dir, b.Name)); err != nil {
			return "", fmt.Errorf("linking %q: %w", b.Name, err)
		}
	}
	return dir, nil
}

// link creates a link from name to target. It replaces an older link by renaming, so that name
// always exists for other processes.
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
