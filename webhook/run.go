package webhook

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/envladder/envladder/internal/evidence"
	"github.com/envladder/envladder/internal/workload"
	"github.com/envladder/envladder/webhook/admission"
	"github.com/envladder/envladder/webhook/certs"
	"github.com/envladder/envladder/webhook/evidencecache"
	"github.com/envladder/envladder/webhook/gatestatus"
	"github.com/envladder/envladder/webhook/policycache"
	"github.com/envladder/envladder/webhook/rollout"
)

// Config is what the webhook needs to run.
type Config struct {
	// Cluster whose Gates it follows. The account must have the rights to get, list and
	// watch Gates, Recalls and Exceptions, to patch the status of Gates, and to get the
	// kinds that own pods and ClusterImagePolicies; with a Report, also to list the kinds
	// that start pods.
	Cluster *rest.Config
	// Listener to serve on.
	Listener net.Listener
	// Certificate to serve with.
	Certificate certs.Options
	// Judge of images.
	Judge admission.Judge
	// Trust that the Judge verifies signatures with; the status of Gates reports which
	// signers are unavailable. nil: it doesn't.
	Trust *evidence.Trust
	// Kinds that start pods; nil: those that need no configuration.
	Kinds *workload.Kinds
	// EvidenceCache stores the evidence of admitted images, as EvidenceSource reads it; nil:
	// nothing is stored. The Judge must load evidence from the same cache.
	EvidenceCache  *evidencecache.Cache
	EvidenceSource evidencecache.Source
	// Report configures the report of what runs and would be denied, in the status of
	// Gates; nil: there is none.
	Report *gatestatus.ReportOptions
	// Metrics to count with, and where to serve them; nil: nothing is counted.
	Metrics         *Metrics
	MetricsListener net.Listener
	// Ungated is what happens in namespaces that no Gate names; empty: UngatedDeny.
	Ungated admission.Ungated
	// Log of verdicts and failures.
	Log *slog.Logger

	now              func() time.Time // nil: time.Now
	imagePoliciesAPI client.Reader    // nil: the cluster's API server
}

// Run serves reviews until ctx ends and the requests in flight are answered. It answers
// from the start, and denies until Gates, Recalls and Exceptions are read.
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
	certificates *certs.Certificates
	manager      ctrl.Manager
	policies     *policycache.Cache
	reviewer     *admission.Reviewer
	evidence     *evidencecache.Writer // nil: nothing is stored
	reporter     *gatestatus.Reporter  // nil: nothing is reported
}

func newProgram(ctx context.Context, config Config) (*program, error) {
	certificates, err := certs.New(config.Certificate)
	if err != nil {
		return nil, err
	}
	manager, err := newManager(config)
	if err != nil {
		return nil, err
	}
	policies := policycache.New(config.Log)
	if err := policies.Watch(ctx, manager.GetCache()); err != nil {
		return nil, err
	}
	if err := gatestatus.AddController(manager, config.Trust); err != nil {
		return nil, err
	}
	if err := certs.AddRenewal(manager, config.Certificate); err != nil {
		return nil, err
	}
	p := &program{Config: config, certificates: certificates, manager: manager, policies: policies}
	api := manager.GetAPIReader()
	kinds := cmp.Or(config.Kinds, workload.NewKinds())
	options := admission.Options{
		Policies:      policies,
		ImagePolicies: policycache.NewImagePolicies(cmp.Or(config.imagePoliciesAPI, api)),
		ClusterUID:    policycache.NewClusterUID(api),
		Resolver:      rollout.NewResolver(api, kinds),
		Judge:         config.Judge,
		Ungated:       config.Ungated,
		Now:           config.now,
		Log:           config.Log,
	}
	if config.Metrics != nil {
		options.Metrics = config.Metrics
	}
	p.reviewer = admission.NewReviewer(options)
	if config.EvidenceCache != nil {
		p.evidence = evidencecache.NewWriter(config.EvidenceCache, config.EvidenceSource, config.Log)
	}
	if config.Report != nil {
		p.reporter = gatestatus.NewReporter(*config.Report, gatestatus.Sources{
			Cluster: config.Cluster, Client: manager.GetClient(), Kinds: kinds, Policies: policies,
			ImagePolicies: options.ImagePolicies, ClusterUID: options.ClusterUID, Judge: p.reviewer, Log: config.Log,
		})
	}
	return p, nil
}

