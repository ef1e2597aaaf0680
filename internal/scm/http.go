package scm

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/envladder/envladder/internal/bounded"
	"github.com/envladder/envladder/internal/printable"
)

// Bounds on responses. Anyone can open pull requests.
const (
	// maxBody bounds one response, its texts shortened to maxString. A page has at most 100
	// pull requests; each repeats two repositories (8 KiB) and has a handful of texts that
	// its author chooses, so no pull request makes a page too large.
	maxBody = 16 << 20
	// maxPages bounds a list, of 50 or 100 pull requests a page: more than a maintained
	// repository has open.
	maxPages = 100
	// maxText bounds what an error quotes of a response.
	maxText = 300
	// timeout of one call, including all pages.
	timeout = time.Minute
)

// common is the part that the forges share.
type common struct {
	base        *url.URL
	owner, name string
	token       func() (string, error)
	client      *http.Client
}

func (c common) failed(action string, response *http.Response, err error) error {
	if err == nil {
		return nil
	}
	e := &Error{Action: action, Repository: c.base.Host + "/" + c.owner + "/" + c.name, Err: cleanError{redact(err), c.secret()}}
	if limit, ok := errors.AsType[*limitError](err); ok {
		e.Status = limit.status
	} else if response != nil && response.StatusCode/100 != 2 {
		e.Status = response.StatusCode
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		e.Err = fmt.Errorf("%w (where a private CA signed it, set the file of that CA)", e.Err)
	}
	return e
}

// redact removes the URL from the standard client's errors: its query may be secret, and
// the error has the host anyway.
func redact(err error) error {
	if urlError, ok := errors.AsType[*url.Error](err); ok {
		return urlError.Err
	}
	return err
}

// cleanError is an error whose text is one printable line without the token: a proxy may
// return the request that it rejects.
type cleanError struct {
	error

	secret string
}

func (e cleanError) Error() string {
	text := e.error.Error()
	if e.secret != "" {
		text = strings.ReplaceAll(text, e.secret, "…")
	}
	return printable.Line(text, maxText)
}

func (e cleanError) Unwrap() error { return e.error }

// secret returns the token, which no error may contain.
func (c common) secret() string {
	token, _ := c.token() // without a token there is nothing to hide
	return strings.TrimSpace(token)
}

// readToken returns the token for a call.
func (c common) readToken() (string, error) {
	token, err := c.token()
	if err != nil {
		return "", fmt.Errorf("reading the forge's token: %w", err)
	}
	return strings.TrimSpace(token), nil
}

func newHTTPClient(config *tls.Config, now func() time.Time) *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // the standard library's own
	transport.ResponseHeaderTimeout = 30 * time.Second
	transport.TLSClientConfig = config
	return &http.Client{
		Transport: &limited{inner: boundedTransport{transport}, now: now},
		Timeout:   timeout,
		// The token must not follow a redirect to another host.
		CheckRedirect: func(request *http.Request, via []*http.Request) error {
			if request.URL.Host != via[0].URL.Host || request.URL.Scheme != via[0].URL.Scheme {
				return fmt.Errorf("refusing a redirect to %s://%s", request.URL.Scheme, request.URL.Host)
			}
			if len(via) >= 3 {
				return errors.New("too many redirects")
			}
			return nil
		},
	}
}

// boundedTransport bounds responses, and accepts a successful one only if it is complete.
type boundedTransport struct{ inner http.RoundTripper }

func (b boundedTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := b.inner.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	response.Body = bounded.NewBody(&shortened{inner: response.Body}, maxBody, errTooLarge)
	if response.StatusCode/100 != 2 {
		return response, nil
	}
	body, err := io.ReadAll(response.Body)
	_ = response.Body.Close() // it was only read
	if err == nil {
		err = checkWhole(request, response.StatusCode, body)
	}
	if err != nil {
		return nil, err
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	return response, nil
}

// checkWhole rejects what the libraries would accept as a list without pull requests: an
// empty response, null, and a list followed by other data, such as half of a proxy's error
// page. The response to every GET is a list here, and to other requests an object.
func checkWhole(request *http.Request, status int, body []byte) error {
	first := byte('{')
	if request.Method == http.MethodGet {
		first = '['
	}
	begin := bytes.TrimLeft(body, " \t\r\n")
	switch {
	case status != http.StatusOK && status != http.StatusCreated:
		return fmt.Errorf("the forge responded with %d %s instead of 200", status, http.StatusText(status))
	case len(begin) == 0:
		return errors.New("the forge's response is empty")
	case !json.Valid(body):
		return errors.New("the forge's response is not valid JSON: check that the URL is that of its API, without a login page in front")
	case strings.HasSuffix(request.URL.Path, "/branches") && string(bytes.TrimSpace(body)) == "null":
		return nil // Gitea's list of branches of an empty repository; no pull request depends on it
	case begin[0] != first:
		return errors.New("the forge's response is not of its API: check the URL")
	}
	return nil
}

var errTooLarge = errors.New("the forge's response is too large")

// withTimeout bounds a call.
func withTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, timeout)
}
