package appset

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/printable"
	"github.com/envladder/envladder/internal/scm/scmtest"
)

const validRequest = `{"applicationSetName": "x", "input": {"parameters": {"ladder": "shop"}}}`

func TestAuthentication(t *testing.T) {
	w := newFixture(t, ladder.ForgeGitea)
	w.open(scmtest.Pull{Number: 1})
	for token, c := range map[string]struct {
		status int
		want   string
	}{
		"":                     {http.StatusUnauthorized, "want the header Authorization"},
		"wrong":                {http.StatusForbidden, "wrong token"},
		bearer + "x":           {http.StatusForbidden, "wrong token"},
		"$plugin:token":        {http.StatusUnauthorized, "has no such key"},
		"$token":               {http.StatusUnauthorized, "has no such key"},
		bearer[:len(bearer)-1]: {http.StatusForbidden, "wrong token"},
	} {
		for _, path := range []string{"POST /api/v1/getparams.execute", "GET /previews"} {
			method, path, _ := strings.Cut(path, " ")
			status, answer := w.request(method, path, token, validRequest)
			if status != c.status || !strings.Contains(answer, c.want) || strings.Contains(answer, bearer) {
				t.Errorf("%s with token %q: %d %s", path, token, status, answer)
			}
		}
	}
	if requests := w.forge.Requests(); len(requests) != 0 {
		t.Errorf("the forge got requests: %q", requests)
	}

	w.write("token", "rotated")
	if status, answer := w.request(http.MethodPost, "/api/v1/getparams.execute", bearer, validRequest); status != http.StatusForbidden {
		t.Errorf("the old token after a rotation: %d %s", status, answer)
	}
	if status, answer := w.request(http.MethodPost, "/api/v1/getparams.execute", "rotated", validRequest); status != http.StatusOK {
		t.Errorf("the new one: %d %s", status, answer)
	}
	w.write("token", "\n")
	for _, token := range []string{"", "rotated", bearer} {
		if status, answer := w.request(http.MethodPost, "/api/v1/getparams.execute", token, validRequest); status/100 == 2 {
			t.Errorf("an empty token file lets in %q: %s", token, answer)
		}
	}
	if status, _ := w.request(http.MethodGet, "/readyz", "", ""); status != http.StatusServiceUnavailable {
		t.Errorf("readyz is %d", status)
	}
}

func TestInvalidRequests(t *testing.T) {
	w := newFixture(t, ladder.ForgeGitea)
	for body, want := range map[string]string{
		"":                 "EOF",
		"null":             "parameter ladder is missing",
		"[]":               "cannot unmarshal",
		"{}":               "parameter ladder is missing",
		validRequest + "{": "unexpected data",
		validRequest[:20]:  "unexpected EOF",
		`{"input": {"parameters": {"ladder": 7}}}`:                        "is not a name",
		`{"input": {"parameters": {"ladder": null}}}`:                     "is not a name",
		`{"input": {"parameters": {"ladder": ""}}}`:                       "is not a name",
		`{"input": {"parameters": {"ladder": "shop", "environment": 1}}}`: `parameter \"environment\" is unknown`,
		`{"input": {"parameters": {"ladder": "shop"}}, "namespace": "a"}`: "unknown field",
		`{"input": {"parameters": {"ladder": "..\u0000"}}}`:               "not a ladder's name",
	} {
		if status, answer := w.request(http.MethodPost, "/api/v1/getparams.execute", bearer, body); status != http.StatusBadRequest || !strings.Contains(answer, want) {
			t.Errorf("%s: %d %s; want %q", body, status, answer, want)
		}
	}
	large := fmt.Sprintf(`{"applicationSetName": %q}`, strings.Repeat("a", maxBody))
	if status, answer := w.request(http.MethodPost, "/api/v1/getparams.execute", bearer, large); status != http.StatusRequestEntityTooLarge {
		t.Errorf("large: %d %s", status, answer)
	}
	for _, r := range []string{"GET /api/v1/getparams.execute", "POST /previews", "GET /", "POST /api/v1/getparams"} {
		method, path, _ := strings.Cut(r, " ")
		if status, _ := w.request(method, path, bearer, ""); status != http.StatusMethodNotAllowed && status != http.StatusNotFound {
			t.Errorf("%s: %d", r, status)
		}
	}
}

