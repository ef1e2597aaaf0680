// Command envladder is the command line: it renders and explains what an environment
// runs, attests evidence about digests, reports a Gate's verdict, and promotes digests
// from one environment to the next.
package main

import (
	"github.com/spf13/cobra"

	"github.com/envladder/envladder/internal/cli"
)

func main() {
	cli.Main(newRootCommand)
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "envladder",
		Short: "Climb a ladder of environments with one chart and one digest",
		Long: `envladder renders one Helm chart with layered values for each environment,
attests evidence about image digests, reports a Gate's verdict on them, and promotes them
from one environment to the next.

Exit codes: 0 yes or done, 1 no (a denial, findings), 2 the command failed.`,
	}
	root.AddCommand(
		// each command has its own line and file
		newAttestCommand(),
		newAuditCommand(),
		newEvidenceCommand(),
		newInitCommand(),
		newLintCommand(),
		newPinCommand(),
		newPromoteCommand(),
		newStatusCommand(),
		newVerifyCommand(),
		newRenderCommand(),
		newValuesCommand(),
	)
	return root
}
