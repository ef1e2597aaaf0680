package main

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// start starts the registry and returns its host.
func start(t *testing.T, dir string) string {
	t.Helper()
	handler, err := newHandler(dir, log.New(io.Discard, "", 0))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// digest returns the digest of a tag.
func digest(t *testing.T, host, tag string) (v1.Hash, error) {
	t.Helper()
	ref, err := name.ParseReference(host + "/a/b:" + tag)
	if err != nil {
		t.Fatal(err)
	}
	descriptor, err := remote.Head(ref)
	if err != nil {
		return v1.Hash{}, err
	}
	return descriptor.Digest, nil
}

// push pushes a random image.
func push(t *testing.T, host, tag string) v1.Hash {
	t.Helper()
	image, err := random.Image(64, 1)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(host + "/a/b:" + tag)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, image); err != nil {
		t.Fatal(err)
	}
	hash, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return hash
}

func TestJournalReplaysInOrder(t *testing.T) {
	dir := t.TempDir()
	host := start(t, dir)
	push(t, host, "moved")
	want := push(t, host, "moved")
	push(t, host, "deleted")
	ref, err := name.ParseReference(host + "/a/b:deleted")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Delete(ref); err != nil {
		t.Fatal(err)
	}
	again := start(t, dir)
	if got, err := digest(t, again, "moved"); err != nil || got != want {
		t.Errorf("the tag is at %s, %v, want %s", got, err, want)
	}
	if got, err := digest(t, again, "deleted"); err == nil {
		t.Errorf("the deleted tag is at %s", got)
	}
}

func TestJournalIgnoresRejectedManifests(t *testing.T) {
	dir := t.TempDir()
	host := start(t, dir)
	for name, body := range map[string]string{
		"too large": strings.Repeat(" ", maxManifest+1),
		"not JSON":  "{",
	} {
		req, err := http.NewRequest(http.MethodPut, "http://"+host+"/v2/a/b/manifests/v1", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/vnd.oci.image.index.v1+json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode/100 == 2 {
			t.Errorf("%s: accepted", name)
		}
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "manifests", "*")); len(files) > 0 {
		t.Errorf("stored entries: %q", files)
	}
	if _, err := os.Stat(filepath.Join(dir, "blobs")); err != nil {
		t.Error(err)
	}
}
