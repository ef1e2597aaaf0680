package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/envladder/envladder/internal/cli"
	"github.com/envladder/envladder/internal/evidence"
	"github.com/envladder/envladder/internal/gate"
)

// soakFlags are the flags of attest soak.
type soakFlags struct {
	ladder, environment, target, namespace string
	healthy                                time.Duration
	from, to                               string
	minReady, restarts                     int32
	chartDigest                            string
}

func newAttestSoakCommand() *cobra.Command {
	var flags soakFlags
	cmd := &cobra.Command{
		Use:   "soak IMAGE@DIGEST --key FILE --ladder NAME --environment NAME --healthy DURATION",
		Short: "Attest that a digest was healthy in an environment for some time",
		Long: `Attest that a digest was healthy in an environment for some time. The observer of an
environment does so automatically. Use this command to try things out, and for environments
without an observer.`,
		Example: `  # Healthy for the last 24 hours
  envladder attest soak --key staging.key --ladder shop --environment staging \
    --healthy 24h registry.example.com/shop/web@sha256:…

  # 23 hours of a day that ended on Monday, never fewer than 2 pods ready
  envladder attest soak --key staging.key --ladder shop --environment staging \
    --healthy 23h --from 2026-11-01T08:00:00Z --to 2026-11-02T08:00:00Z --min-ready 2 \
    registry.example.com/shop/web@sha256:…`,
	}
	f := cmd.Flags()
	f.StringVar(&flags.ladder, "ladder", "", "`name` of the ladder (required)")
	f.StringVar(&flags.environment, "environment", "", "`name` of the environment that the digest was healthy in (required)")
	f.StringVar(&flags.target, "target", "", "`name` of the environment's target")
	f.StringVar(&flags.namespace, "namespace", "", "`namespace` that the digest ran in")
	f.DurationVar(&flags.healthy, "healthy", 0, "healthy `time` (required): 24h, 90m")
	f.StringVar(&flags.from, "from", "", "`time` (RFC 3339) of the window's start; --healthy before its end if unset")
	f.StringVar(&flags.to, "to", "", "`time` (RFC 3339) of the window's end; now if unset")
	f.Int32Var(&flags.minReady, "min-ready", 1, "minimum `number` of ready pods in that time")
	f.Int32Var(&flags.restarts, "restarts", 0, "`number` of container restarts in that time")
	f.StringVar(&flags.chartDigest, "chart-digest", "", "`digest` of the chart that the workload was rendered from")
	a := attestation{predicateType: gate.PredicateSoak, noun: "soak"}
	return a.command(cmd, func(target evidence.Target, now time.Time) (any, error) {
		return flags.soak(target, now)
	})
}

// soak builds the predicate from the flags.
func (f soakFlags) soak(target evidence.Target, now time.Time) (gate.Soak, error) {
	if err := requireFlags(map[string]string{"ladder": f.ladder, "environment": f.environment}); err != nil {
		return gate.Soak{}, err
	}
	window, err := f.window(now)
	if err != nil {
		return gate.Soak{}, err
	}
	soak := gate.Soak{
		Ladder: f.ladder, Environment: f.environment, Target: f.target, Namespace: f.namespace,
		Image:    gate.SoakImage{Repository: target.Repository, Digest: target.Digest()},
		Chart:    gate.SoakChart{Digest: f.chartDigest},
		Window:   window,
		Observer: gate.SoakObserver{Version: cli.Version(), Instance: "envladder attest"},
	}
	for _, platform := range target.Platforms {
		soak.Image.Platforms = append(soak.Image.Platforms, gate.SoakPlatform{
			Platform: platform.Platform, Digest: platform.Digest, HealthySeconds: window.HealthySeconds,
		})
	}
	return soak, nil
}

// window builds a window with one healthy period. The rest of the window is an interruption.
func (f soakFlags) window(now time.Time) (gate.SoakWindow, error) {
	if f.healthy < time.Second {
		return gate.SoakWindow{}, errors.New("--healthy: set a time of at least 1s")
	}
	healthy := f.healthy.Truncate(time.Second)
	to, err := timeFlag("--to", f.to, now)
	if err != nil {
		return gate.SoakWindow{}, err
	}
	from, err := timeFlag("--from", f.from, to.Add(-healthy))
	if err != nil {
		return gate.SoakWindow{}, err
	}
	length := to.Sub(from)
	switch {
	case to.After(now):
		return gate.SoakWindow{}, fmt.Errorf("--to %s is in the future", to.Format(time.RFC3339))
	case healthy > length:
		return gate.SoakWindow{}, fmt.Errorf("--healthy %s is longer than the window, which is %s", healthy, length)
	case f.minReady < 0 || f.restarts < 0:
		return gate.SoakWindow{}, errors.New("--min-ready and --restarts can't be negative")
	}
	return gate.SoakWindow{
		StartedAt: from, FinishedAt: &to,
		HealthySeconds: int64(healthy / time.Second), LongestHealthySeconds: int64(healthy / time.Second),
		InterruptedSeconds: int64((length - healthy) / time.Second),
		MinReady:           f.minReady, Restarts: f.restarts,
	}, nil
}

// timeFlag parses a time and truncates it to seconds. It returns the default for no value.
func timeFlag(name, value string, unset time.Time) (time.Time, error) {
	if value == "" {
		return unset, nil
	}
	at, err := time.Parse(time.RFC3339, value)
	if err != nil {
		return time.Time{}, fmt.Errorf("%s %q: want a time like %s", name, value, unset.Format(time.RFC3339))
	}
	return at.UTC().Truncate(time.Second), nil
}
