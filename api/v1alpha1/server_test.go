package v1alpha1_test

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/programtest"
)

var environment = &envtest.Environment{
	CRDDirectoryPaths:     []string{filepath.Join("..", "..", "manifests", "crds")},
	ErrorIfCRDPathMissing: true,
}

// adminUser may do everything, as kubectl's user in the tests.
var adminUser = envtest.User{Name: "admin", Groups: []string{"system:masters"}}

// startServer starts a real API server with the CRDs, once for all tests.
var startServer = sync.OnceValues(environment.Start)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := environment.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, "stopping the API server:", err)
	}
	os.Exit(code)
}

func server(t *testing.T) (*rest.Config, client.Client) {
	t.Helper()
	programtest.APIServer(t)
	config, err := startServer()
	if err != nil {
		t.Fatal(err)
	}
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return config, c
}
