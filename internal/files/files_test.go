package files_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/envladder/envladder/internal/bounded"
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
	var tooLarge *bounded.TooLargeError
	if content, err := files.Read(path, 4); content != nil || !errors.As(err, &tooLarge) {
		t.Errorf("larger: %q, %v", content, err)
	}
	if _, err := files.Read(path+".gone", 5); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("not there: %v", err)
	}
}

func TestReadFS(t *testing.T) {
	fsys := fstest.MapFS{"dir/file": {Data: []byte("12345")}, "dir/fifo": {Mode: fs.ModeNamedPipe}}
	if content, err := files.ReadFS(fsys, "dir/file", 5); string(content) != "12345" || err != nil {
		t.Errorf("as large as may be: %q, %v", content, err)
	}
	var tooLarge *bounded.TooLargeError
	if content, err := files.ReadFS(fsys, "dir/file", 4); content != nil || !errors.As(err, &tooLarge) {
		t.Errorf("larger: %q, %v", content, err)
	}
	if _, err := files.ReadFS(fsys, "dir/gone", 5); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("not there: %v", err)
	}
	for _, name := range []string{"dir", "dir/fifo"} {
		if _, err := files.ReadFS(fsys, name, 5); !errors.Is(err, files.ErrNotRegular) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReplace(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	for _, content := range []string{"old, and longer", "new"} {
		if err := files.Replace(path, []byte(content)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); string(got) != content || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "folder", "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := files.Replace(filepath.Join(dir, "folder"), []byte("new")); err == nil {
		t.Error("a folder was replaced")
	}
	if err := files.Replace(filepath.Join(dir, "gone", "file"), nil); err == nil {
		t.Error("a file was written to a folder that doesn't exist")
	}
	entries, err := os.ReadDir(dir)
	if len(entries) != 2 || err != nil {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}
