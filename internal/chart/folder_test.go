package chart_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/envladder/envladder/internal/chart"
	"github.com/envladder/envladder/internal/chart/charttest"
)

// multiplied is a repository whose chart leads to a folder with twenty symbolic links to
// the next, and so on: few entries, and twenty times as many ways at each level. The levels
// are as many as the operating system follows links of one path.
func multiplied(t *testing.T) *os.Root {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "c/Chart.yaml", charttest.ChartYAML)
	link := func(target, name string) {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	link("../l/d0", "c/x")
	const levels, width = 6, 20
	for i := range levels {
		folder := fmt.Sprintf("l/d%d", i)
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o700); err != nil {
			t.Fatal(err)
		}
		for name := range width {
			link(fmt.Sprintf("../d%d", i+1), fmt.Sprintf("%s/%d", folder, name))
		}
	}
	write(t, dir, fmt.Sprintf("l/d%d/end", levels), "")
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}

func TestLocalDependenciesBoundsLinks(t *testing.T) {
	root := multiplied(t)
	_, err := chart.Read(t.Context(), root.FS(), "c", nil)
	if err == nil || !strings.Contains(err.Error(), "more than 20000 files and folders") {
		t.Errorf("error %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := chart.Read(ctx, root.FS(), "c", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestHelmignoreBoundsVisitedFiles(t *testing.T) {
	pairs := []string{"c/Chart.yaml", charttest.ChartYAML, "c/.helmignore", "*.bin\n"}
	for i := range 20_001 {
		pairs = append(pairs, fmt.Sprintf("c/%d.bin", i), "")
	}
	if _, err := chart.Read(t.Context(), charttest.Files(pairs...), "c", nil); err == nil || !strings.Contains(err.Error(), "more than 20000 files and folders") {
		t.Errorf("error %v", err)
	}
}

func TestHelmignoreIsBounded(t *testing.T) {
	fsys := charttest.Files("c/Chart.yaml", charttest.ChartYAML, "c/.helmignore", strings.Repeat("*x*y*z\n", 10_000))
	if _, err := chart.Read(t.Context(), fsys, "c", nil); err == nil || !strings.Contains(err.Error(), `"c/.helmignore" is larger than 64 KiB`) {
		t.Errorf("error %v", err)
	}
}
