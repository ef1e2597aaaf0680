package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// addUsage adds the usage to argument errors of cmd and its subcommands. Cobra only counts
// arguments ("accepts 1 arg(s), received 0"), and treats a misspelt subcommand of a group as
// a request for help, which succeeds.
func addUsage(cmd *cobra.Command) {
	check := cmd.Args
	switch {
	case cmd.HasParent() && cmd.HasSubCommands() && !cmd.Runnable():
		cmd.Args = noSuchCommand
		cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		cmd.DisableFlagsInUseLine = true
	case check != nil:
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return fmt.Errorf("%w\nusage: %s", err, cmd.UseLine())
			}
			return nil
		}
	}
	for _, child := range cmd.Commands() {
		addUsage(child)
	}
}

// noSuchCommand rejects the arguments of a group of commands.
func noSuchCommand(group *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, child := range group.Commands() {
		names = append(names, child.Name())
	}
	return fmt.Errorf("unknown command %q for %q: it has %s", args[0], group.CommandPath(), strings.Join(names, ", "))
}
