// Package files reads files that somebody names, bounded.
package files

import (
	"fmt"
	"io"
	"os"
)

// Read is the content of a file of at most limit bytes. A larger one is an error: it is
// another file than was meant.
func Read(path string, limit int64) ([]byte, error) {
	file, err := os.Open(path) //nolint:gosec // who runs the program names it
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // only read
	content, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(content)) > limit {
		return nil, fmt.Errorf("%s has more than %d bytes", path, limit)
	}
	return content, nil
}
