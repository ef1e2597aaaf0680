package programs

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sort"
	"strings"
)

// CacheDir returns the folder of built programs: $ENVLADDER_BED_CACHE, or envladder/bed in the
// user's cache folder.
func CacheDir() (string, error) {
	if dir := os.Getenv("ENVLADDER_BED_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding the cache folder: %w", err)
	}
	return filepath.Join(dir, "envladder", "bed"), nil
}

// sourceRoot returns the folder of the test module: $ENVLADDER_TEST_DIR, or the path at compile
// time. The variable is needed if the binary was built with -trimpath or moved to another
// machine.
func sourceRoot() (string, error) {
	if dir := os.Getenv("ENVLADDER_TEST_DIR"); dir != "" {
		return filepath.Abs(dir)
	}
	_, file, _, ok := runtime.Caller(0)
	if ok && filepath.IsAbs(file) {
		root := filepath.Dir(filepath.Dir(file))
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
			return root, nil
		}
	}
	return "", fmt.Errorf("finding the source of the test module: set ENVLADDER_TEST_DIR to the folder test of a checkout")
}

// dir returns the folder to run the go command in.
func (p Program) dir() (string, error) {
	root, err := sourceRoot()
	if err != nil {
		return "", err
	}
	if p.Dir == "." {
		return root, nil
	}
	return filepath.Join(root, "programs", p.Dir), nil
}

// sources returns the files that determine the content of the program.
func (p Program) sources() ([]string, error) {
	dir, err := p.dir()
	if err != nil {
		return nil, err
	}
	code := dir
	if p.Dir == "." {
		code = filepath.Join(dir, strings.TrimPrefix(p.Package, p.Module))
	}
	files, err := filepath.Glob(filepath.Join(code, "*.go"))
	if err != nil {
		return nil, err
	}
	files = append(files, filepath.Join(dir, "go.mod"), filepath.Join(dir, "go.sum"))
	sort.Strings(files)
	return files, nil
}

// key returns a key of the program's sources, build arguments and toolchain.
func (p Program) key(toolchain string) (string, error) {
	files, err := p.sources()
	if err != nil {
		return "", fmt.Errorf("listing sources of %q: %w", p.Name, err)
	}
	h := sha256.New()
	fmt.Fprintln(h, toolchain, p.buildArgs("out"), p.Cgo)
	for _, file := range files {
		if err := hashFile(h, file); err != nil {
			return "", fmt.Errorf("hashing sources of %q: %w", p.Name, err)
		}
	}
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}

// hashFile writes the name and the hash of a file to w.
func hashFile(w io.Writer, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return err
	}
	fmt.Fprintf(w, "%s %x\n", filepath.Base(path), sum.Sum(nil))
	return nil
}
