package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/envladder/envladder/test/bed"
)

// downCommand returns the command down.
func downCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "down",
		Short: "Stop the bed that `bed up` runs",
		Long:  "Stops the running `bed up` and returns when everything has stopped.",
		Example: `  bed down
  bed down --state /tmp/other.json`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return down(cmd.Context(), file)
		},
	}
	cmd.Flags().StringVar(&file, "state", defaultStateFile(), "state file")
	return cmd
}

// downBound is longer than the sum of all grace periods.
const downBound = time.Minute

// down stops the bed of a state file and waits for its end.
func down(ctx context.Context, file string) error {
	lock, err := tryLock(file)
	switch {
	case err == nil:
		lock.Close()
		return fmt.Errorf("reading state file %q: %w", file, errNotRunning)
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("reading state file %q: %w", file, errNotRunning)
	case !errors.Is(err, syscall.EWOULDBLOCK):
		return fmt.Errorf("reading state file %q: %w", file, err)
	}
	s, err := readState(file)
	if err != nil {
		return err
	}
	if err := syscall.Kill(s.PID, syscall.SIGTERM); err != nil {
		return fmt.Errorf("stopping the bed of process %d: %w", s.PID, err)
	}
	return bed.Poll(ctx, downBound, func(context.Context) error {
		lock, err := tryLock(file)
		if err != nil {
			return fmt.Errorf("waiting for process %d to end: %w", s.PID, err)
		}
		return lock.Close()
	})
}

// readState reads a state file.
func readState(file string) (state, error) {
	var s state
	data, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return s, fmt.Errorf("reading state file %q: the bed is still starting", file)
	}
	if err != nil {
		return s, fmt.Errorf("reading state file: %w", err)
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return s, fmt.Errorf("decoding state file %q: %w", file, err)
	}
	if s.PID <= 0 {
		return s, fmt.Errorf("decoding state file %q: no pid", file)
	}
	return s, nil
}
