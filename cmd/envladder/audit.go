package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/envladder/envladder/internal/audit"
	"github.com/envladder/envladder/internal/cli"
	"github.com/envladder/envladder/internal/verdict"
	"github.com/envladder/envladder/internal/workload"
)

// auditFlags are the flags of audit.
type auditFlags struct {
	sources                      sourceFlags
	context, kubeconfig, recalls string
	gates, paths                 []string
	deploy, all                  bool
	timeout                      time.Duration
	output                       string
}

func newAuditCommand() *cobra.Command {
	var flags auditFlags
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Show running images that a cluster's Gates would deny",
		Long: `Show the images that run in the namespaces of a cluster's Gates and would be denied if
they were started again. Use it before you set a Gate's action to Deny, and after a digest
was recalled. With --gate it checks a Gate that the cluster doesn't have yet. It changes
nothing.

The audit covers pods and all kinds that start pods, with their stamps, as on admission. It
uses the cluster's Recalls and those of --recalls, and the cluster's Exceptions and
ClusterImagePolicies. It lists images that run by an Exception. With --deploy it also checks
the age of evidence, as if everything were deployed again.

With --output json it prints one object; docs/webhook.md has its fields.

Exit codes: 0 nothing would be denied, 1 something would be denied, 2 the audit failed.`,
		Example: `  # By the cluster's Gates
  envladder audit --context prod-eu

  # By a Gate that the cluster doesn't have yet
  envladder audit --context prod-eu --gate gates/shop-prod.yaml -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return flags.run(cmd.Context(), cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	f.StringVar(&flags.context, "context", "", "`name` of the kubeconfig's context (default: the current one)")
	f.StringVar(&flags.kubeconfig, "kubeconfig", "", "`file` of the kubeconfig (default: $KUBECONFIG, or ~/.kube/config)")
	f.StringArrayVar(&flags.gates, "gate", nil, "`file` of a Gate to use instead of the cluster's; may be repeated")
	f.StringVar(&flags.recalls, "recalls", "", "`file` of Recalls to use in addition to the cluster's")
	f.StringArrayVar(&flags.paths, "pod-template-path", nil, "a kind that starts pods and the path of its pod template: `group/version/Kind=spec.template`, as for the webhook; may be repeated")
	flags.sources.addTo(f)
	f.BoolVar(&flags.deploy, "deploy", false, "judge as if everything were deployed again: check the age of evidence")
	f.BoolVar(&flags.all, "all", false, "also show images that would be allowed")
	f.DurationVar(&flags.timeout, "timeout", 5*time.Minute, "`time` limit for the cluster and the registry")
	f.StringVarP(&flags.output, "output", "o", "text", "`format`: text or json")
	return cmd
}

func (f auditFlags) run(ctx context.Context, stdout io.Writer) error {
	show, err := f.printer()
	if err != nil {
		return err
	}
	kinds := workload.NewKinds()
	for _, path := range f.paths {
		if err := kinds.AddPath(path); err != nil {
			return fmt.Errorf("--pod-template-path: %w", err)
		}
	}
	config, err := f.cluster()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, f.timeout, fmt.Errorf("timed out after %v (--timeout)", f.timeout))
	defer cancel()
	cluster, err := audit.NewCluster(config, kinds)
	if err != nil {
		return err
	}
	judge, err := f.sources.judge()
	if err != nil {
		return err
	}
	options := audit.Options{Deploy: f.deploy, Judge: judge, Now: time.Now()}
	if err := f.readInputs(ctx, cluster, &options); err != nil {
		return err
	}
	report, err := audit.Run(ctx, cluster, options)
	if err != nil {
		return err
	}
	if err := show(stdout, report); err != nil {
		return fmt.Errorf("printing the audit: %w", err)
	}
	if report.Denied() {
		return cli.ErrNo
	}
	return nil
}

// readInputs reads everything that the verdicts depend on into options.
func (f auditFlags) readInputs(ctx context.Context, cluster *audit.Cluster, options *audit.Options) (err error) {
	if options.Gates, options.Recalls, err = readGatesAndRecalls(f.gates, f.recalls); err != nil {
		return err
	}
	if len(f.gates) == 0 {
		if options.Gates, err = cluster.Gates(ctx); err != nil {
			return err
		}
	}
	if len(options.Gates) == 0 {
		return errors.New("the cluster has no Gates: pass the file of one (--gate)")
	}
	recalls, err := cluster.Recalls(ctx)
	if err != nil {
		return err
	}
	options.Recalls = append(options.Recalls, recalls...)
	if options.Exceptions, err = cluster.Exceptions(ctx); err != nil {
		return err
	}
	if slices.ContainsFunc(options.Gates, func(g verdict.Gate) bool { return g.Spec.ProvenHere != nil }) {
		if options.Cluster, err = cluster.ID(ctx); err != nil {
			return err
		}
	}
	options.Policies, err = cluster.Policies(ctx, options.Gates)
	return err
}

// cluster returns the configuration of the kubeconfig's context.
func (f auditFlags) cluster() (*rest.Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = f.kubeconfig
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: f.context}).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("--context %q: %w", f.context, err)
	}
	config.Timeout = f.timeout
	config.UserAgent = "envladder"
	return config, nil
}

// printer returns the printer of the output format.
func (f auditFlags) printer() (func(io.Writer, audit.Report) error, error) {
	switch f.output {
	case "text":
		return f.print, nil
	case "json":
		return func(w io.Writer, r audit.Report) error { return writeJSON(w, r) }, nil
	}
	return nil, fmt.Errorf("--output %q: use text or json", f.output)
}

// print prints a paragraph for each image that would be denied, and counts the others.
func (f auditFlags) print(w io.Writer, r audit.Report) error {
	p := printer{w: w}
	allowed := 0
	for _, image := range r.Images {
		switch {
		case !image.Allowed:
			p.audited(image)
		case f.all || image.Exempted() != nil:
			p.linef("%s: %s: allowed", image.Namespace, image.Image)
			p.linef("  runs in %s", list(image.Objects))
			p.exempted(image.Exempted())
		}
		if image.Allowed {
			allowed++
		}
	}
	for _, unread := range r.Unread {
		p.linef("%s: %s: can't be read: %s", unread.Namespace, unread.Object, unread.Why)
	}
	p.linef("Images that would be allowed: %d, denied: %d; objects that can't be read: %d", allowed, len(r.Images)-allowed, len(r.Unread))
	return p.err
}

// audited prints an image that would be denied, with the reasons.
func (p *printer) audited(image audit.Image) {
	state := "would be denied"
	if image.Recalled {
		state = "was recalled, and runs"
	}
	p.linef("%s: %s: %s", image.Namespace, image.Image, state)
	p.linef("  runs in %s", list(image.Objects))
	for _, v := range image.Verdicts {
		for _, reason := range v.Reasons {
			p.linef("  %s: %s", reason.Code, reason.Message)
		}
	}
}

// list joins the first names, and appends how many more there are.
func list(names []string) string {
	const most = 5
	text := ""
	for i, name := range names {
		if i == most {
			return fmt.Sprintf("%s and %d more", text, len(names)-most)
		}
		if i > 0 {
			text += ", "
		}
		text += name
	}
	return text
}
