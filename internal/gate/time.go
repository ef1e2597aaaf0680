package gate

import (
	"time"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/printable"
)

// clockSkew is how far ahead of ours another clock may be. Clocks synchronized by NTP differ
// by milliseconds; a minute tolerates a bad one. It shortens no soak, since a soak is
// measured on one clock.
const clockSkew = time.Minute

// madeAt returns when a statement was made, or the reason why that is unknown. The proven
// time counts; without one, the claimed time counts if the Gate trusts the signer's clock.
// A claim can make a statement older than its proven time, never younger.
func (j *decision) madeAt(e Evidence, claimed *time.Time) (time.Time, *Reason) {
	at := e.Signed
	switch stated := claimed != nil && !claimed.IsZero(); {
	case !at.IsZero():
		if stated && claimed.Before(at) {
			at = *claimed
		}
	case !j.trustsClock(e):
		reason := NewReason(NoTrustedTime, "%s has no proven time, and the Gate doesn't trust the clock of %s (time: TrustSigner)", e.title(), quote(e.Signer))
		return time.Time{}, &reason
	case !stated:
		reason := NewReason(NoTrustedTime, "%s states no time", e.title())
		return time.Time{}, &reason
	default:
		at = *claimed
	}
	if at.After(j.at.Add(clockSkew)) {
		reason := NewReason(FromFuture, "%s has the time %s, but now is %s", e.title(), stamp(at), stamp(j.at))
		return time.Time{}, &reason
	}
	return at, nil
}

// trustsClock reports whether the Gate trusts the clock of a statement's signer.
func (j *decision) trustsClock(e Evidence) bool {
	return j.signers[e.Signer].Time == v1alpha1.TimeTrustSigner
}

// tooOld reports a statement older than maxAge; exactly that age passes. A digest that
// already runs here isn't judged by age.
func (j *decision) tooOld(e Evidence, claimed *time.Time, maxAge time.Duration, code Code) []Reason {
	if j.ageless {
		return nil
	}
	at, reason := j.madeAt(e, claimed)
	if reason != nil {
		return []Reason{*reason}
	}
	if age := j.at.Sub(at); age > maxAge {
		return []Reason{NewReason(code, "%s is %s old, at most %s are allowed", e.title(), printable.Duration(age), printable.Duration(maxAge))}
	}
	return nil
}

// signerEnded reports a statement that was signed after its signer's notAfter. Once that has
// passed, it also reports statements whose time isn't proven.
func (j *decision) signerEnded(e Evidence) []Reason {
	end := j.signers[e.Signer].NotAfter
	switch {
	case end == nil:
	case e.Signed.After(end.Time):
		return []Reason{NewReason(SignerEnded, "%s was signed %s, its signer is accepted until %s", e.title(), stamp(e.Signed), stamp(end.Time))}
	case e.Signed.IsZero() && j.Now.After(end.Time) && !j.Rescheduled:
		return []Reason{NewReason(SignerEnded, "%s has no proven time, and its signer is accepted until %s", e.title(), stamp(end.Time))}
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
