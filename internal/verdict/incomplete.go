package verdict

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"

	"github.com/envladder/envladder/internal/evidence"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/panics"
	"github.com/envladder/envladder/internal/registry"
)

// incomplete returns a denial's reasons if err reports that evidence may be missing. If the
// registry returned nothing, the reasons don't claim that evidence is absent, since the user
// would attest again what may exist.
func incomplete(ctx context.Context, verdict gate.Verdict, err error) []gate.Reason {
	reasons := slices.Clone(verdict.Reasons)
	if _, ok := errors.AsType[*evidence.NothingReadError](err); ok {
		reasons = slices.DeleteFunc(reasons, func(r gate.Reason) bool { return claimsAbsence(r.Code) })
	}
	for _, doubt := range doubts(ctx, err) {
		// A signer's error was already reported, with its path in the Gate.
		if doubt.Code != gate.GateInvalid || (!has(verdict, gate.GateInvalid) && !has(verdict, gate.Unsupported)) {
			reasons = append(reasons, doubt)
		}
	}
	return reasons
}

// claimsAbsence reports whether a code is correct only if no further evidence exists.
func claimsAbsence(code gate.Code) bool {
	switch code {
	case gate.NoSignature, gate.NoSBOM, gate.NoProvenance, gate.NoSoak, gate.NoTest, gate.NoApproval, gate.WrongSigner, gate.PolicyRefused, gate.NotProvenHere:
		return true
	default:
		return false
	}
}

// doubts returns the reasons why evidence may be missing, one for each code.
func doubts(ctx context.Context, err error) []gate.Reason {
	var codes []gate.Code
	messages := map[gate.Code][]string{}
	for _, part := range splitErrors(err) {
		code := codeOf(ctx, part)
		if len(messages[code]) == 0 {
			codes = append(codes, code)
		}
		messages[code] = append(messages[code], strings.ReplaceAll(part.Error(), "\n", "; "))
	}
	reasons := make([]gate.Reason, len(codes))
	for i, code := range codes {
		reasons[i] = gate.NewReason(code, "%s", strings.Join(messages[code], "; "))
	}
	return reasons
}

func codeOf(ctx context.Context, err error) gate.Code {
	var signer *evidence.SignerError
	var caught *panics.Error
	switch {
	case errors.As(err, &caught):
		slog.ErrorContext(ctx, "caught a panic", "panic", caught.Value, "stack", string(caught.Stack))
		return gate.InternalError
	case errors.As(err, &signer) && signer.Elsewhere:
		return gate.SignerUnavailable
	case errors.As(err, &signer):
		return gate.GateInvalid
	case errors.Is(err, registry.ErrTooLarge):
		return gate.ProofTooLarge
	default:
		return gate.RegistryUnavailable
	}
}

// splitErrors returns the single errors of joined ones.
func splitErrors(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []error
		for _, one := range joined.Unwrap() {
			all = append(all, splitErrors(one)...)
		}
		return all
	}
	if nothing, ok := errors.AsType[*evidence.NothingReadError](err); ok {
		return splitErrors(nothing.Err)
	}
	return []error{err}
}

func has(verdict gate.Verdict, code gate.Code) bool {
	return slices.ContainsFunc(verdict.Reasons, func(r gate.Reason) bool { return r.Code == code })
}
