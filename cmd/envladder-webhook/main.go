// Command envladder-webhook is the validating admission webhook: it judges every image that
// a request would start by the Gates of its namespace.
package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/klog/v2"

	"github.com/envladder/envladder/internal/cli"
	"github.com/envladder/envladder/internal/evidence"
	"github.com/envladder/envladder/internal/registry/cloud"
	"github.com/envladder/envladder/internal/tracing"
	"github.com/envladder/envladder/webhook"
	"github.com/envladder/envladder/webhook/admission"
	"github.com/envladder/envladder/webhook/certs"
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

// traceTimeout bounds sending the last spans to a collector.
const traceTimeout = 3 * time.Second

func (o *options) run(cmd *cobra.Command) error {
	log, err := o.log.Logger(cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	klog.SetSlogLogger(log) // client-go's leader election has no other logger
	config, err := o.config(log)
	if err != nil {
		return err
	}
	if err := o.addEvidence(&config); err != nil {
		return err
	}
	if err := o.addListeners(cmd.Context(), &config); err != nil {
		return err
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
	return webhook.Run(cmd.Context(), config)
}
