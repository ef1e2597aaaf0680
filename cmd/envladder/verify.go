package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/cli"
	"github.com/envladder/envladder/internal/files"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/registry"
	"github.com/envladder/envladder/internal/verdict"
)

// verifyFlags are what a cluster would know.
type verifyFlags struct {
	gate, recalls, exceptions, policies, namespace, cluster string

	stamps  gate.Stamps
	sources sourceFlags
	timeout time.Duration
	output  string
}

func newVerifyCommand() *cobra.Command {
	var flags verifyFlags
	cmd := &cobra.Command{
		Use:   "verify IMAGE@DIGEST --gate FILE",
		Short: "Ask what a Gate says of an image",
		Long: `Ask what a Gate says of an image: the verdict that the webhook of a cluster with this
Gate would give for a new deploy. Evidence is read from the registry that the Gate names.

Exit codes: 0 allowed, 1 denied (also where the registry doesn't answer), 2 the Gate or
the Recalls can't be judged by.`,
		Example: `  # May it run in prod?
  envladder verify registry.example.com/shop/web@sha256:… --gate gates/shop-prod.yaml

  # With the cluster's Recalls, for a program
  kubectl get recalls -o yaml > recalls.yaml
  envladder verify registry.example.com/shop/web@sha256:… --gate gates/shop-prod.yaml \
    --recalls recalls.yaml -o json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return flags.run(cmd.Context(), args[0], cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	f.StringVar(&flags.gate, "gate", "", "`file` of the Gate")
	f.StringVar(&flags.recalls, "recalls", "", "`file` of Recalls")
	f.StringVar(&flags.exceptions, "exceptions", "", "`file` of Exceptions")
	f.StringVar(&flags.policies, "cluster-image-policies", "", "`file` of ClusterImagePolicies, for a Gate that names one")
	f.StringVarP(&flags.namespace, "namespace", "n", "", "`namespace` that it is to run in, for exceptions (default: the Gate's, where it names one)")
	f.StringVar(&flags.cluster, "cluster-uid", "", "`UID` of the namespace kube-system of the cluster that it is to run in, for provenHere")
	flags.sources.addTo(f)
	f.StringVar(&flags.stamps.Ladder, "ladder", "", "`name` of the ladder that the workload is stamped with")
	f.StringVar(&flags.stamps.Environment, "environment", "", "`name` of the environment that the workload is stamped with")
	f.StringVar(&flags.stamps.Target, "target", "", "`name` of the target that the workload is stamped with")
	f.StringVar(&flags.stamps.ChartDigest, "chart-digest", "", "`digest` of the chart that the workload is stamped with")
	f.StringVar(&flags.stamps.TemplateDigest, "template-digest", "", "`digest` of the workload's pod template, as soaks state it")
	f.DurationVar(&flags.timeout, "timeout", 30*time.Second, "`time` that the registry has to answer")
	f.StringVarP(&flags.output, "output", "o", "text", "`format` of the verdict: text or json")
	_ = cmd.MarkFlagRequired("gate") // the flag is there
	return cmd
}

func (f verifyFlags) run(ctx context.Context, image string, stdout io.Writer) error {
	write, err := verdictPrinter(f.output)
	if err != nil {
		return err
	}
	// A file that can't be judged by, and an image that can't be one, are mistakes of
	// who asks; in a cluster they are denials.
	if _, err := registry.ParseReference(image); err != nil {
		return err
	}
	query := verdict.Query{Reference: image, Namespace: f.namespace, Cluster: f.cluster, Stamps: f.stamps, Now: time.Now()}
	guard, err := readGate(f.gate)
	if err != nil {
		return err
	}
	query.Gates = []verdict.Gate{guard}
	if f.recalls != "" {
		if query.Recalls, err = readRecalls(f.recalls); err != nil {
			return err
		}
	}
	if f.exceptions != "" {
		if query.Exceptions, err = readExceptions(f.exceptions); err != nil {
			return err
		}
	}
	if f.policies != "" {
		if query.Policies, err = readPolicies(f.policies); err != nil {
			return err
		}
	}
	if named := guard.Spec.Namespaces; query.Namespace == "" && len(named) == 1 {
		query.Namespace = named[0]
	}
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	judge, err := f.sources.judge()
	if err != nil {
		return err
	}
	outcome := judge.Judge(ctx, query)[0] // one Gate, one outcome
	if err := write(stdout, outcome, guard.Spec.Environment); err != nil {
		return fmt.Errorf("printing the verdict: %w", err)
	}
	if !outcome.Allowed {
		return cli.ErrNo
	}
	return nil
}

// readGate reads a Gate and says everything that is wrong with it.
func readGate(path string) (verdict.Gate, error) {
	data, err := files.Read(path, v1alpha1.MaxDocument)
	if err != nil {
		return verdict.Gate{}, fmt.Errorf("reading --gate: %w", err)
	}
	guard, err := verdict.ReadGate(path, data)
	if err != nil {
		return verdict.Gate{}, fmt.Errorf("--gate %w", err)
	}
	return guard, nil
}

func readRecalls(path string) ([]v1alpha1.Recall, error) {
	data, err := files.Read(path, v1alpha1.MaxDocument)
	if err != nil {
		return nil, fmt.Errorf("reading --recalls: %w", err)
	}
	recalls, err := v1alpha1.DecodeRecalls(data)
	if err != nil {
		return nil, fmt.Errorf("--recalls %q: %w", path, err)
	}
	return recalls, nil
}

func readExceptions(path string) ([]v1alpha1.Exception, error) {
	data, err := files.Read(path, v1alpha1.MaxDocument)
	if err != nil {
		return nil, fmt.Errorf("reading --exceptions: %w", err)
	}
	exceptions, err := v1alpha1.DecodeExceptions(data)
	if err != nil {
		return nil, fmt.Errorf("--exceptions %q: %w", path, err)
	}
	return exceptions, nil
}

// readPolicies reads ClusterImagePolicies; what is in them is policy-controller's to read.
func readPolicies(path string) (map[string][]byte, error) {
	data, err := files.Read(path, v1alpha1.MaxDocument)
	if err != nil {
		return nil, fmt.Errorf("reading --cluster-image-policies: %w", err)
	}
	documents, err := v1alpha1.SplitByName(data, "ClusterImagePolicy")
	if err != nil {
		return nil, fmt.Errorf("--cluster-image-policies %q: %w", path, err)
	}
	return documents, nil
}

func verdictPrinter(format string) (func(io.Writer, verdict.Outcome, string) error, error) {
	switch format {
	case "text":
		return printVerdict, nil
	case "json":
		return func(w io.Writer, outcome verdict.Outcome, _ string) error {
			return writeJSON(w, outcome.Verdict)
		}, nil
	}
	return nil, fmt.Errorf("--output %q: use text or json", format)
}

// printVerdict begins with a sentence; each reason is its code, its figures, its remedy.
func printVerdict(w io.Writer, outcome verdict.Outcome, environment string) error {
	p := printer{w: w}
	p.verdict(outcome.Verdict, outcome.Action, environment)
	return p.err
}

func (p *printer) verdict(v gate.Verdict, action v1alpha1.Action, environment string) {
	if v.Allowed {
		p.linef("%s: allowed in %s by Gate %s", v.Image, environment, v.Gate.Name)
		p.exempted(v.Exception)
		return
	}
	p.linef("%s: denied in %s by Gate %s", v.Image, environment, v.Gate.Name)
	for _, reason := range v.Reasons {
		p.linef("  %s: %s", reason.Code, reason.Message)
		if reason.Remedy != "" {
			p.linef("    to do: %s", reason.Remedy)
		}
	}
	if action != v1alpha1.ActionDeny {
		p.linef("The Gate's action is %s: the cluster would let it by.", action)
	}
}

// exempted says that it is unproven, and who answers for it.
func (p *printer) exempted(x *gate.Exempted) {
	if x == nil {
		return
	}
	p.linef("  UNPROVEN, by Exception %s until %s: %s", x.Name, x.ExpiresAt.UTC().Format(time.RFC3339), x.Reason)
	p.linef("    signed by %s", strings.Join(x.By, ", "))
	for _, code := range x.Missing {
		p.linef("    missing: %s", code)
	}
}

// printer remembers the first error of many writes.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) linef(format string, arguments ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", arguments...)
	}
}
