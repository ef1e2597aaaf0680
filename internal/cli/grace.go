package cli

import (
	"time"

	"github.com/spf13/cobra"
)

// defaultGrace is enough to remove a temporary file, and short for people who wait.
const defaultGrace = 5 * time.Second

// graceAnnotation is the annotation with a command's grace period, a time.Duration.
const graceAnnotation = "envladder.dev/grace"

// SetGrace sets how long cmd may run after a signal. A server needs the timeout of its
// requests, and a little more.
func SetGrace(cmd *cobra.Command, grace time.Duration) {
	if cmd.Annotations == nil {
		cmd.Annotations = map[string]string{}
	}
	cmd.Annotations[graceAnnotation] = grace.String()
}

// graceOf returns the grace period of the command that args choose.
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
