package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	appsclient "k8s.io/client-go/kubernetes/typed/apps/v1"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/envladder/envladder/internal/digests"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/promote"
	"github.com/envladder/envladder/promote/workloads"
)

// statusFlags are the flags of status.
type statusFlags struct {
	dir, remote, kubeconfig, namespace, recalls string
	contexts, gates                             []string
	timeout                                     time.Duration
	output                                      string
	sources                                     sourceFlags
}

func newStatusCommand() *cobra.Command {
	var flags statusFlags
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what each environment has pinned, runs, and can prove",
		Long: `Show the ladder of the work tree as a table. For each environment and target it shows the
pinned digest, whether the previous environment has the same, the running digests, and the
Gate's view: the evidence found, and the codes of missing requirements. The evidence is that
of the pinned digest; envladder promote --dry-run reports what the next digest lacks.

The proposals are read from the promotions' branches on the remote. A digest that the
previous environment no longer has is marked as withdrawn.

The running digests are read from the clusters of the contexts in --context: from
Deployments, StatefulSets and DaemonSets with the ladder's stamps. Without --context no
cluster is queried. The Gate is the one that the ladder names, or the one of --gate that
names the environment.

With --output json it prints one object; docs/promotion.md has its fields.

Exit codes: 0 shown, also if a Gate denies or a cluster doesn't answer; 2 failed. Use
envladder verify for an exit code that depends on the verdict.`,
		Example: `  envladder status -C shop

  # With what runs in both clusters, and the Gate of prod
  envladder status -C shop --context staging --context prod-eu --gate gates/shop-prod.yaml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return flags.run(cmd.Context(), cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	f.StringVarP(&flags.dir, "dir", "C", ".", "`folder` of ladder.yaml")
	f.StringVar(&flags.remote, "remote", "origin", "`name` of the remote to read the promotions' branches from; empty for none")
	f.StringArrayVar(&flags.contexts, "context", nil, "`name` of a kubeconfig's context to query; may be repeated")
	f.StringVar(&flags.kubeconfig, "kubeconfig", "", "`file` of the kubeconfig (default: $KUBECONFIG, or ~/.kube/config)")
	f.StringVarP(&flags.namespace, "namespace", "n", "", "`namespace` to query (default: all)")
	f.StringArrayVar(&flags.gates, "gate", nil, "`file` of a Gate to use instead of the ladder's; may be repeated")
	f.StringVar(&flags.recalls, "recalls", "", "`file` of Recalls")
	flags.sources.addTo(f)
	f.DurationVar(&flags.timeout, "timeout", 30*time.Second, "`time` limit for the clusters and the registry")
	f.StringVarP(&flags.output, "output", "o", "text", "`format`: text or json")
	return cmd
}

func (f statusFlags) run(ctx context.Context, stdout io.Writer) error {
	show, err := statusPrinter(f.output)
	if err != nil {
		return err
	}
	judge, err := f.sources.judge()
	if err != nil {
		return err
	}
	charts, err := f.sources.charts()
	if err != nil {
		return err
	}
	options := promote.StatusOptions{Now: time.Now, Judge: judge, Charts: charts, Remote: f.remote}
	if options.Gates, options.Recalls, err = readGatesAndRecalls(f.gates, f.recalls); err != nil {
		return err
	}
	if options.Clusters, err = f.clusters(); err != nil {
		return err
	}
	repo, err := ladder.FindSources(f.dir)
	if err != nil {
		return err
	}
	defer repo.Close()
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	status, err := promote.StatusOf(ctx, repo, options)
	if err != nil {
		return err
	}
	if err := show(stdout, status); err != nil {
		return fmt.Errorf("printing the status: %w", err)
	}
	return nil
}

// clusters returns the clusters of --context. A context that doesn't exist is an error here;
// a cluster that doesn't answer is part of the status.
func (f statusFlags) clusters() ([]workloads.Cluster, error) {
	var clusters []workloads.Cluster
	for _, name := range f.contexts {
		rules := clientcmd.NewDefaultClientConfigLoadingRules()
		rules.ExplicitPath = f.kubeconfig
		config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: name}).ClientConfig()
		if err != nil {
			return nil, fmt.Errorf("--context %q: %w", name, err)
		}
		config.Timeout = f.timeout
		config.UserAgent = "envladder"
		client, err := appsclient.NewForConfig(config)
		if err != nil {
			return nil, fmt.Errorf("--context %q: %w", name, err)
		}
		clusters = append(clusters, workloads.Cluster{Name: name, Namespace: f.namespace, Client: client})
	}
	return clusters, nil
}

// statusPrinter returns the printer of a format.
func statusPrinter(format string) (func(io.Writer, promote.Status) error, error) {
	switch format {
	case "text":
		return printStatus, nil
	case "json":
		return func(w io.Writer, s promote.Status) error { return writeJSON(w, s) }, nil
	}
	return nil, fmt.Errorf("--output %q: use text or json", format)
}

// printStatus prints the table of environments and targets, the proposals, the evidence that
// the Gates found, and notes on missing information.
func printStatus(w io.Writer, s promote.Status) error {
	p := printer{w: w}
	p.table(func(p *printer) {
		p.linef("ENVIRONMENT\tIMAGE\tPINNED\tBEFORE IT\tRUNS\tMISSING")
		for _, r := range s.Rows {
			p.linef("%s\t%s\t%s\t%s\t%s\t%s", r.EnvTarget, r.Image, pinned(r), before(r), runningText(r), missingCodes(r))
		}
	})
	if len(s.Proposals) > 0 {
		p.linef("")
		p.table(func(p *printer) { p.proposals(s.Proposals) })
	}
	if slices.ContainsFunc(s.Rows, hasEvidence) {
		p.linef("")
		p.table(func(p *printer) { p.evidence(s.Rows) })
	}
	p.notes(s)
	return p.err
}

// table prints lines with tabs between their cells.
func (p *printer) table(lines func(*printer)) {
	if p.err != nil {
		return
	}
	table := tabwriter.NewWriter(p.w, 0, 0, 2, ' ', 0)
	inner := printer{w: table}
	lines(&inner)
	p.err = errors.Join(inner.err, table.Flush())
}

// proposals prints a line for each value that a branch proposes.
func (p *printer) proposals(proposals []promote.Proposal) {
	p.linef("ENVIRONMENT\tIMAGE\tPROPOSED\tBRANCH")
	for _, proposal := range proposals {
		value := proposal.Value
		if proposal.Image != "" {
			value = digests.Short(value)
		}
		if proposal.Withdrawn {
			value += " (withdrawn: " + proposal.Source + " no longer has it; promote " + strings.Split(proposal.EnvTarget, "/")[0] + " again)"
		}
		p.linef("%s\t%s\t%s\t%s", proposal.EnvTarget, cmp.Or(proposal.Image, "(chart)"), value, proposal.Branch)
	}
}

// hasEvidence reports whether a Gate found evidence.
func hasEvidence(r promote.Row) bool {
	return slices.ContainsFunc(r.Verdicts, func(v promote.GateResult) bool { return len(v.Evidence) > 0 })
}

// evidence prints a line for each piece of evidence. Only the first line of a row has the
// environment and the image.
func (p *printer) evidence(rows []promote.Row) {
	p.linef("ENVIRONMENT\tIMAGE\tEVIDENCE\tFIGURE\tAGE\tBY")
	for _, r := range rows {
		envTarget, image := r.EnvTarget, r.Image
		for _, v := range r.Verdicts {
			for _, found := range v.Evidence {
				p.linef("%s\t%s\t%s\t%s\t%s\t%s", envTarget, image, found.Requirement, orDash(found.Figure), orDash(found.Age), strings.Join(found.Signers, ", "))
				envTarget, image = "", ""
			}
		}
	}
}

// notes prints what the status lacks, and why.
func (p *printer) notes(s promote.Status) {
	if len(s.Rows) == 0 {
		p.linef("\nThe ladder has no images (spec.images), so nothing is pinned.")
	}
	if len(s.Clusters) == 0 {
		p.linef("\nNo cluster was queried for running digests: name a context (--context).")
	}
	if s.ProposalsError != "" {
		p.linef("\nReading the proposals: %s", s.ProposalsError)
	}
	for _, cluster := range s.Clusters {
		if cluster.Error != "" {
			p.linef("\nCluster %s couldn't be read: %s", cluster.Name, cluster.Error)
		}
	}
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// pinned returns the digest, and the environment or target that pins it if that is another.
func pinned(r promote.Row) string {
	if r.Digest == "" || r.PinnedBy == "" {
		return orDash(digests.Short(r.Digest))
	}
	return digests.Short(r.Digest) + " (" + r.PinnedBy + ")"
}

// before compares the digest with that of the previous environment.
func before(r promote.Row) string {
	switch {
	case r.Before == "":
		return "-"
	case r.InStep:
		return r.Before + ": same"
	case r.BeforeDigest == "":
		return r.Before + ": none, or several"
	default:
		return r.Before + ": " + digests.Short(r.BeforeDigest)
	}
}

// runningText returns the running digests; "pinned" stands for the pinned one.
func runningText(r promote.Row) string {
	var parts []string
	for _, running := range r.Running {
		digest := digests.Short(running.Digest)
		switch running.Digest {
		case "": // first, since r.Digest may be empty too
			digest = "a tag"
		case r.Digest:
			digest = "pinned"
		}
		parts = append(parts, fmt.Sprintf("%s %d/%d (%s)", digest, running.Ready, running.Desired, running.Cluster))
	}
	return orDash(strings.Join(parts, ", "))
}

// missingCodes returns the codes of missing requirements, each once. `envladder verify`
// prints the full messages.
func missingCodes(r promote.Row) string {
	if len(r.Verdicts) == 0 {
		return "-"
	}
	var codes []string
	seen := map[gate.Code]bool{}
	for _, v := range r.Verdicts {
		for _, reason := range v.Reasons {
			if !seen[reason.Code] {
				seen[reason.Code] = true
				codes = append(codes, string(reason.Code))
			}
		}
	}
	if len(codes) == 0 {
		return "nothing"
	}
	return strings.Join(codes, ", ")
}