func FuzzParseRequest(f *testing.F) {
	f.Add(validRequest)
	f.Add(`{"input": {"parameters": null}}`)
	f.Add(`{"INPUT": {"parameters": {"ladder": "a", "ladder": "b"}}} `)
	f.Fuzz(func(t *testing.T, body string) {
		_, name, err := parseRequest(strings.NewReader(body))
		if err == nil && name == "" {
			t.Errorf("%q has no ladder", body)
		}
		if _, ok := errors.AsType[*httpError](err); err != nil && !ok {
			t.Errorf("%q: %v has no status", body, err)
		}
	})
}

func FuzzSlug(f *testing.F) {
	for _, seed := range []string{"", "main", "../../$(x){{.y}}", "日本語", strings.Repeat("a-", 99), "İK"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s := slug(text)
		if !dnsLabel(s) || len(s) > maxSlug {
			t.Errorf("%q of %q is not a DNS label", s, text)
		}
		if line := printable.Line(text, maxTitle); strings.ContainsAny(line, "\n\r\t\x1b\u202e\u2028") || len([]rune(line)) > maxTitle {
			t.Errorf("%q of %q is not a line", line, text)
		}
	})
}

func dnsLabel(s string) bool {
	for i, r := range s {
		inside := i > 0 && i < len(s)-1
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && (r != '-' || !inside) {
			return false
		}
	}
	return s != "" && len(s) <= 63
}

