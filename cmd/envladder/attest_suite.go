package main

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/envladder/envladder/internal/evidence"
	"github.com/envladder/envladder/internal/gate"
)

// testFlags are the flags of attest test.
type testFlags struct {
	suite, result, url, finished string
	passed, failed               []string
}

func newAttestTestCommand() *cobra.Command {
	var flags testFlags
	cmd := &cobra.Command{
		Use:   "test IMAGE@DIGEST --key FILE --suite NAME --passed NAMES [--failed NAMES]",
		Short: "Attest the result of a test suite against a digest",
		Long: `Attest the result of a test suite against a digest, as an in-toto test result. The Gate
counts the tests that passed and failed, and rejects a result without them.`,
		Example: `  # A suite that passed
  envladder attest test --key e2e.key --suite e2e --passed checkout,login \
    --url https://ci.example.com/runs/17 registry.example.com/shop/web@sha256:…

  # One that didn't
  envladder attest test --key e2e.key --suite e2e --passed login --failed checkout \
    registry.example.com/shop/web@sha256:…`,
	}
	f := cmd.Flags()
	f.StringVar(&flags.suite, "suite", "", "`name` of the suite (required)")
	f.StringVar(&flags.result, "result", "", "`result`: PASSED or FAILED; derived from the tests if unset")
	f.StringSliceVar(&flags.passed, "passed", nil, "`names` of the tests that passed, separated by commas")
	f.StringSliceVar(&flags.failed, "failed", nil, "`names` of the tests that failed, separated by commas")
	f.StringVar(&flags.url, "url", "", "`URL` of the run, for people")
	f.StringVar(&flags.finished, "finished", "", "`time` (RFC 3339) when the suite ended; now if unset")
	a := attestation{predicateType: gate.PredicateTest, noun: "test"}
	return a.command(cmd, func(_ evidence.Target, now time.Time) (any, error) {
		return flags.test(now)
	})
}

// Results of in-toto's test result that the command supports.
const (
	passed = "PASSED"
	failed = "FAILED"
)

// test builds the predicate from the flags.
func (f testFlags) test(now time.Time) (gate.Test, error) {
	if err := requireFlags(map[string]string{"suite": f.suite}); err != nil {
		return gate.Test{}, err
	}
	result, err := f.consistentResult()
	if err != nil {
		return gate.Test{}, err
	}
	finished, err := timeFlag("--finished", f.finished, now)
	if err != nil {
		return gate.Test{}, err
	}
	return gate.Test{
		Result:        result,
		Configuration: []gate.TestConfiguration{{Name: f.suite}},
		URL:           f.url,
		PassedTests:   f.passed,
		FailedTests:   f.failed,
		FinishedAt:    &finished,
	}, nil
}

// consistentResult returns the result. It rejects one that contradicts the tests, and one
// without tests.
func (f testFlags) consistentResult() (string, error) {
	derived := passed
	if len(f.failed) > 0 {
		derived = failed
	}
	switch {
	case f.result != "" && f.result != passed && f.result != failed:
		return "", fmt.Errorf("--result %q: use %s or %s", f.result, passed, failed)
	case f.result == passed && derived == failed:
		return "", fmt.Errorf("--result %s: --failed names tests that failed", passed)
	case f.result != failed && len(f.passed)+len(f.failed) == 0:
		return "", errors.New("--passed: name the tests that passed; a bare result proves nothing")
	case slices.Contains(f.passed, "") || slices.Contains(f.failed, ""):
		return "", errors.New("--passed and --failed: a test has no name")
	case f.result != "":
		return f.result, nil
	}
	return derived, nil
}
