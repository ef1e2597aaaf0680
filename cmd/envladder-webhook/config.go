package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/envladder/envladder/internal/evidence"
	"github.com/envladder/envladder/internal/evidence/legacy"
	"github.com/envladder/envladder/internal/tracing"
	"github.com/envladder/envladder/internal/verdict"
	"github.com/envladder/envladder/internal/workload"
	"github.com/envladder/envladder/webhook"
	"github.com/envladder/envladder/webhook/admission"
	"github.com/envladder/envladder/webhook/certs"
	"github.com/envladder/envladder/webhook/evidencecache"
	"github.com/envladder/envladder/webhook/gatestatus"
)

// config returns the webhook's configuration without evidence and listeners.
func (o *options) config(log *slog.Logger) (config webhook.Config, err error) {
	config.Log = log
	if config.Ungated, err = admission.ParseUngated(o.ungated); err != nil {
		return config, fmt.Errorf("--ungated-namespaces %w", err)
	}
	if config.Kinds, err = o.kinds(); err != nil {
		return config, err
	}
	renewal, err := o.certificateRenewal()
	if err != nil {
		return config, err
	}
	config.Certificate = certs.Options{CertFile: o.certificate, KeyFile: o.key, Renewal: renewal}
	if config.Report, err = o.reportOptions(); err != nil {
		return config, err
	}
	if config.Cluster, err = clientcmd.BuildConfigFromFlags("", o.kubeconfig); err != nil {
		return config, fmt.Errorf("reading the cluster's configuration (--kubeconfig %q): %w", o.kubeconfig, err)
	}
	return config, nil
}

// addEvidence adds the judge, where it finds evidence, and metrics of both.
func (o *options) addEvidence(config *webhook.Config) error {
	client, err := o.registry.Client()
	if err != nil {
		return err
	}
	config.Metrics, config.Trust = webhook.NewMetrics(), evidence.NewTrust(o.trust)
	client.Observe(config.Metrics.RegistryCall)
	client.Wrap(tracing.Transport)
	store := evidence.NewStore(client, config.Trust).WithLegacy(legacy.New(client, config.Trust))
	config.Metrics.CountEvidence(store.Counts)
	config.Judge, config.EvidenceSource = verdict.New(store), store
	if o.evidenceCacheNamespace == "" {
		return nil
	}
	config.EvidenceCache, err = evidencecache.New(config.Cluster, o.evidenceCacheNamespace, o.evidenceCacheSecret, evidencecache.DefaultLimits, config.Log)
	if err != nil {
		return err
	}
	store.UseClusterCache(config.EvidenceCache)
	return nil
}

// addListeners listens for reviews, and for metrics if they have an address.
func (o *options) addListeners(ctx context.Context, config *webhook.Config) (err error) {
	var listen net.ListenConfig
	if config.Listener, err = listen.Listen(ctx, "tcp", o.listen); err != nil {
		return fmt.Errorf("listening on --listen %q: %w", o.listen, err)
	}
	if o.metrics == "" {
		return nil
	}
	if config.MetricsListener, err = listen.Listen(ctx, "tcp", o.metrics); err != nil {
		return fmt.Errorf("listening on --metrics-bind-address %q: %w", o.metrics, err)
	}
	return nil
}

// certificateRenewal returns how the webhook renews its certificate; nil: it doesn't.
func (o *options) certificateRenewal() (*certs.Renewal, error) {
	if o.renewSecret == "" {
		return nil, nil
	}
	secret, err := parseName(o.renewSecret)
	if err != nil {
		return nil, fmt.Errorf("--certificate-secret %w", err)
	}
	renewal := o.renewal
	renewal.Secret = secret
	renewal.Host = cmp.Or(renewal.Host, "envladder-webhook."+secret.Namespace+".svc")
	return &renewal, nil
}

// reportOptions returns how the webhook reports what runs; nil: it doesn't.
func (o *options) reportOptions() (report *gatestatus.ReportOptions, err error) {
	if o.report.Interval == 0 {
		return nil, nil
	}
	if o.report.Interval < minReportInterval {
		return nil, fmt.Errorf("--report-interval %s: use %s or more", o.report.Interval, minReportInterval)
	}
	if o.reportLease != "" {
		if o.report.Lease, err = parseName(o.reportLease); err != nil {
			return nil, fmt.Errorf("--report-lease %w", err)
		}
	}
	return &o.report, nil
}

// minReportInterval prevents audits without a pause between them.
const minReportInterval = 10 * time.Second

func parseName(text string) (types.NamespacedName, error) {
	namespace, name, ok := strings.Cut(text, "/")
	if !ok || namespace == "" || name == "" {
		return types.NamespacedName{}, fmt.Errorf("%q: write NAMESPACE/NAME", text)
	}
	return types.NamespacedName{Namespace: namespace, Name: name}, nil
}

// kinds returns the kinds that start pods, with those that the flags add.
func (o *options) kinds() (*workload.Kinds, error) {
	kinds := workload.NewKinds()
	for _, path := range o.paths {
		if err := kinds.AddPath(path); err != nil {
			return nil, fmt.Errorf("--pod-template-path: %w", err)
		}
	}
	for _, controller := range o.controllers {
		if err := kinds.AddController(controller); err != nil {
			return nil, fmt.Errorf("--pod-controller: %w", err)
		}
	}
	return kinds, nil
}
