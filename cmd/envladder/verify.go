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

// verifyFlags are the flags of verify. They state what a cluster would know.
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
		Short: "Print a Gate's verdict on an image",
		Long: `Print a Gate's verdict on an image: the verdict that the webhook of a cluster with this
Gate would return for a new deployment. verify reads evidence from the registry that the
Gate names.

Exit codes: 0 allowed, 1 denied (also if the registry doesn't answer), 2 the Gate or the
Recalls are invalid.`,
		Example: `  # May it run in prod?
  envladder verify registry.example.com/shop/web@sha256:… --gate gates/shop-prod.yaml

  # With the cluster's Recalls, as JSON
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
	f.StringVarP(&flags.namespace, "namespace", "n", "", "`namespace` to run the image in, for exceptions (default: the Gate's, if it names one)")
	f.StringVar(&flags.cluster, "cluster-uid", "", "`UID` of the namespace kube-system of the cluster to run the image in, for provenHere")
	flags.sources.addTo(f)
	f.StringVar(&flags.stamps.Ladder, "ladder", "", "`name` of the ladder that the workload is stamped with")
	f.StringVar(&flags.stamps.Environment, "environment", "", "`name` of the environment that the workload is stamped with")
	f.StringVar(&flags.stamps.Target, "target", "", "`name` of the target that the workload is stamped with")
	f.StringVar(&flags.stamps.ChartDigest, "chart-digest", "", "`digest` of the chart that the workload is stamped with")
	f.StringVar(&flags.stamps.TemplateDigest, "template-digest", "", "`digest` of the workload's pod template, as in soaks")
	f.DurationVar(&flags.timeout, "timeout", 30*time.Second, "`time` limit for the registry")
	f.StringVarP(&flags.output, "output", "o", "text", "`format` of the verdict: text or json")
	_ = cmd.MarkFlagRequired("gate") // the flag exists
	return cmd
}

func (f verifyFlags) run(ctx context.Context, image string, stdout io.Writer) error {
	write, err := verdictPrinter(f.output)
	if err != nil {
		return err
	}
	// invalid files and image references are usage errors here; in a cluster they are denials
	if _, err := registry.ParseReference(image); err != nil {
		return err
	}
	query := verdict.Query{Reference: image, Namespace: f.namespace, Cluster: f.cluster, Stamps: f.stamps, Now: time.Now()}
	loaded, err := readGate(f.gate)
	if err != nil {
		return err
	}
	query.Gates = []verdict.Gate{loaded}
	if query.Recalls, err = readFlagFile("--recalls", f.recalls, v1alpha1.DecodeRecalls); err != nil {
		return err
	}
	if query.Exceptions, err = readFlagFile("--exceptions", f.exceptions, v1alpha1.DecodeExceptions); err != nil {
		return err
	}
	if query.Policies, err = readFlagFile("--cluster-image-policies", f.policies, splitPolicies); err != nil {
		return err
	}
	if named := loaded.Spec.Namespaces; query.Namespace == "" && len(named) == 1 {
		query.Namespace = named[0]
	}
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	judge, err := f.sources.judge()
	if err != nil {
		return err
	}
	outcome := judge.Judge(ctx, query)[0] // one Gate, one outcome
	if err := write(stdout, outcome, loaded.Spec.Environment); err != nil {
		return fmt.Errorf("printing the verdict: %w", err)
	}
	if !outcome.Allowed {
		return cli.ErrNo
	}
	return nil
}

// readGate reads and checks a Gate. The error lists all problems.
func readGate(path string) (verdict.Gate, error) {
	data, err := files.Read(path, v1alpha1.MaxDocument)
	if err != nil {
		return verdict.Gate{}, fmt.Errorf("reading --gate: %w", err)
	}
	loaded, err := verdict.ReadGate(path, data)
	if err != nil {
		return verdict.Gate{}, fmt.Errorf("--gate %w", err)
	}
	return loaded, nil
}

// readFlagFile reads and decodes the file of a flag. Without a path it returns the zero value.
func readFlagFile[T any](flag, path string, decode func([]byte) (T, error)) (T, error) {
	var none T
	if path == "" {
		return none, nil
	}
	data, err := files.Read(path, v1alpha1.MaxDocument)
	if err != nil {
		return none, fmt.Errorf("reading %s: %w", flag, err)
	}
	decoded, err := decode(data)
	if err != nil {
		return none, fmt.Errorf("%s %q: %w", flag, path, err)
	}
	return decoded, nil
}

// splitPolicies returns ClusterImagePolicies by name. Only policy-controller's code decodes
// them.
func splitPolicies(data []byte) (map[string][]byte, error) {
	return v1alpha1.SplitByName(data, "ClusterImagePolicy")
}

// verdictPrinter returns the printer of a format.
func verdictPrinter(format string) (func(io.Writer, verdict.GateVerdict, string) error, error) {
	switch format {
	case "text":
		return printVerdict, nil
	case "json":
		return func(w io.Writer, outcome verdict.GateVerdict, _ string) error {
			return writeJSON(w, outcome.Verdict)
		}, nil
	}
	return nil, fmt.Errorf("--output %q: use text or json", format)
}

// printVerdict prints a sentence, and then the code, figures and remedy of each reason.
func printVerdict(w io.Writer, outcome verdict.GateVerdict, environment string) error {
	p := printer{w: w}
	p.verdict(outcome.Verdict, outcome.Action, environment)
	return p.err
}

// verdict prints a verdict, and notes an action that doesn't deny.
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
		p.linef("The Gate's action is %s: the cluster would admit it.", action)
	}
}

// exempted prints that the image is unproven, with the Exception and its signers.
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

// printer writes lines, and stores the first error.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) linef(format string, arguments ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", arguments...)
	}
}
