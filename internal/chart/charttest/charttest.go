package charttest

import (
	"testing"
	"testing/fstest"

	"github.com/envladder/envladder/internal/chart"
)

// The files of the smallest chart, which is called "small".
const (
	ChartYAML = "apiVersion: v2\nname: small\nversion: 1.0.0\n"
	PodYAML   = "apiVersion: v1\nkind: Pod\nmetadata: {name: {{ .Values.name }}}\n"
)

// Files returns a repository in memory, of pairs of a name and a content.
func Files(pairs ...string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		fsys[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
	}
	return fsys
}

// Load loads the chart in folder c of Files(pairs).
func Load(t *testing.T, pairs ...string) *chart.Chart {
	t.Helper()
	c, err := chart.Load(t.Context(), Files(pairs...), "c")
	if err != nil {
		t.Fatal(err)
	}
	return c
}
