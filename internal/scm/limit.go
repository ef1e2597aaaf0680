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

// ErrLimited is returned while a forge rejects a token's requests.
var ErrLimited = errors.New("too many requests")

// limitError contains when requests are accepted again. Its text stays the same until then,
// so that a caller's status doesn't change with each attempt.
type limitError struct {
	status int
	until  time.Time
}

func (e *limitError) Error() string {
	return fmt.Sprintf("%v: no request is sent before %s", ErrLimited, e.until.UTC().Format(time.RFC3339))
}

func (e *limitError) Is(target error) bool { return target == ErrLimited }

const (
	// limitUnknown is the duration of a limit without an end in the response; GitHub's
	// documentation requires at least a minute.
	limitUnknown = time.Minute
	// maxLimit bounds the duration that a forge or a proxy may set. GitHub's limits last an
	// hour.
	maxLimit = time.Hour
	// maxLimitBody bounds the error document that may mention a limit.
	maxLimitBody = 64 << 10
)

// limited stores a token's rate limit, and sends no request before it ends: for such
// requests a forge may extend the limit or block the token.
type limited struct {
	inner http.RoundTripper
	now   func() time.Time

	mu sync.Mutex
	// token is the hash of the limited token. A host has one token; its replacement isn't
	// limited.
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
	_ = response.Body.Close() // it isn't read
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

// remember stores a limit, and returns the one that ends last, so that concurrent requests
// report the same.
func (l *limited) remember(token [sha256.Size]byte, status int, until time.Time) *limitError {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.limit == nil || l.token != token || until.After(l.limit.until) {
		l.token, l.limit = token, &limitError{status, until}
	}
	return l.limit
}

// limitOf returns when the limit in a response ends; ok is false for other responses. The
// end is rounded up to a minute, so that all responses of a limit result in the same end.
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

// limitNamed returns the wait in the headers: Retry-After (GitHub's secondary limits, and
// proxies in front of Gitea), or the end of a limit that is used up.
func limitNamed(header http.Header, now time.Time) (time.Duration, bool) {
	// The forge's clock may differ from this one.
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

// mentionsLimit reports whether an error document is about a rate limit: GitHub responds to
// a secondary one with 403, sometimes without a header. The body can be read again.
func mentionsLimit(response *http.Response) bool {
	begin, err := io.ReadAll(io.LimitReader(response.Body, maxLimitBody))
	response.Body = rereadBody{io.MultiReader(bytes.NewReader(begin), response.Body), response.Body}
	return err == nil && strings.Contains(strings.ToLower(string(begin)), "rate limit")
}

// rereadBody reads the part of a body that was read before, and then its rest.
type rereadBody struct {
	io.Reader
	io.Closer
}
