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

// A journal writes down each accepted change of a manifest and does them all
// again at the start: the library keeps blobs on disk, but manifests and tags
// in memory only.
type journal struct {
	next http.Handler
	dir  string

	mu     sync.Mutex
	number int
}

// entry is one change as it was asked for.
type entry struct {
	Method, Path, ContentType string
	Body                      []byte
}

// maxManifest is the usual limit of registries.
const maxManifest = 4 << 20

func newJournal(next http.Handler, dir string) (*journal, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("making %q: %w", dir, err)
	}
	j := &journal{next: next, dir: dir}
	return j, j.replay()
}

// replay relies on names that sort as they were written.
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
	answer := httptest.NewRecorder()
	j.next.ServeHTTP(answer, req)
	if answer.Code/100 == 2 {
		e := entry{req.Method, req.URL.Path, req.Header.Get("Content-Type"), body}
		if err := j.write(e); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
	}
	copyAnswer(w, answer)
}

func changesManifest(req *http.Request) bool {
	if req.Method != http.MethodPut && req.Method != http.MethodDelete {
		return false
	}
	return strings.Contains(req.URL.Path, "/manifests/")
}

// write renames, so that a killed registry leaves no half entry.
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

func copyAnswer(w http.ResponseWriter, answer *httptest.ResponseRecorder) {
	maps.Copy(w.Header(), answer.Header())
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
}
