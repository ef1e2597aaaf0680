package layers_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/envladder/envladder/internal/layers"
)

// Each layer is within its own bounds; together they are too much.
func TestLayersTogetherAreBounded(t *testing.T) {
	const tooMany = "makes all layers together more than 200000 keys and values: make them smaller, or remove some"
	const tooLarge = "makes all layers together larger than 4 MiB: make them smaller, or remove some"
	ones := "[" + strings.Repeat("1,", 60_000) + "1]\n"
	text := "[" + strings.Repeat("x", 1_000_000) + "]\n"
	aliases := "a: &a x\nb: [" + strings.Repeat("*a,", 9_000) + "]\n"
	for name, test := range map[string]struct {
		contents []string
		want     string
	}{
		"nodes":                  {[]string{"a: " + ones, "b: " + ones, "c: " + ones, "d: " + ones, "on: 1\n"}, "d.yaml: " + tooMany},
		"nodes of one":           {[]string{"a: [" + strings.Repeat("1,", 400_000) + "1]\n"}, "a.yaml: " + tooMany},
		"bytes":                  {[]string{"a: " + text, "b: " + text, "c: " + text, "d: " + text, "e: " + text}, "e.yaml: " + tooLarge},
		"bytes of comments":      {[]string{"#" + text, "#" + text, "#" + text, "#" + text, "#" + text}, "e.yaml: " + tooLarge},
		"nodes by their aliases": {repeated(26, aliases), "w.yaml: " + tooMany},
		"bytes by their aliases": {repeated(9, strings.Replace(aliases, "x", strings.Repeat("x", 100), 1)), "e.yaml: " + tooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			repo, resolved := resolvedOf(test.contents...)
			_, err := layers.Merge(t.Context(), repo, resolved)
			wantProblems(t, test.want, err)
		})
	}
}

func repeated(n int, content string) []string {
	contents := make([]string, n)
	for i := range contents {
		contents[i] = content
	}
	return contents
}

// What is merged lives as long as its rendering, and YAML nodes take several times what
// the values take.
func TestMergedKeepsNoNodes(t *testing.T) {
	var contents []string
	for i := range 8 {
		contents = append(contents, fmt.Sprintf("k%d: [%s1]\n", i, strings.Repeat("1,", 23_000)))
	}
	before := heap()
	merged := merge(t, contents...)
	kept := heap() - before
	if kept > 20<<20 {
		t.Errorf("%d MiB are kept of 184,000 numbers: their values take 5 MiB, their nodes 35", kept>>20)
	}
	if s, ok := merged.Setting([]string{"k7"}); !ok || s.Line != 1 || s.Column != 1 {
		t.Errorf("k7 is at %d:%d, want 1:1", s.Line, s.Column)
	}
}

// heap is what is reachable, in bytes.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
