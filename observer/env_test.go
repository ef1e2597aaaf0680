package observer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/programtest"
)

// env is what the tests of this package share: a real API server with the RBAC of the
// manifests.
type env struct {
	admin  *rest.Config
	client client.Client
	stop   func()
}

var (
	testEnv *env
	envOnce sync.Once
	errEnv  error
)

func TestMain(m *testing.M) {
	code := m.Run()
	if testEnv != nil && testEnv.stop != nil {
		testEnv.stop()
	}
	os.Exit(code)
}

// startEnv starts the environment with the first test that needs it.
func startEnv(t *testing.T) *env {
	t.Helper()
	programtest.APIServer(t)
	envOnce.Do(func() {
		testEnv = &env{}
		errEnv = testEnv.start()
	})
	if errEnv != nil {
		t.Fatal(errEnv)
	}
	return testEnv
}

func (e *env) start() error {
	environment := &envtest.Environment{CRDDirectoryPaths: []string{"../manifests/crds"}, ErrorIfCRDPathMissing: true}
	config, err := environment.Start()
	e.stop = func() { _ = environment.Stop() }
	if err != nil {
		return fmt.Errorf("starting the API server: %w", err)
	}
	config.QPS = -1
	e.admin = config
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return err
	}
	if e.client, err = client.New(config, client.Options{Scheme: scheme}); err != nil {
		return err
	}
	return e.applyManifests()
}

func (e *env) applyManifests() error {
	file, err := os.Open("../manifests/observer.yaml")
	if err != nil {
		return err
	}
	defer file.Close()
	decoder := utilyaml.NewYAMLOrJSONDecoder(file, 4096)
	for {
		var u unstructured.Unstructured
		if err := decoder.Decode(&u.Object); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		// Server-side validation: a field that Kubernetes doesn't have is an error.
		if err := e.client.Create(context.Background(), &u, client.FieldValidation("Strict")); err != nil {
			return fmt.Errorf("creating %s %q: %w", u.GetKind(), u.GetName(), err)
		}
	}
}

// fakeClock is a clock that the test sets: both clocks, or the wall clock alone.
type fakeClock struct {
	mu      sync.Mutex
	wall    time.Time
	elapsed time.Duration
}

func (c *fakeClock) Read() (time.Time, time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wall, c.elapsed
}

func (c *fakeClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wall, c.elapsed = c.wall.Add(d), c.elapsed+d
}

// set moves the wall clock alone, as a wrong NTP server or a person does.
func (c *fakeClock) set(jump time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wall = c.wall.Add(jump)
}
