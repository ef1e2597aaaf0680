package programs

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// fakeSource creates a test module with one program, hello, and an empty cache.
func fakeSource(t *testing.T, code string) Program {
	t.Helper()
	root := t.TempDir()
	t.Setenv("ENVLADDER_TEST_DIR", root)
	t.Setenv("ENVLADDER_BED_CACHE", t.TempDir())
	for name, content := range map[string]string{
		"go.mod":                    "module example.com/test\n\ngo 1.25\n",
		"programs/hello/go.mod":     "module example.com/hello\n\ngo 1.25\n",
		"programs/hello/go.sum":     "",
		"programs/hello/main.go":    code,
		"programs/hello/ignored.md": "not part of the key",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return Program{
		Name: "hello", Version: "v1.2.3", Dir: "hello", Module: "example.com/hello", Package: ".",
		LDFlags: []string{"-X main.version=v1.2.3"}, Seconds: 1,
	}
}

const hello = `package main

var version string

func main() { print("hello " + version) }
`

// build builds a program and reports progress to w from the start.
func build(p Program, w *bytes.Buffer) (Built, error) {
	q := NewQueue(context.Background(), w)
	defer q.Close()
	defer q.progress.watch()()
	q.Add(p.job("go1"))
	built, err := q.Wait(context.Background(), p.Name)
	if err != nil {
		return Built{}, err
	}
	return built[0], nil
}

func TestBuildCachesProgram(t *testing.T) {
	p := fakeSource(t, hello)
	var log bytes.Buffer
	first, err := build(p, &log)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(first.Path).CombinedOutput()
	if err != nil || string(out) != "hello v1.2.3" {
		t.Errorf("output %q, %v", out, err)
	}
	if !strings.HasPrefix(log.String(), "[1/1] building hello v1.2.3 …") {
		t.Errorf("progress is %q", log.String())
	}
	second, err := build(p, &log)
	if err != nil {
		t.Fatal(err)
	}
	if first.Cached || !second.Cached || first.Path != second.Path || second.Seconds == 0 {
		t.Errorf("first %+v, second %+v", first, second)
	}
}

func TestKeyDependsOnContent(t *testing.T) {
	p := fakeSource(t, hello)
	key := func(p Program, toolchain string) string {
		t.Helper()
		key, err := p.key(toolchain)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	before := key(p, "go1")
	tagged := p
	tagged.Tags = []string{"sqlite"}
	if key(tagged, "go1") == before || key(p, "go2") == before {
		t.Error("tags or compiler don't change the key")
	}
	dir, err := p.dir()
	if err != nil {
		t.Fatal(err)
	}
	edit := func(name string) string {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("// edited\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		return key(p, "go1")
	}
	if edit("ignored.md") != before {
		t.Error("a file that isn't a source changes the key")
	}
	if edit("go.sum") == before {
		t.Error("go.sum doesn't change the key")
	}
}

func TestBuildReportsCompilerErrors(t *testing.T) {
	p := fakeSource(t, "package main\n\nfunc main() { undefinedName() }\n")
	_, err := build(p, &bytes.Buffer{})
	if err == nil || !strings.Contains(err.Error(), "undefinedName") {
		t.Errorf("the error is %v", err)
	}
	cache, err := CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(cache, "*", "hello"))
	if err != nil || len(left) > 0 {
		t.Errorf("the cache has %q, %v", left, err)
	}
}

func TestConcurrentBuildsBuildOnce(t *testing.T) {
	p := fakeSource(t, hello)
	var wg sync.WaitGroup
	var fresh [2]bool
	for i := range fresh {
		wg.Go(func() {
			b, err := build(p, &bytes.Buffer{})
			if err != nil {
				t.Error(err)
			}
			fresh[i] = !b.Cached
		})
	}
	wg.Wait()
	if fresh[0] == fresh[1] {
		t.Errorf("built now: %v, want one of them", fresh)
	}
}

// TestTableMatchesModules checks that each program's module has the version in the table.
func TestTableMatchesModules(t *testing.T) {
	for _, p := range All() {
		if p.Dir == "." {
			continue
		}
		dir, err := p.dir()
		if err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err != nil {
			t.Fatal(err)
		}
		if want := p.Module + " " + p.Version + "\n"; !strings.Contains(string(data)+"\n", want) {
			t.Errorf("%s/go.mod doesn't require %s", p.Dir, strings.TrimSpace(want))
		}
	}
}

func TestDefaultNamesExcludeOnRequest(t *testing.T) {
	for _, p := range All() {
		if slices.Contains(defaultNames(), p.Name) == p.OnRequest {
			t.Errorf("%s: OnRequest is %v, which the default names don't reflect", p.Name, p.OnRequest)
		}
	}
	if len(defaultNames()) == len(All()) {
		t.Error("no program is built only on request: the loop above tested only one case")
	}
}

func TestBuildRejectsUnknownProgram(t *testing.T) {
	if _, err := Build(t.Context(), &bytes.Buffer{}, "kubelet"); err == nil || !strings.Contains(err.Error(), `"kubelet"`) {
		t.Errorf("the error is %v", err)
	}
}
