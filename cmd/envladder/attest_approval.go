package main

import (
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/envladder/envladder/internal/evidence"
	"github.com/envladder/envladder/internal/gate"
)

// approvalFlags are the flags of attest approval.
type approvalFlags struct {
	ladder, environment, comment string
	expires                      time.Duration
}

func newAttestApprovalCommand() *cobra.Command {
	var flags approvalFlags
	cmd := &cobra.Command{
		Use:   "approval IMAGE@DIGEST --key FILE --ladder NAME --environment NAME",
		Short: "Approve a digest for an environment",
		Long:  `Approve a digest for one environment of one ladder.`,
		Example: `  # Approved for prod, for the next two days
  envladder attest approval --key ana.key --ladder shop --environment prod \
    --comment "release 1.4.2" --expires 48h registry.example.com/shop/web@sha256:…`,
	}
	f := cmd.Flags()
	f.StringVar(&flags.ladder, "ladder", "", "`name` of the ladder (required)")
	f.StringVar(&flags.environment, "environment", "", "`name` of the environment to approve the digest for (required)")
	f.StringVar(&flags.comment, "comment", "", "`text` for people")
	f.DurationVar(&flags.expires, "expires", 0, "`time` until the approval ends: 48h; never if unset")
	a := attestation{predicateType: gate.PredicateApproval, noun: "approval"}
	return a.command(cmd, func(_ evidence.Target, now time.Time) (any, error) {
		return flags.approval(now)
	})
}

// approval builds the predicate from the flags.
func (f approvalFlags) approval(now time.Time) (gate.Approval, error) {
	if err := requireFlags(map[string]string{"ladder": f.ladder, "environment": f.environment}); err != nil {
		return gate.Approval{}, err
	}
	if f.expires < 0 {
		return gate.Approval{}, errors.New("--expires: set a time in the future")
	}
	approval := gate.Approval{Ladder: f.ladder, Environment: f.environment, Comment: f.comment, ApprovedAt: &now}
	if f.expires > 0 {
		end := now.Add(f.expires)
		approval.ExpiresAt = &end
	}
	return approval, nil
}
