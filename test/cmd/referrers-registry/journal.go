package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// A journal stores each accepted change of a manifest, and replays all of them at the start.
// The library stores blobs on disk, but manifests and tags only in memory.
type journal struct {
	next http.Handler
	dir  string

	mu     sync.Mutex
	number int
}

// entry is a request that changed a manifest.
type entry struct {
	Method, Path, ContentType string
	Body                      []byte
}

// maxManifest is the usual limit of registries.
const maxManifest = 4 << 20

// newJournal returns a journal after replaying the entries in dir.
func newJournal(next http.Handler, dir string) (*journal, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("creating %q: %w", dir, err)
	}
	j := &journal{next: next, dir: dir}
	return j, j.replay()
}

// replay replays all entries. Their names sort in the order of writing.
func (j *journal) replay() error {
	files, err := filepath.Glob(filepath.Join(j.dir, "*.json"))
	if err != nil {
		return err
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("replaying: %w", err)
		}
		var e entry
		if err := json.Unmarshal(data, &e); err != nil {
			return fmt.Errorf("replaying %q: %w", file, err)
		}
		req := httptest.NewRequest(e.Method, e.Path, bytes.NewReader(e.Body))
		req.Header.Set("Content-Type", e.ContentType)
		j.next.ServeHTTP(httptest.NewRecorder(), req)
	}
	j.number = len(files)
	return nil
}

func (j *journal) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if !changesManifest(req) {
		j.next.ServeHTTP(w, req)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxManifest))
	if err != nil {
		http.Error(w, "manifest too large", http.StatusRequestEntityTooLarge)
		return
	}
	req.Body = io.NopCloser(bytes.NewReader(body))
	j.mu.Lock()
	defer j.mu.Unlock()
	response := httptest.NewRecorder()
	j.next.ServeHTTP(response, req)
	if response.Code/100 == 2 {
		e := entry{req.Method, req.URL.Path, req.Header.Get("Content-Type"), body}
		if err := j.write(e); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
	}
	copyResponse(w, response)
}

// changesManifest reports whether a request changes a manifest.
func changesManifest(req *http.Request) bool {
	if req.Method != http.MethodPut && req.Method != http.MethodDelete {
		return false
	}
	return strings.Contains(req.URL.Path, "/manifests/")
}

// write stores an entry. It renames the file, so that a killed registry leaves no incomplete
// entry.
func (j *journal) write(e entry) error {
	data, err := json.Marshal(e)
	if err != nil {
		return err
	}
	j.number++
	name := filepath.Join(j.dir, fmt.Sprintf("%08d.json", j.number))
	if err := os.WriteFile(name+".part", data, 0o644); err != nil {
		return err
	}
	return os.Rename(name+".part", name)
}

// copyResponse writes a recorded response.
func copyResponse(w http.ResponseWriter, response *httptest.ResponseRecorder) {
	maps.Copy(w.Header(), response.Header())
	w.WriteHeader(response.Code)
	_, _ = w.Write(response.Body.Bytes())
}
