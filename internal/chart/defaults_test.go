package chart_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDefaultsAreKeyedByDependency(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "c/Chart.yaml", "apiVersion: v2\nname: c\nversion: 1.0.0\ndependencies:\n- {name: redis, version: 1.0.0, alias: cache}\n- {name: redis, version: 1.0.0, alias: queue}\n")
	write(t, dir, "c/values.yaml", "a: 1\n")
	write(t, dir, "c/charts/redis/Chart.yaml", "apiVersion: v2\nname: redis\nversion: 1.0.0\n")
	write(t, dir, "c/charts/redis/values.yaml", "port: 1\n")
	write(t, dir, "c/charts/redis/charts/deep/Chart.yaml", "apiVersion: v2\nname: deep\nversion: 1.0.0\n")
	var got []string
	for _, d := range load(t, dir, "c").Defaults() {
		got = append(got, strings.Join(d.Prefix, ".")+" "+d.File+" "+strings.TrimSpace(string(d.Data)))
	}
	want := []string{
		" c/values.yaml a: 1",
		"cache c/charts/redis/values.yaml port: 1", "cache.deep c/charts/redis/charts/deep/values.yaml ",
		"queue c/charts/redis/values.yaml port: 1", "queue.deep c/charts/redis/charts/deep/values.yaml ",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
