package files_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/envladder/envladder/internal/files"
)

func TestRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("12345"), 0o600); err != nil {
		t.Fatal(err)
	}
	if content, err := files.Read(path, 5); string(content) != "12345" || err != nil {
		t.Errorf("as large as may be: %q, %v", content, err)
	}
	if content, err := files.Read(path, 4); content != nil || err == nil {
		t.Errorf("larger: %q, %v", content, err)
	}
	if _, err := files.Read(path+".gone", 5); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("not there: %v", err)
	}
}
