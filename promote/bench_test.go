package promote_test

import (
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/envladder/envladder/promote"
	"github.com/envladder/envladder/promote/promotetest"
)

// The repository of the benchmark: as many ladders as a large organisation has services,
// with some layers each, and as much of other things.
const (
	benchLadders = 2000
	benchLayers  = 6
	benchAssets  = 40
	benchAsset   = 1 << 20
)

// monorepo fills main of a bare repository, with `git fast-import`: to write 26,000 files
// first would take longer than everything else.
func monorepo(b *testing.B, bare string) (files int) {
	b.Helper()
	content := map[string]string{}
	for i := range benchLadders {
		dir := fmt.Sprintf("svc%04d/", i)
		content[dir+"ladder.yaml"] = strings.Replace(ladderYAML, "name: shop}", fmt.Sprintf("name: svc%04d}", i), 1)
		content[dir+"chart/Chart.yaml"] = "apiVersion: v2\nname: shop\nversion: 1.0.0\n"
		for _, name := range []string{"dev", "staging", "eu", "us", "ap"} {
			content[dir+"pins/"+name+".yaml"] = pins("b", "b") + fmt.Sprintf("# %d %s\n", i, name)
		}
		for k := range benchLayers {
			content[fmt.Sprintf("%slayer%d.yaml", dir, k)] = strings.Repeat(fmt.Sprintf("key%d: %d\n", k, i), 20)
		}
	}
	random := rand.NewChaCha8([32]byte{}) // the same in each run
	for i := range benchAssets {
		data := make([]byte, benchAsset)
		_, _ = random.Read(data)
		content[fmt.Sprintf("assets/%d.bin", i)] = string(data)
	}
	var stream strings.Builder
	stream.WriteString("commit refs/heads/main\ncommitter Ana <ana@example.com> 1764547200 +0000\ndata 0\ndeleteall\n")
	for name, data := range content {
		fmt.Fprintf(&stream, "M 100644 inline %s\ndata %d\n%s\n", name, len(data), data)
	}
	cmd := exec.CommandContext(b.Context(), "git", "-C", bare, "fast-import", "--quiet", "--force")
	cmd.Stdin = strings.NewReader(stream.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	return len(content)
}

// BenchmarkPromote promotes in a repository of 2,000 ladders: by a commit, and by a pull
// request that is updated. What checking the repository out once costs, in the same run, is
// what it is compared with: docs/promotion.md has the figures.
func BenchmarkPromote(b *testing.B) {
	w := newFixture(b)
	files := monorepo(b, w.bare)
	dir := filepath.Join(b.TempDir(), "clone")
	promotetest.Git(b, b.TempDir(), "clone", "--quiet", w.URL+"/team/gitops.git", dir)
	run := func(b *testing.B, environment string) {
		for i := range b.N {
			o := w.options(environment, images(fmt.Sprintf("web@sha256:%064x", rand.Uint64())))
			o.Dir = filepath.Join(dir, fmt.Sprintf("svc%04d", i%benchLadders))
			if _, err := promote.Run(b.Context(), o); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(files), "files")
	}
	b.Run("by a commit", func(b *testing.B) { run(b, "dev") })
	b.Run("by a pull request", func(b *testing.B) { run(b, "staging") })
	b.Run("a check-out of the same repository", func(b *testing.B) {
		for i := range b.N {
			tree := filepath.Join(b.TempDir(), fmt.Sprint(i))
			promotetest.Git(b, dir, "worktree", "add", "--quiet", "--detach", tree)
			promotetest.Git(b, dir, "worktree", "remove", "--force", tree)
		}
		b.ReportMetric(float64(files), "files")
	})
}
