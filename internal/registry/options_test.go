package registry_test

import (
	"encoding/pem"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	ggcr "github.com/google/go-containerregistry/pkg/registry"

	"github.com/envladder/envladder/internal/registry"
)

func TestOptionsRegistryCA(t *testing.T) {
	server := httptest.NewTLSServer(ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	host := strings.TrimPrefix(server.URL, "https://")
	file := filepath.Join(t.TempDir(), "ca.pem")
	content := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	digest := "sha256:" + strings.Repeat("0", 64)
	ask := func(ca string) error {
		client, err := (&registry.Options{CAs: []string{ca}}).Client()
		if err != nil {
			t.Fatal(err)
		}
		_, err = client.Referrers(t.Context(), host+"/shop/web", digest)
		return err
	}
	if err := ask(host + "=" + file); err != nil {
		t.Errorf("with its CA: %v", err)
	}
	if err := ask("registry.example.com=" + file); err == nil {
		t.Error("another registry's CA is believed for it")
	}
}

func TestOptionsUnreadableCA(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, ca := range []string{"", "host", "=file", "host=", "host=/nowhere.pem", "host=" + empty} {
		if _, err := (&registry.Options{CAs: []string{ca}}).Client(); err == nil || !strings.Contains(err.Error(), "--registry-ca") {
			t.Errorf("%q: %v", ca, err)
		}
	}
}
