package webhook

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/envladder/envladder/internal/evidence"
	"github.com/envladder/envladder/internal/workload"
)

// Config is what the webhook needs to run.
type Config struct {
	// Cluster whose Gates it follows. The account may get, list and watch Gates,
	// Recalls and Exceptions, patch the status of Gates, and get the kinds that own
	// pods and ClusterImagePolicies; for a Report, list the kinds that start pods.
	Cluster *rest.Config
	// Listener to serve on.
	Listener net.Listener
	// CertFile and KeyFile are PEM files; they are read again when they change.
	CertFile, KeyFile string
	// Renewal has the webhook make them; nil: somebody else does.
	Renewal *Renewal
	// Judge of images.
	Judge Judge
	// Trust that the Judge verifies by, for the status of Gates: it says which signers
	// can't be verified by. nil: it doesn't.
	Trust *evidence.Trust
	// Kinds that start pods; nil: those that need no configuration.
	Kinds *workload.Kinds
	// Shelf keeps in the cluster what was admitted, as Keeper reads it; nil: nothing is
	// kept. The Judge must look there.
	Shelf  *Shelf
	Keeper Keeper
	// Report has the status of Gates say what runs and would be refused; nil: it doesn't.
	Report *Report
	// Metrics to count with, and where to serve them; nil: nothing is counted.
	Metrics         *Metrics
	MetricsListener net.Listener
	// Ungated says what happens in namespaces that no Gate names; unset, it is
	// UngatedDeny.
	Ungated Ungated
	// Log of verdicts and of what goes wrong.
	Log *slog.Logger
}

// Run serves reviews until ctx ends and the requests in flight are answered. It
// answers from the first moment, and denies until Gates, Recalls and Exceptions are read.
func Run(ctx context.Context, config Config) error {
	defer config.Listener.Close()
	p, err := newProgram(ctx, config)
	if err != nil {
		return err
	}
	return p.run(ctx)
}

// program is the webhook's parts, put together.
type program struct {
	Config
	certificates *certificates
	manager      ctrl.Manager
	gates        *store
	reviews      *reviewer
	keeping      *keeping  // nil: nothing is kept
	reporter     *reporter // nil: nothing is reported
}

func newProgram(ctx context.Context, config Config) (*program, error) {
	certificates, err := newCertificates(config)
	if err != nil {
		return nil, err
	}
	manager, err := newManager(config)
	if err != nil {
		return nil, err
	}
	gates := newStore(config.Log)
	if err := gates.watch(ctx, manager.GetCache()); err != nil {
		return nil, err
	}
	if err := addStatusWriter(manager, config.Trust); err != nil {
		return nil, err
	}
	if config.Renewal != nil {
		if err := addRenewal(manager, *config.Renewal, filepath.Dir(config.CertFile)); err != nil {
			return nil, err
		}
	}
	decider := &decider{
		gates:    gates,
		owners:   owners{api: manager.GetAPIReader(), kinds: cmp.Or(config.Kinds, workload.NewKinds())},
		policies: policies{manager.GetAPIReader()},
		cluster:  &clusterID{api: manager.GetAPIReader()},
		judge:    config.Judge,
		ungated:  config.Ungated,
		now:      time.Now,
		metrics:  config.Metrics,
		log:      config.Log,
	}
	p := &program{Config: config, certificates: certificates, manager: manager, gates: gates}
	if config.Shelf != nil {
		p.keeping = newKeeping(config.Shelf, config.Keeper, config.Log)
	}
	if config.Report != nil {
		p.reporter = newReporter(*config.Report, config, manager, decider)
	}
	p.reviews = &reviewer{decider: decider, inFlight: newInFlight(), keeping: p.keeping, metrics: config.Metrics, log: config.Log}
	return p, nil
}

// run runs the parts until ctx ends, or one of them fails.
func (p *program) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		p.Log.Info("serving", "address", p.Listener.Addr().String())
		return serve(ctx, p.Listener, p.certificates.get, handler(p.reviews, p.reviews.onTrial(), p.gates.ready), p.Log)
	})
	group.Go(func() error { return ended(ctx, "watching the certificate", p.certificates.run(ctx)) })
	if p.Metrics != nil && p.MetricsListener != nil {
		group.Go(func() error { return ended(ctx, "serving metrics", p.Metrics.serve(ctx, p.MetricsListener)) })
	}
	if p.keeping != nil {
		group.Go(func() error { return ended(ctx, "keeping what was admitted", p.keeping.run(ctx)) })
	}
	if p.reporter != nil {
		group.Go(func() error { return ended(ctx, "reporting what runs", p.reporter.run(ctx)) })
	}
	group.Go(func() error { return ended(ctx, "following Gates, Recalls and Exceptions", follow(ctx, p.manager)) })
	return group.Wait()
}

// leave is how long the manager may take to end; it has only watches to close.
const leave = 5 * time.Second

// follow runs the manager until ctx ends. A manager whose caches never filled (this
// account may not list Gates, say) doesn't end with ctx: controller-runtime waits for
// them first. It is left behind then, for the program ends.
func follow(ctx context.Context, manager ctrl.Manager) error {
	ended := make(chan error, 1)
	go func() { ended <- manager.Start(ctx) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-ended:
		return err
	case <-time.After(leave):
		return nil
	}
}

// ended makes an error of a part that ends while the others should go on.
func ended(ctx context.Context, what string, err error) error {
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", what, err)
	case ctx.Err() == nil:
		return fmt.Errorf("%s: %w", what, errors.New("it ended by itself"))
	default:
		return nil
	}
}

func newManager(config Config) (ctrl.Manager, error) {
	logger := logr.FromSlogHandler(config.Log.Handler())
	ctrllog.SetLogger(logger) // certwatcher and client-go's reflectors have no other
	cluster := rest.CopyConfig(config.Cluster)
	// Owners are looked up while an API server waits: its priority and fairness
	// guard it, a queue here would only make denials of what is proven.
	cluster.QPS = -1
	manager, err := ctrl.NewManager(cluster, ctrl.Options{
		Logger:  logger,
		Metrics: metricsserver.Options{BindAddress: "0"},
		Cache: cache.Options{
			DefaultTransform:         cache.TransformStripManagedFields(),
			DefaultWatchErrorHandler: watchBroke(config.Log),
		},
	})
	if err != nil {
		return nil, fmt.Errorf("connecting to the cluster: %w", err)
	}
	return manager, nil
}

// watchBroke logs that Gates, Recalls or Exceptions aren't followed: rulings go on by what was read
// last, and a Recall that doesn't arrive should be seen. It is called for every attempt
// that fails, up to half a minute apart.
func watchBroke(log *slog.Logger) toolscache.WatchErrorHandlerWithContext {
	return func(ctx context.Context, r *toolscache.Reflector, err error) {
		switch {
		case ctx.Err() != nil:
		case errors.Is(err, io.EOF), apierrors.IsResourceExpired(err), apierrors.IsGone(err):
			// API servers end watches now and then; the next begins at once.
		default:
			log.Error("following the cluster fails; until it doesn't, changes aren't seen and rulings go by what was read last",
				"kind", r.TypeDescription(), "error", err)
		}
	}
}
