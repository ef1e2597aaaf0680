package programs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Built describes a program that is ready to run.
type Built struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Path    string `json:"path"`
	// Seconds is the time that the build took, now or earlier.
	Seconds float64 `json:"seconds"`
	MB      float64 `json:"mb"`
	// Cached is set if the program was already built.
	Cached bool `json:"cached"`
}

// Build builds the named programs that are missing, and reports progress to w. Without names it
// builds all programs that aren't OnRequest. It stops at the first error.
func Build(ctx context.Context, w io.Writer, names ...string) ([]Built, error) {
	if len(names) == 0 {
		names = defaultNames()
	}
	queue := NewQueue(ctx, w)
	defer queue.progress.watch()()
	defer queue.Close()
	if err := queue.AddPrograms(names...); err != nil {
		return nil, err
	}
	return queue.Wait(ctx, names...)
}

// Path returns the path of a program. It builds the program if it is missing.
func Path(ctx context.Context, w io.Writer, name string) (string, error) {
	built, err := Build(ctx, w, name)
	if err != nil {
		return "", err
	}
	return built[0].Path, nil
}

// build returns the program from the cache, or builds it. It calls waiting once if another
// process builds the program.
func (p Program) build(ctx context.Context, toolchain string, waiting func()) (Built, error) {
	dir, err := p.cacheDir(toolchain)
	if err != nil {
		return Built{}, err
	}
	if b, err := p.cached(dir); err == nil {
		return b, nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return Built{}, err
	}
	unlock, err := lock(ctx, dir+".lock", waiting)
	if err != nil {
		return Built{}, err
	}
	defer unlock()
	// Another process may have built the program in the meantime.
	if b, err := p.cached(dir); err == nil {
		return b, nil
	}
	start := time.Now()
	if err := p.compile(ctx, dir); err != nil {
		return Built{}, err
	}
	if err := writeSeconds(dir, time.Since(start).Seconds()); err != nil {
		return Built{}, err
	}
	b, err := p.cached(dir)
	b.Cached = false
	return b, err
}

// cacheDir returns the folder of the built program.
func (p Program) cacheDir(toolchain string) (string, error) {
	cache, err := CacheDir()
	if err != nil {
		return "", err
	}
	key, err := p.key(toolchain)
	if err != nil {
		return "", err
	}
	return filepath.Join(cache, p.Name+"-"+key), nil
}

// compile builds in a temporary folder and renames the result, so that the cache contains only
// complete programs.
func (p Program) compile(ctx context.Context, dir string) error {
	source, err := p.dir()
	if err != nil {
		return err
	}
	temp, err := os.MkdirTemp(filepath.Dir(dir), "."+p.Name+"-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", p.buildArgs(filepath.Join(temp, p.Name))...)
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=", "CGO_ENABLED="+cgo(p.Cgo))
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return errors.Join(fmt.Errorf("running go build in %q: %w", source, err), lastLines(out.String(), 20))
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.Rename(filepath.Join(temp, p.Name), filepath.Join(dir, p.Name))
}

// buildArgs returns the arguments of the go command.
func (p Program) buildArgs(out string) []string {
	args := []string{"build", "-mod=readonly", "-buildvcs=false", "-o", out}
	args = append(args, "-ldflags", strings.Join(append([]string{"-s", "-w"}, p.LDFlags...), " "))
	if len(p.Tags) > 0 {
		args = append(args, "-tags", strings.Join(p.Tags, ","))
	}
	return append(args, p.Package)
}

// cached returns a program in the cache, or an error.
func (p Program) cached(dir string) (Built, error) {
	path := filepath.Join(dir, p.Name)
	info, err := os.Stat(path)
	if err != nil {
		return Built{}, err
	}
	return Built{
		Name: p.Name, Version: p.Version, Path: path, Cached: true,
		Seconds: readSeconds(dir), MB: float64(info.Size()) / 1e6,
	}, nil
}

const secondsFile = "seconds.json"

// writeSeconds stores the build time.
func writeSeconds(dir string, seconds float64) error {
	data, err := json.Marshal(seconds)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, secondsFile), data, 0o644)
}

// readSeconds returns the build time, or 0 if it is unknown. It is only informative.
func readSeconds(dir string) (seconds float64) {
	data, err := os.ReadFile(filepath.Join(dir, secondsFile))
	if err != nil {
		return 0
	}
	_ = json.Unmarshal(data, &seconds)
	return seconds
}

// toolchain returns the version of the compiler and its target. It runs the go command once, in
// the folder of the programs, so that the toolchain line in the caller's go.mod has no effect.
var toolchain = sync.OnceValues(func() (string, error) {
	root, err := sourceRoot()
	if err != nil {
		return "", err
	}
	cmd := exec.Command("go", "env", "GOVERSION", "GOOS", "GOARCH")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("running go env: %w", err)
	}
	return strings.Join(strings.Fields(string(out)), " "), nil
})

// cgo returns a value for CGO_ENABLED.
func cgo(on bool) string {
	if on {
		return "1"
	}
	return "0"
}

// lastLines returns the last n lines of a text as an error.
func lastLines(text string, n int) error {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	return errors.New(strings.Join(lines, "\n"))
}
