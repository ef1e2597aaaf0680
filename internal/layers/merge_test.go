package layers_test

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/layers"
	"github.com/envladder/envladder/internal/strictyaml"
)

// files returns a repository in memory, of pairs of a name and a content.
func files(pairs ...string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		fsys[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
	}
	return fsys
}

// countingFS counts how often a file is opened.
type countingFS struct {
	fstest.MapFS

	opened map[string]int
}

func (c countingFS) Open(name string) (fs.File, error) {
	c.opened[name]++
	return c.MapFS.Open(name)
}

func (c countingFS) ReadFile(name string) ([]byte, error) {
	c.opened[name]++
	return c.MapFS.ReadFile(name)
}

func (c countingFS) Stat(name string) (fs.FileInfo, error) { return c.MapFS.Stat(name) }

func TestMergeReadsALayerOnce(t *testing.T) {
	fsys := countingFS{files("a.yaml", "x: a", "b.yaml", "x: b"), map[string]int{}}
	resolved := ladder.Resolved{Layers: []ladder.Layer{{Path: "a.yaml"}, {Path: "b.yaml"}, {Path: "a.yaml"}}}
	got, err := layers.Merge(t.Context(), fsys, resolved)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{"x": "a"}, got.Values); diff != "" {
		t.Errorf("the last layer doesn't win: %s", diff)
	}
	if diff := cmp.Diff(map[string]int{"a.yaml": 1, "b.yaml": 1}, fsys.opened); diff != "" {
		t.Errorf("opened: %s", diff)
	}
}

func TestMergeStopsWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := layers.Merge(ctx, files("a.yaml", "x: a"), ladder.Resolved{Layers: []ladder.Layer{{Path: "a.yaml"}}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestMergeInjectsPinsLast(t *testing.T) {
	pin := func(path string) ladder.Pin {
		return ladder.Pin{
			Image:  ladder.Image{Name: "web", Repository: "registry.example.com/web", ValuesPath: path},
			Digest: "sha256:aa", Source: "pins/prod.yaml",
		}
	}
	image := map[string]any{"repository": "registry.example.com/web", "digest": "sha256:aa"}
	with := func(m map[string]any, key string, value any) map[string]any {
		out := map[string]any{key: value}
		maps.Copy(out, m)
		return out
	}
	for _, tt := range []struct {
		name, layer string
		pins        []ladder.Pin
		want        map[string]any
	}{
		{"where there is nothing", "", []ladder.Pin{pin("image")}, map[string]any{"image": image}},
		{"with values of layers", "image: {pullPolicy: Always}", []ladder.Pin{pin("image")}, map[string]any{"image": with(image, "pullPolicy", "Always")}},
		{"deep down", "web: {port: 80}", []ladder.Pin{pin("web.main.image")}, map[string]any{"web": map[string]any{"port": 80.0, "main": map[string]any{"image": image}}}},
		{"into one of two maps that are one by an alias", "a: &x {port: 80}\nb: *x", []ladder.Pin{pin("a")}, map[string]any{"a": with(image, "port", 80.0), "b": map[string]any{"port": 80.0}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := layers.Merge(t.Context(), files("l.yaml", tt.layer), ladder.Resolved{Layers: []ladder.Layer{{Path: "l.yaml"}}, Pins: tt.pins})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got.Values); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestMergeReportsProblemsOfAllLayers(t *testing.T) {
	_, err := layers.Merge(t.Context(), files("a.yaml", "x: 1\nx: 2", "b.yaml", "- a list"), ladder.Resolved{
		Layers: []ladder.Layer{{Path: "a.yaml"}, {Path: "b.yaml"}, {Path: "missing.yaml", Origin: "tier full"}},
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"a.yaml:2:1: x: duplicate key", "b.yaml:1:1", `"missing.yaml" (tier full)`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q:\n%v", want, err)
		}
	}
	var problems strictyaml.Problems
	if !errors.As(err, &problems) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v is neither the problems nor the missing file", err)
	}
}
