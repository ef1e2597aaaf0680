// Command plain generates the plain manifests for users without Helm: one file for each part,
// rendered from the chart, so that only the chart has to be changed.
//
//	go run ./hack/plain (by `make generate`)
package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/envladder/envladder/internal/chart"
	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/layers"
)

func main() {
	if err := run(context.Background(), "."); err != nil {
		fmt.Fprintln(os.Stderr, "writing the plain manifests:", err)
		os.Exit(1)
	}
}

const namespace = "envladder"

// run writes a manifest for each values file next to this program. root is the folder of the
// repository.
func run(ctx context.Context, root string) error {
	repository := os.DirFS(root)
	loaded, err := chart.Load(ctx, repository, "charts/envladder")
	if err != nil {
		return err
	}
	files, err := fs.Glob(repository, "hack/plain/*.yaml")
	if err != nil {
		return err
	}
	for _, file := range files {
		text, err := render(ctx, repository, loaded, file)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(root, "manifests", filepath.Base(file)), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// render returns a manifest: the comments at the head of its values file, the namespace, and
// the chart rendered with the values.
func render(ctx context.Context, repository fs.FS, loaded *chart.Chart, file string) (string, error) {
	merged, err := layers.Merge(ctx, repository, ladder.Resolved{Layers: []ladder.Layer{{Path: file, Origin: "plain"}}})
	if err != nil {
		return "", err
	}
	manifests, err := loaded.Render(chart.RenderOptions{Values: merged.Values, Release: chart.Release{Name: "envladder", Namespace: namespace}})
	if err != nil {
		return "", err
	}
	head, err := headOf(repository, file)
	if err != nil {
		return "", err
	}
	text := strings.Builder{}
	fmt.Fprintf(&text, "# Made from charts/envladder by `make generate`.\n#\n%sapiVersion: v1\nkind: Namespace\nmetadata:\n  name: %s\n", head, namespace)
	for _, m := range manifests {
		text.WriteString("---\n")
		for line := range strings.Lines(m.Content + "\n") {
			if !isHelmLine(line) {
				text.WriteString(line)
			}
		}
	}
	return text.String(), nil
}

// headOf returns the comments at the head of a file.
func headOf(repository fs.FS, file string) (string, error) {
	data, err := fs.ReadFile(repository, file)
	if err != nil {
		return "", err
	}
	var head strings.Builder
	for line := range strings.Lines(string(data)) {
		if !strings.HasPrefix(line, "#") {
			break
		}
		head.WriteString(line)
	}
	return head.String(), nil
}

// isHelmLine reports whether a line claims that Helm manages the object, or is empty.
func isHelmLine(line string) bool {
	key, _, _ := strings.Cut(strings.TrimSpace(line), ":")
	return key == "app.kubernetes.io/managed-by" || key == "helm.sh/chart" || key == ""
}
