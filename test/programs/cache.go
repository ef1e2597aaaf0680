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

// CacheDir is where built programs are kept: $ENVLADDER_BED_CACHE, else
// envladder/bed in the user's cache folder.
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

// sourceRoot is the folder of the test module. The path known at compile time
// serves unless the binary was built with -trimpath or moved to another
// machine; ENVLADDER_TEST_DIR names it then.
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
	return "", fmt.Errorf("finding the test module's source: set ENVLADDER_TEST_DIR to the folder test of a checkout")
}

// dir is the folder that the go command is run in.
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

// sources lists the files that decide what the program is.
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

// key tells programs apart by content: what they are built from, with what.
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
