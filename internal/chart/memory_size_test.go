package chart_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/envladder/envladder/internal/chart"
	"github.com/envladder/envladder/internal/chart/charttest"
)

// inUse is what is on the heap, in bytes.
func inUse() int64 {
	runtime.GC()
	runtime.GC() // what a finalizer held
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	return int64(memory.HeapAlloc)
}

// MemorySize must not be less than a chart takes, since caches of charts are bounded by it.
func TestMemorySizeIsNoLessThanUsed(t *testing.T) {
	properties := make([]string, 10_000)
	for i := range properties {
		properties[i] = fmt.Sprintf(`"p%d":{"type":"string"}`, i)
	}
	repository := charttest.Files(
		"schema/Chart.yaml", charttest.ChartYAML, "schema/templates/pod.yaml", charttest.PodYAML,
		"schema/values.schema.json", `{"properties":{`+strings.Join(properties, ",")+`}}`,
		"text/Chart.yaml", charttest.ChartYAML, "text/templates/pod.yaml", charttest.PodYAML,
		"text/files/large.txt", strings.Repeat("text\n", 1_000_000),
	)
	repository["parent/Chart.yaml"] = &fstest.MapFile{Data: []byte(charttest.ChartYAML)}
	for _, name := range []string{"schema", "text"} {
		packed := &fstest.MapFile{Data: pack(t, repository, name, name)}
		repository[name+".tgz"], repository["parent/charts/"+name+".tgz"] = packed, packed
	}
	for _, name := range []string{"schema", "schema.tgz", "text.tgz", "parent"} {
		t.Run(name, func(t *testing.T) {
			before := inUse()
			loaded, err := chart.Load(t.Context(), repository, name)
			if err != nil {
				t.Fatal(err)
			}
			render(t, loaded, nil, here)
			takes := inUse() - before
			const rest = 64 << 10 // metadata, values, structs
			if takes < 1<<20 || loaded.MemorySize()+rest < takes {
				t.Errorf("it takes %d bytes, and says %d", takes, loaded.MemorySize())
			}
		})
	}
}
