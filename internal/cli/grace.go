package cli

import (
	"time"

	"github.com/spf13/cobra"
)

// defaultGrace is enough to take back a temporary file, and short for who waits.
const defaultGrace = 5 * time.Second

// graceAnnotation is a command's own grace, as a time.Duration prints itself.
const graceAnnotation = "envladder.dev/grace"

// SetGrace says how long cmd may go on after a signal asked it to end. A server takes
// what it gives its requests, and a little more.
func SetGrace(cmd *cobra.Command, grace time.Duration) {
	if cmd.Annotations == nil {
		cmd.Annotations = map[string]string{}
	}
	cmd.Annotations[graceAnnotation] = grace.String()
}

// graceOf is the grace of the command that args choose.
func graceOf(root *cobra.Command, args []string) time.Duration {
	chosen, _, err := root.Find(args)
	if err != nil {
		return defaultGrace // it fails at once
	}
	grace, err := time.ParseDuration(chosen.Annotations[graceAnnotation])
	if err != nil {
		return defaultGrace // it has none
	}
	return grace
}
