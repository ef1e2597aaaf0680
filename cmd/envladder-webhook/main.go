// Command envladder-webhook is the validating admission webhook: it judges every image that
// a request would start by the Gates of its namespace.
package main

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

	"github.com/envladder/envladder/internal/cli"
	"github.com/envladder/envladder/internal/evidence"
	"github.com/envladder/envladder/internal/evidence/legacy"
	"github.com/envladder/envladder/internal/registry/cloud"
	"github.com/envladder/envladder/internal/tracing"
	"github.com/envladder/envladder/internal/verdict"
	"github.com/envladder/envladder/internal/workload"
	"github.com/envladder/envladder/webhook"
	"github.com/envladder/envladder/webhook/admission"
	"github.com/envladder/envladder/webhook/certs"
	"github.com/envladder/envladder/webhook/evidencecache"
	"github.com/envladder/envladder/webhook/gatestatus"
)

func main() {
	cli.Main(newRootCommand)
}

func newRootCommand() *cobra.Command {
	var o options
	root := &cobra.Command{
		Use:   "envladder-webhook",
		Short: "Deny images on admission that are not proven to a Gate",
		Long: `envladder-webhook answers the AdmissionReviews of an API server: it judges every
image that a request would start by the Gates that name its namespace, and denies
what is not proven with all reasons.

It serves POST /validate and /audit, and GET /healthz and /readyz, on one port with TLS.
Until it has read the cluster's Gates, Recalls and Exceptions, it is not ready and denies.`,
		Example: `  # In a cluster, with the certificate mounted from a Secret
  envladder-webhook --tls-cert-file /tls/tls.crt --tls-private-key-file /tls/tls.key

  # Outside of a cluster, on another port
  envladder-webhook --kubeconfig ~/.kube/config --listen 127.0.0.1:8443 \
    --tls-cert-file tls.crt --tls-private-key-file tls.key --log-format json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	flags := root.Flags()
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig `file` of the cluster to follow (default: the cluster that it runs in)")
	flags.StringVar(&o.listen, "listen", ":9443", "`address` to serve on")
	flags.StringVar(&o.certificate, "tls-cert-file", "", "PEM `file` with the certificate; read again when it changes")
	flags.StringVar(&o.key, "tls-private-key-file", "", "PEM `file` with the certificate's key; read again when it changes")
	flags.StringVar(&o.renewSecret, "certificate-secret", "", "`NAMESPACE/NAME` of the Secret for a certificate that the webhook issues itself; it must be mounted where --tls-cert-file and --tls-private-key-file are")
	flags.StringVar(&o.renewal.Configuration, "webhook-configuration", "envladder-webhook", "`name` of the ValidatingWebhookConfiguration that gets the CA of --certificate-secret")
	flags.StringVar(&o.renewal.Host, "service-host", "", "`host` that the certificate in --certificate-secret is for (default: envladder-webhook.NAMESPACE.svc)")
	flags.StringVar(&o.evidenceCacheNamespace, "evidence-cache-namespace", "", "`namespace` to store the evidence of admitted digests in, for use while the registry is down (default: it isn't stored)")
	flags.StringVar(&o.evidenceCacheSecret, "evidence-cache-secret", "envladder-webhook-evidence-cache", "`name` of the Secret in --evidence-cache-namespace with the key of verification records; it may be empty")
	flags.DurationVar(&o.report.Interval, "report-interval", 0, "`time` between audits of what runs, which are reported in the status of Gates; at least 10s (default: no audits)")
	flags.StringVar(&o.reportLease, "report-lease", "", "`NAMESPACE/NAME` of the Lease by which replicas elect the one that audits (default: this replica audits)")
	flags.StringVar(&o.metrics, "metrics-bind-address", "", "`address` to serve GET /metrics on, in plain HTTP (default: nowhere)")
	flags.StringVar(&o.ungated, "ungated-namespaces", string(admission.UngatedDeny), "what happens in namespaces that are sent and that no Gate names: `Deny|Allow` (under Allow, Recalls still deny)")
	flags.StringArrayVar(&o.paths, "pod-template-path", nil, "a kind that starts pods and the path of its pod template: `group/version/Kind=spec.template`, with [] after the key of a list; may be repeated")
	flags.StringArrayVar(&o.controllers, "pod-controller", nil, "the user who creates pods for a custom kind: `group/version/Kind=USER`; may be repeated")
	o.trust.AddTo(flags)
	o.registry.AddTo(flags)
	o.log.AddTo(flags)
	cli.SetGrace(root, 35*time.Second) // requests in flight have 30 s
	cobra.CheckErr(root.MarkFlagRequired("tls-cert-file"))
	cobra.CheckErr(root.MarkFlagRequired("tls-private-key-file"))
	return root
}

type options struct {
	kubeconfig, listen, certificate, key, ungated                     string
	renewSecret, evidenceCacheNamespace, evidenceCacheSecret, metrics string
	reportLease                                                       string
	report                                                            gatestatus.ReportOptions
	renewal                                                           certs.Renewal
	paths, controllers                                                []string
	trust                                                             evidence.TrustOptions
	registry                                                          cloud.Options
	log                                                               cli.LogFlags
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

// traceTimeout bounds sending the last spans to a collector.
const traceTimeout = 3 * time.Second

func (o *options) run(cmd *cobra.Command) error {
	log, err := o.log.Logger(cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	klog.SetSlogLogger(log) // client-go's leader election has no other logger
	ungated, err := admission.ParseUngated(o.ungated)
	if err != nil {
		return fmt.Errorf("--ungated-namespaces %w", err)
	}
	kinds, err := o.kinds()
	if err != nil {
		return err
	}
	renewal, err := o.certificateRenewal()
	if err != nil {
		return err
	}
	report, err := o.reportOptions()
	if err != nil {
		return err
	}
	cluster, err := clientcmd.BuildConfigFromFlags("", o.kubeconfig)
	if err != nil {
		return fmt.Errorf("reading the cluster's configuration (--kubeconfig %q): %w", o.kubeconfig, err)
	}
	client, err := o.registry.Client()
	if err != nil {
		return err
	}
	metrics, trust := webhook.NewMetrics(), evidence.NewTrust(o.trust)
	client.Observe(metrics.RegistryCall)
	client.Wrap(tracing.Transport)
	attestations := evidence.NewStore(client, trust).WithLegacy(legacy.New(client, trust))
	metrics.CountEvidence(attestations.Counts)
	var evidenceCache *evidencecache.Cache
	if o.evidenceCacheNamespace != "" {
		if evidenceCache, err = evidencecache.New(cluster, o.evidenceCacheNamespace, o.evidenceCacheSecret, evidencecache.DefaultLimits, log); err != nil {
			return err
		}
		attestations.UseClusterCache(evidenceCache)
	}
	var config net.ListenConfig
	listener, err := config.Listen(cmd.Context(), "tcp", o.listen)
	if err != nil {
		return fmt.Errorf("listening on --listen %q: %w", o.listen, err)
	}
	var metricsListener net.Listener
	if o.metrics != "" {
		if metricsListener, err = config.Listen(cmd.Context(), "tcp", o.metrics); err != nil {
			return fmt.Errorf("listening on --metrics-bind-address %q: %w", o.metrics, err)
		}
	}
	stopTracing, err := tracing.Start(cmd.Context(), "envladder-webhook", cli.Version(), log)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(cmd.Context()), traceTimeout)
		defer cancel()
		if err := stopTracing(ctx); err != nil {
			log.Warn("cannot send the last traces", "error", err)
		}
	}()
	log.Info("starting", "version", cli.Version())
	return webhook.Run(cmd.Context(), webhook.Config{
		Cluster:         cluster,
		Listener:        listener,
		Certificate:     certs.Options{CertFile: o.certificate, KeyFile: o.key, Renewal: renewal},
		Judge:           verdict.New(attestations),
		Trust:           trust,
		Kinds:           kinds,
		EvidenceCache:   evidenceCache,
		EvidenceSource:  attestations,
		Report:          report,
		Metrics:         metrics,
		MetricsListener: metricsListener,
		Ungated:         ungated,
		Log:             log,
	})
}
