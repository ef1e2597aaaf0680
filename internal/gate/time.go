package gate

import (
	"time"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/printable"
)

// clockSkew is how far ahead of ours another clock may be. Clocks that are kept by NTP
// differ by milliseconds; a minute forgives a bad one, and shortens no soak: those are
// measured on one clock.
const clockSkew = time.Minute

// since says when a statement was made, or why that isn't known. The time that counts
// is the proven one; where there is none, the claimed one if the Gate believes the
// signer's clock. A claim can make a statement older than its proof, never younger.
func (j *decision) since(e Evidence, claimed *time.Time) (time.Time, *Reason) {
	at := e.Signed
	switch stated := claimed != nil && !claimed.IsZero(); {
	case !at.IsZero():
		if stated && claimed.Before(at) {
			at = *claimed
		}
	case j.signers[e.Signer].Time != v1alpha1.TimeTrustSigner:
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

// tooOld judges maxAge: exactly that age passes. What already runs here isn't judged
// by age.
func (j *decision) tooOld(e Evidence, claimed *time.Time, maxAge time.Duration, code Code) []Reason {
	if j.ageless {
		return nil
	}
	at, reason := j.since(e, claimed)
	if reason != nil {
		return []Reason{*reason}
	}
	if age := j.at.Sub(at); age > maxAge {
		return []Reason{NewReason(code, "%s is %s old, at most %s are allowed", e.title(), printable.Duration(age), printable.Duration(maxAge))}
	}
	return nil
}

// ended denies what was signed after its signer's end, and once that has come, what
// nothing proves to be older.
func (j *decision) ended(e Evidence) []Reason {
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
