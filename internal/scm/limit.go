package scm

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// ErrLimited is that a forge refuses a token's requests for a while.
var ErrLimited = errors.New("too many requests")

// limitError has when requests are accepted again. Its text stays the same until then: a
// caller's status doesn't change with each try.
type limitError struct {
	status int
	until  time.Time
}

func (e *limitError) Error() string {
	return fmt.Sprintf("%v: no request is sent before %s", ErrLimited, e.until.UTC().Format(time.RFC3339))
}

func (e *limitError) Is(target error) bool { return target == ErrLimited }

const (
	// limitUnknown is how long a limit lasts whose end the forge doesn't name; GitHub's
	// documentation asks for at least a minute.
	limitUnknown = time.Minute
	// maxLimit bounds what a forge (or a proxy) may name. GitHub's limits are of an hour.
	maxLimit = time.Hour
	// maxLimitBody bounds the error document that may name a limit.
	maxLimitBody = 64 << 10
)

// limited remembers a token's rate limit, and sends no request before it ends: a forge
// that is queried all the same may extend the limit or block the token.
type limited struct {
	inner http.RoundTripper
	now   func() time.Time

	mu sync.Mutex
	// token is the hash of the one that the limit is about. A host has one token; one that
	// takes its place isn't limited.
	token [sha256.Size]byte
	limit *limitError
}

// RoundTrip implements http.RoundTripper.
func (l *limited) RoundTrip(request *http.Request) (*http.Response, error) {
	token := sha256.Sum256([]byte(request.Header.Get("Authorization")))
	if limit := l.current(token); limit != nil {
		if request.Body != nil {
			_ = request.Body.Close() // as the interface requires; nothing was read
		}
		return nil, limit
	}
	response, err := l.inner.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	until, ok := l.limitOf(response)
	if !ok {
		return response, nil
	}
	_ = response.Body.Close() // nobody reads it
	return nil, l.remember(token, response.StatusCode, until)
}

func (l *limited) current(token [sha256.Size]byte) *limitError {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.limit == nil || l.token != token || !l.now().Before(l.limit.until) {
		return nil
	}
	return l.limit
}

// remember returns the limit that counts: of several requests that reach it at once, all
// report the one that ends last.
func (l *limited) remember(token [sha256.Size]byte, status int, until time.Time) *limitError {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.limit == nil || l.token != token || until.After(l.limit.until) {
		l.token, l.limit = token, &limitError{status, until}
	}
	return l.limit
}

// limitOf returns when a limit ends that an answer names; ok is false where it is about
// something else. The end is rounded up to a minute, so that answers of the same limit
// name the same end.
func (l *limited) limitOf(response *http.Response) (until time.Time, ok bool) {
	if response.StatusCode != http.StatusForbidden && response.StatusCode != http.StatusTooManyRequests {
		return time.Time{}, false
	}
	now := l.now()
	wait, named := limitNamed(response.Header, now)
	if !named {
		if response.StatusCode == http.StatusForbidden && !mentionsLimit(response) {
			return time.Time{}, false
		}
		wait = limitUnknown
	}
	until = now.Add(min(max(wait, 0), maxLimit))
	if whole := until.Truncate(time.Minute); whole.Before(until) {
		until = whole.Add(time.Minute)
	}
	return until, true
}

// limitNamed returns how long the headers ask to wait: Retry-After (GitHub's secondary
// limits, and proxies in front of Gitea), or the end of a limit that is used up.
func limitNamed(header http.Header, now time.Time) (time.Duration, bool) {
	// The forge's clock may differ from ours.
	theirs, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		theirs = now
	}
	after := header.Get("Retry-After")
	if seconds, err := strconv.ParseInt(after, 10, 32); err == nil {
		return time.Duration(seconds) * time.Second, true
	}
	if moment, err := http.ParseTime(after); err == nil {
		return moment.Sub(theirs), true
	}
	remaining := cmp.Or(header.Get("X-Ratelimit-Remaining"), header.Get("Ratelimit-Remaining"))
	reset, err := strconv.ParseInt(header.Get("X-Ratelimit-Reset"), 10, 64)
	if remaining != "0" || err != nil {
		return 0, false
	}
	return time.Unix(reset, 0).Sub(theirs), true
}

// mentionsLimit reports whether an error document is about a rate limit: GitHub answers a
// secondary one with 403, sometimes without a header. The body can be read again.
func mentionsLimit(response *http.Response) bool {
	begin, err := io.ReadAll(io.LimitReader(response.Body, maxLimitBody))
	response.Body = rereadBody{io.MultiReader(bytes.NewReader(begin), response.Body), response.Body}
	return err == nil && strings.Contains(strings.ToLower(string(begin)), "rate limit")
}

// rereadBody reads what was read of a body before its rest.
type rereadBody struct {
	io.Reader
	io.Closer
}