func FuzzParseState(f *testing.F) {
	f.Add([]byte(`{"version": 1, "ladders": {"shop": {"7": {"sha": "a", "images": {"r": "` + digestOf(1) + `"}, "in": true}}}}`))
	f.Add([]byte(`{"version": 2}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		ladders, err := parseState(data)
		if err == nil && ladders == nil {
			t.Error("no error and no state")
		}
	})
}

func TestConcurrentRequestsListOnce(t *testing.T) {
	onEach(t, func(t *testing.T, w *fixture) {
		w.open(scmtest.Pull{Number: 1})
		w.ladder("second", "") // the same repository
		arrived, release := make(chan struct{}, 100), make(chan struct{})
		w.forge.Before(func(http.ResponseWriter, *http.Request) bool {
			arrived <- struct{}{}
			<-release
			return false
		})
		var group sync.WaitGroup
		for i := range 20 {
			group.Go(func() {
				body := strings.Replace(validRequest, "shop", []string{"shop", "second"}[i%2], 1)
				if status, answer := w.request(http.MethodPost, "/api/v1/getparams.execute", bearer, body); status != http.StatusOK || !strings.Contains(answer, `"pr-1"`) {
					t.Errorf("%d %s", status, answer)
				}
			})
		}
		<-arrived
		close(release)
		group.Wait()
		w.request(http.MethodPost, "/api/v1/getparams.execute", bearer, validRequest) // a moment later
		if n := lists(w); n != 2 {
			t.Errorf("the list was requested %d times: %q", n, w.forge.Requests())
		}
		w.clock.pass(listTTL)
		w.request(http.MethodPost, "/api/v1/getparams.execute", bearer, validRequest)
		if n := lists(w); n != 4 {
			t.Errorf("after %v, %d times", listTTL, n)
		}
	})
}

// lists returns the number of requested pages; a list of one page has two requests.
func lists(w *fixture) (n int) {
	for _, r := range w.forge.Requests() {
		if strings.Contains(r, "/pulls?") {
			n++
		}
	}
	return n
}

func TestSingleflightSurvivesCanceledCaller(t *testing.T) {
	s := singleflight[int]{timeout: time.Minute, ttl: time.Minute, now: time.Now}
	entered, release := make(chan struct{}), make(chan struct{})
	do := func(ctx context.Context) (int, error) {
		close(entered)
		select {
		case <-release:
			return 7, nil
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	gone, cancel := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() {
		_, err := s.do(gone, "key", do)
		first <- err
	}()
	<-entered
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("who went away got %v", err)
	}
	second := make(chan int, 1)
	go func() {
		value, _ := s.do(t.Context(), "key", func(context.Context) (int, error) { return 8, nil })
		second <- value
	}()
	close(release)
	if value := <-second; value != 7 {
		t.Errorf("who stayed got %d", value)
	}
}

func TestReportAsText(t *testing.T) {
	w := newFixture(t, ladder.ForgeGitea)
	w.open(scmtest.Pull{Number: 1, Title: "Bigger\nfonts"})
	w.forge.Add(scmtest.Pull{Number: 2, Updated: w.clock.Now()})
	w.ladder("broken", "max: none")
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.url+"/previews", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+bearer)
	r.Header.Set("Accept", "text/plain")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"ladder broken\n  error: reading ladder \"broken\": ",
		"ladder shop\n  PULL REQUEST  PREVIEW  REASON   HEAD      TITLE         BECAUSE\n",
		"\n  1             in       Current  " + scmtest.SHA("pull", 1)[:8] + "  Bigger fonts  its images exist\n",
		"\n  2             out      NoImage  ",
	} {
		if !strings.Contains(string(body), want) {
			t.Errorf("it lacks %q:\n%s", want, body)
		}
	}
}

func TestHangingForgeDelaysNoOtherLadder(t *testing.T) {
	w := newFixture(t, ladder.ForgeGitea)
	w.open(scmtest.Pull{Number: 1})
	// More than are evaluated concurrently, all before ladder shop.
	for i := range maxLadders + 1 {
		name := fmt.Sprintf("a%02d", i)
		w.write("ladders/"+name+".yaml", strings.Replace(w.document(name, ""), scmtest.Repository+"}", "shop/slow}", 1))
	}
	released := make(chan struct{})
	t.Cleanup(func() { close(released) })
	w.forge.Before(func(_ http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/slow") {
			return false
		}
		select {
		case <-released:
		case <-r.Context().Done():
		}
		return true
	})
	w.timeout = 4 * time.Second
	w.start("")
	status, answer := w.request(http.MethodGet, "/previews", bearer, "")
	var parsed struct {
		Ladders []Report `json:"ladders"`
	}
	if err := json.Unmarshal([]byte(answer), &parsed); err != nil || status != http.StatusOK {
		t.Fatalf("%d, %v: %s", status, err, answer)
	}
	for _, r := range parsed.Ladders {
		if unknown := r.Error != ""; unknown != (r.Ladder != "shop") {
			t.Errorf("ladder %s: %q", r.Ladder, r.Error)
		}
	}
}

func TestRunServesUntilCanceled(t *testing.T) {
	for name, withTLS := range map[string]bool{"plain HTTP": false, "TLS": true} {
		t.Run(name, func(t *testing.T) {
			w := newFixture(t, ladder.ForgeGitea)
			w.open(scmtest.Pull{Number: 1})
			config, scheme, client := w.config(), "http", &http.Client{}
			if withTLS {
				scheme = "https"
				config.CertFile, config.KeyFile = filepath.Join(w.dir, "tls.crt"), filepath.Join(w.dir, "tls.key")
				client.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: certificate(t, config.CertFile, config.KeyFile)}}
			}
			var err error
			if config.Listener, err = (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0"); err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- Run(ctx, config) }()

			entered, release := make(chan struct{}, 10), make(chan struct{})
			w.forge.Before(func(http.ResponseWriter, *http.Request) bool {
				entered <- struct{}{}
				<-release
				return false
			})
			answered := make(chan string, 1)
			go func() {
				r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, scheme+"://"+config.Listener.Addr().String()+"/api/v1/getparams.execute", strings.NewReader(validRequest))
				r.Header.Set("Authorization", "Bearer "+bearer)
				response, err := client.Do(r)
				if err != nil {
					answered <- err.Error()
					return
				}
				defer response.Body.Close()
				body, _ := io.ReadAll(response.Body)
				answered <- string(body)
			}()
			<-entered
			stop() // with a request in flight
			close(release)
			if answer := <-answered; !strings.Contains(answer, `"pr-1"`) {
				t.Errorf("the request in flight got %s", answer)
			}
			select {
			case err := <-ended:
				if err != nil {
					t.Error(err)
				}
			case <-time.After(20 * time.Second):
				t.Error("it doesn't end")
			}
		})
	}
}

// certificate writes a certificate for 127.0.0.1, and returns a pool that trusts it.
func certificate(t *testing.T, certFile, keyFile string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	for file, content := range map[string][]byte{certFile: certPEM, keyFile: keyPEM} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(certPEM)
	return pool
}