// handler returns the handler of reviews.
func (p *program) handler() http.Handler {
	if p.evidence == nil {
		return admission.NewHandler(p.reviewer, nil) // not a nil *Writer in an interface
	}
	return admission.NewHandler(p.reviewer, p.evidence)
}

// run runs the parts until ctx ends, or one of them fails.
func (p *program) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		p.Log.Info("serving", "address", p.Listener.Addr().String())
		return serve(ctx, p.Listener, p.certificates.Get, p.handler(), p.Log)
	})
	group.Go(func() error { return ended(ctx, "watching the certificate", p.certificates.Run(ctx)) })
	if p.Metrics != nil && p.MetricsListener != nil {
		group.Go(func() error { return ended(ctx, "serving metrics", p.Metrics.serve(ctx, p.MetricsListener)) })
	}
	if p.evidence != nil {
		group.Go(func() error { return ended(ctx, "writing the evidence cache", p.evidence.Run(ctx)) })
	}
	if p.reporter != nil {
		group.Go(func() error { return ended(ctx, "reporting what runs", p.reporter.Run(ctx)) })
	}
	group.Go(func() error {
		return ended(ctx, "following Gates, Recalls and Exceptions", runManager(ctx, p.manager))
	})
	return group.Wait()
}

// stopTimeout is how long the manager may take to end; it has only watches to close.
const stopTimeout = 5 * time.Second

// runManager runs the manager until ctx ends. A manager whose caches never filled (because
// this account may not list Gates, for example) doesn't end with ctx: controller-runtime
// waits for the caches first. It is abandoned then, since the program ends.
func runManager(ctx context.Context, manager ctrl.Manager) error {
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
	case <-time.After(stopTimeout):
		return nil
	}
}

// ended returns an error if a part has failed, or has ended before ctx.
func ended(ctx context.Context, part string, err error) error {
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", part, err)
	case ctx.Err() == nil:
		return fmt.Errorf("%s: %w", part, errors.New("ended unexpectedly"))
	default:
		return nil
	}
}

func newManager(config Config) (ctrl.Manager, error) {
	logger := logr.FromSlogHandler(config.Log.Handler())
	ctrllog.SetLogger(logger) // certwatcher and client-go's reflectors have no other
	cluster := rest.CopyConfig(config.Cluster)
	// Owners are looked up while an API server waits. Its priority and fairness protect it;
	// a queue here would only deny proven images.
	cluster.QPS = -1
	manager, err := ctrl.NewManager(cluster, ctrl.Options{
		Logger:  logger,
		Metrics: metricsserver.Options{BindAddress: "0"},
		Cache: cache.Options{
			DefaultTransform:         cache.TransformStripManagedFields(),
			DefaultWatchErrorHandler: logWatchErrors(config.Log),
		},
	})
	if err != nil {
		return nil, fmt.Errorf("connecting to the cluster: %w", err)
	}
	return manager, nil
}

// logWatchErrors returns a handler that logs when Gates, Recalls or Exceptions can't be
// watched: reviews go on with what was read last, and a Recall that doesn't arrive must not
// go unnoticed. It is called for each failed attempt, up to half a minute apart.
func logWatchErrors(log *slog.Logger) toolscache.WatchErrorHandlerWithContext {
	return func(ctx context.Context, r *toolscache.Reflector, err error) {
		switch {
		case ctx.Err() != nil:
		case errors.Is(err, io.EOF), apierrors.IsResourceExpired(err), apierrors.IsGone(err):
			// API servers end watches now and then; the next one starts at once.
		default:
			log.Error("cannot watch the cluster; reviews use what was read last until it succeeds",
				"kind", r.TypeDescription(), "error", err)
		}
	}
}
