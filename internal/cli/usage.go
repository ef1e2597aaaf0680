package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// tellUsage makes cmd, and what is below it, say how they are meant to be called. Cobra
// alone counts ("accepts 1 arg(s), received 0"), and takes a misspelt command of a group
// for a call for help: it prints that, and succeeds.
func tellUsage(cmd *cobra.Command) {
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
		tellUsage(child)
	}
}

// noSuchCommand refuses the arguments of a group of commands: none of them was the
// first.
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
