package observer

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/evidence"
	"github.com/envladder/envladder/internal/registry"
	"github.com/envladder/envladder/observer/engine"
	"github.com/envladder/envladder/observer/soakstore"
	"github.com/envladder/envladder/observer/watch"
)

// Config configures the observer.
type Config struct {
	// Cluster to observe. manifests/observer.yaml has the permissions that it needs.
	Cluster *rest.Config
	// Signer of soaks.
	Signer *evidence.Signer
	// SealKey is a secret of at least 32 bytes. Soaks are sealed with a key that is derived
	// from it. With another one, every digest is measured again from the start.
	SealKey []byte
	// Registry that images and soaks are in.
	Registry *registry.Client
	// Interval between observations.
	Interval time.Duration
	// LeaderElect has several replicas elect the one that measures, by a Lease in
	// LeaderElectionNamespace; empty is the namespace that it runs in.
	LeaderElect             bool
	LeaderElectionNamespace string
	// HealthListen is the address of /healthz and /readyz; "0" is none.
	HealthListen string
	// Version of the program, for statements.
	Version string
	Log     *slog.Logger
}

// leaseName is the Lease of the leader.
const leaseName = "envladder-observer"

// Run measures until ctx ends, or until the lease is lost.
func Run(ctx context.Context, config Config) error {
	p, err := newProgram(ctx, config)
	if err != nil {
		return err
	}
	return p.run(ctx)
}

// program is the wired observer.
type program struct {
	manager ctrl.Manager
	engine  *engine.Engine
}

func newProgram(ctx context.Context, config Config) (*program, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return nil, err
	}
	manager, err := newManager(config, scheme)
	if err != nil {
		return nil, err
	}
	gates, err := manager.GetCache().GetInformer(ctx, watch.NewGateObject(), cache.BlockUntilSynced(false))
	if err != nil {
		return nil, fmt.Errorf("watching Gates (are envladder's CRDs installed, and may this account list them?): %w", err)
	}
	ready := func(*http.Request) error {
		if !gates.HasSynced() {
			return errors.New("the Gates are not listed yet")
		}
		return nil
	}
	if err := errors.Join(manager.AddHealthzCheck("ping", healthz.Ping), manager.AddReadyzCheck("gates", ready)); err != nil {
		return nil, fmt.Errorf("setting up health checks: %w", err)
	}
	e, err := newEngine(config, manager)
	if err != nil {
		return nil, err
	}
	if err := manager.Add(e); err != nil {
		return nil, fmt.Errorf("setting up the engine: %w", err)
	}
	return &program{manager, e}, nil
}

func (p *program) run(ctx context.Context) error {
	if err := p.manager.Start(ctx); err != nil {
		return fmt.Errorf("observing the cluster: %w", err)
	}
	return nil
}

func newManager(config Config, scheme *runtime.Scheme) (ctrl.Manager, error) {
	logger := logr.FromSlogHandler(config.Log.Handler())
	ctrllog.SetLogger(logger) // client-go's reflectors have no other
	cluster := rest.CopyConfig(config.Cluster)
	// One write for each digest and interval, and bursts where many digests start.
	cluster.QPS, cluster.Burst = 50, 100
	manager, err := ctrl.NewManager(cluster, ctrl.Options{
		Scheme:                        scheme,
		Logger:                        logger,
		Metrics:                       metricsserver.Options{BindAddress: "0"},
		HealthProbeBindAddress:        config.HealthListen,
		LeaderElection:                config.LeaderElect,
		LeaderElectionID:              leaseName,
		LeaderElectionNamespace:       config.LeaderElectionNamespace,
		LeaderElectionReleaseOnCancel: true, // the engine has ended by then, and the program ends after
	})
	if err != nil {
		return nil, fmt.Errorf("connecting to the cluster: %w", err)
	}
	return manager, nil
}

func newEngine(config Config, manager ctrl.Manager) (*engine.Engine, error) {
	// The manager's own client reads from a cache, which watches every kind that is read.
	live, err := client.NewWithWatch(manager.GetConfig(), client.Options{HTTPClient: manager.GetHTTPClient(), Scheme: manager.GetScheme(), Mapper: manager.GetRESTMapper()})
	if err != nil {
		return nil, fmt.Errorf("connecting to the cluster: %w", err)
	}
	self, err := newInstance(config.Version)
	if err != nil {
		return nil, err
	}
	recorder := manager.GetEventRecorderFor("envladder-observer")
	return engine.New(engine.Options{
		Client:   live,
		Gates:    manager.GetCache(),
		Catalog:  watch.NewCatalog(config.Registry, config.Log),
		Nodes:    watch.NewNodes(live),
		Store:    soakstore.New(live, config.SealKey, self.Instance, recorder, config.Log),
		Attester: engine.NewAttester(config.Registry, config.Signer),
		Recorder: recorder,
		Observer: self,
		Interval: config.Interval,
		Log:      config.Log,
	}), nil
}

// newInstance returns a name for this start of the observer.
func newInstance(version string) (v1alpha1.SoakObserver, error) {
	host, err := os.Hostname()
	if err != nil {
		return v1alpha1.SoakObserver{}, fmt.Errorf("reading the host's name: %w", err)
	}
	var random [4]byte
	if _, err := rand.Read(random[:]); err != nil {
		return v1alpha1.SoakObserver{}, fmt.Errorf("naming this instance: %w", err)
	}
	return v1alpha1.SoakObserver{
		Version:  version[:min(len(version), 128)],
		Instance: host[:min(len(host), 200)] + "-" + hex.EncodeToString(random[:]),
	}, nil
}
