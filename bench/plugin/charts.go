package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// repository is a GitOps repository with one ladder, committed.
type repository struct {
	name string
	// root is the folder of the work tree, and app the ladder's folder below it.
	root, app string
	// values are the values files for `helm template`, relative to app: the layers in order,
	// and a file with the pinned image.
	values []string
	// environment to render, and its target, which may be empty.
	environment, target string
}

// Modules with charts. docs/benchmarks.md states their versions.
const (
	ciliumModule  = "github.com/cilium/cilium@v1.16.5"
	kyvernoModule = "github.com/kyverno/kyverno@v1.18.2"
)

// prepare creates the repository of a chart.
func prepare(ctx context.Context, chart, folder string) (repository, error) {
	r := repository{name: chart, root: filepath.Join(folder, chart), app: "app", environment: "prod"}
	var err error
	switch chart {
	case "shop":
		err = r.fillFromExample()
	case "cilium":
		err = r.fillFromModule(ctx, ciliumModule, "install/kubernetes/cilium", ciliumValues, nil)
	case "kyverno":
		err = r.fillFromModule(ctx, kyvernoModule, "charts/kyverno", "", cutDependencies)
	default:
		err = errors.New("unknown chart: use shop, cilium or kyverno")
	}
	if err != nil {
		return repository{}, err
	}
	return r, r.commit(ctx)
}

// fillFromExample fills the repository with examples/shop, unchanged.
func (r *repository) fillFromExample() error {
	if err := os.CopyFS(r.root, os.DirFS("examples/shop/gitops")); err != nil {
		return fmt.Errorf("%w (run it in the root of the repository)", err)
	}
	r.app, r.target = "shop", "eu"
	r.values = []string{"../org/values.yaml", "values/common.yaml", "values/full.yaml", "values/prod.yaml", "values/eu.yaml", "bench-pins.yaml"}
	pins, err := os.ReadFile(filepath.Join(r.root, "shop", "pins", "eu.yaml"))
	if err != nil {
		return err
	}
	digest := regexp.MustCompile(`sha256:[0-9a-f]{64}`).Find(pins)
	return r.write("bench-pins.yaml", fmt.Sprintf("image: {repository: registry.example.com/shop/web, digest: %q}\n", digest))
}

// ciliumValues turns off the generation of certificates, which differ in each render.
const ciliumValues = "hubble: {tls: {enabled: false, auto: {enabled: false}}}\n"

// fillFromModule fills the repository with a chart of a Go module and a ladder for it.
func (r *repository) fillFromModule(ctx context.Context, module, path, values string, change func(folder string) error) error {
	download := exec.CommandContext(ctx, "go", "mod", "download", "-json", module)
	var failure bytes.Buffer
	download.Stderr = &failure
	output, err := download.Output()
	if err != nil {
		return fmt.Errorf("downloading %s: %w\n%s%s", module, err, output, failure.String())
	}
	var found struct{ Dir string }
	if err := json.Unmarshal(output, &found); err != nil {
		return err
	}
	folder := filepath.Join(r.root, r.app, "chart")
	if err := copyTree(folder, filepath.Join(found.Dir, path)); err != nil {
		return err
	}
	if change != nil {
		if err := change(folder); err != nil {
			return err
		}
	}
	r.values = []string{"values/common.yaml", "values/prod.yaml"}
	return errors.Join(
		r.write("values/common.yaml", "{}\n"),
		r.write("values/prod.yaml", values+"\n"),
		r.write("ladder.yaml", `apiVersion: envladder.dev/v1alpha1
kind: Ladder
metadata: {name: bench}
spec:
  chart: chart
  layers: [values/common.yaml]
  environments:
  - {name: prod, layers: [values/prod.yaml]}
`),
	)
}

// copyTree copies a folder and makes the copies writable: files in the module cache aren't.
func copyTree(to, from string) error {
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		return err
	}
	return filepath.WalkDir(to, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return os.Chmod(path, 0o755)
		}
		return os.Chmod(path, 0o644)
	})
}

// cutDependencies removes the dependencies that the module doesn't contain: kyverno's chart
// lists packages that its module lacks, and Helm rejects such a chart.
func cutDependencies(folder string) error {
	path := filepath.Join(folder, "Chart.yaml")
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	head, list, found := strings.Cut(string(data), "\ndependencies:\n")
	if !found {
		return fmt.Errorf("%q lists no dependencies", path)
	}
	var kept []string
	for dependency := range strings.SplitSeq(list, "\n  - ") {
		name := strings.TrimPrefix(strings.TrimSpace(strings.TrimPrefix(dependency, "  - ")), "name: ")
		if strings.HasPrefix(name, "crds\n") || strings.HasPrefix(name, "grafana\n") {
			kept = append(kept, "  - "+strings.TrimPrefix(dependency, "  - "))
		}
	}
	if len(kept) != 2 {
		return fmt.Errorf("%q lists %d of the dependencies crds and grafana, want 2", path, len(kept))
	}
	return os.WriteFile(path, []byte(head+"\ndependencies:\n"+strings.Join(kept, "\n")), 0o644)
}

// write writes a file below app.
func (r *repository) write(path, content string) error {
	path = filepath.Join(r.root, r.app, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(content), 0o644)
}

// commit commits the files to a new Git repository. It adds .argocd-allow-concurrency: without
// this file the repo-server renders a chart only once at a time.
func (r *repository) commit(ctx context.Context) error {
	if err := r.write("chart/.argocd-allow-concurrency", ""); err != nil {
		return err
	}
	for _, arguments := range [][]string{
		{"init", "--quiet", "--initial-branch=main"},
		{"add", "--all", "--force"},
		{"-c", "user.name=bench", "-c", "user.email=bench@example.com", "commit", "--quiet", "--message=bench"},
	} {
		git := exec.CommandContext(ctx, "git", arguments...)
		git.Dir = r.root
		if output, err := git.CombinedOutput(); err != nil {
			return fmt.Errorf("git %s: %w\n%s", arguments[0], err, output)
		}
	}
	return nil
}
