// Package files reads and writes files whole: a read is bounded, and a write is never seen
// half done.
package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/envladder/envladder/internal/bounded"
)

// ErrNotRegular reports a name that isn't a regular file's, such as a folder's or a FIFO's.
var ErrNotRegular = errors.New("isn't a file")

// Read returns the content of a file of at most limit bytes. A larger one is an error: it
// is another file than was meant.
func Read(path string, limit int64) ([]byte, error) {
	file, err := os.Open(path) //nolint:gosec // the person who runs the program names it
	if err != nil {
		return nil, err
	}
	return readAndClose(file, path, limit)
}

// ReadFS returns the content of the regular file name of fsys, of at most limit bytes.
func ReadFS(fsys fs.FS, name string, limit int64) ([]byte, error) {
	info, err := fs.Stat(fsys, name) // before opening: opening a FIFO waits for a writer
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%q %w", name, ErrNotRegular)
	}
	file, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	return readAndClose(file, name, limit)
}

func readAndClose(file fs.File, name string, limit int64) ([]byte, error) {
	defer func() { _ = file.Close() }() // only read: nothing is lost by a failing close
	content, err := bounded.ReadAll(file, limit)
	if tooLarge, ok := errors.AsType[*bounded.TooLargeError](err); ok {
		return nil, fmt.Errorf("%q is %w", name, tooLarge)
	}
	if err != nil {
		return nil, err
	}
	return content, nil
}

// Replace writes a file through a temporary one in the same folder: the file has its old
// content or the new, even after a crash, and never a part of either.
func Replace(path string, content []byte) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), ".tmp-*")
	if err != nil {
		return err
	}
	_, err = temporary.Write(content)
	if err == nil {
		err = temporary.Sync()
	}
	if err = errors.Join(err, temporary.Close()); err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temporary.Name()))
	}
	return nil
}
