package appset

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/logtest"
	"github.com/envladder/envladder/internal/registry"
	"github.com/envladder/envladder/internal/registry/registrytest"
	"github.com/envladder/envladder/internal/scm/scmtest"
)

const bearer = "argocd-token-91c4"

// fixture is a forge with pull requests, a registry with images, and the service.
type fixture struct {
	t        *testing.T
	forge    *scmtest.Server
	kind     ladder.Forge
	registry *registrytest.Server
	images   Registry
	dir      string
	clock    *clock
	log      *logtest.Buffer
	url      string
	timeout  time.Duration
	// limit of an evaluation, where it differs from the default
	limit  time.Duration
	server *httptest.Server
}

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// onEach runs a test with each forge.
func onEach(t *testing.T, test func(t *testing.T, w *fixture)) {
	t.Helper()
	t.Run("Gitea", func(t *testing.T) { test(t, newFixture(t, ladder.ForgeGitea)) })
	t.Run("GitHub", func(t *testing.T) { test(t, newFixture(t, ladder.ForgeGitHub)) })
}

func newFixture(t *testing.T, kind ladder.Forge) *fixture {
	t.Helper()
	w := &fixture{
		t: t, kind: kind, registry: registrytest.Start(t, registrytest.WithReferrers), images: registry.NewClient(),
		dir: t.TempDir(), clock: &clock{now: time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)}, log: &logtest.Buffer{}, timeout: 10 * time.Second,
	}
	if w.forge = scmtest.Gitea(t); kind == ladder.ForgeGitHub {
		w.forge = scmtest.GitHub(t)
	}
	w.write("token", bearer+"\n")
	w.write("forge-token", scmtest.Token+"\n")
	w.ladder("shop", "")
	w.start("")
	return w
}

func (w *fixture) write(name, content string) {
	w.t.Helper()
	file := filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// ladder writes a ladder with the image web; more is added to spec.preview.
func (w *fixture) ladder(name, more string) {
	w.t.Helper()
	w.write("ladders/"+name+".yaml", w.document(name, more))
}

func (w *fixture) document(name, more string) string {
	return fmt.Sprintf(`apiVersion: envladder.dev/v1alpha1
kind: Ladder
metadata: {name: %s}
spec:
  chart: chart
  images:
  - {name: web, repository: %s, valuesPath: image}
  layers: [../org/values.yaml]
  environments: [{name: dev, pins: pins/dev.yaml}]
  preview:
    source: {forge: %s, repository: %s}
    tag: "pr-{{.number}}-{{.headShortSHA}}"
    %s
`, name, w.registry.Name("shop/web"), w.kind, scmtest.Repository, more)
}

func (w *fixture) config() Config {
	return Config{
		TokenFile: filepath.Join(w.dir, "token"), Ladders: filepath.Join(w.dir, "ladders"),
		Forges:   map[ladder.Forge]Forge{w.kind: {URL: w.forge.URL, TokenFile: filepath.Join(w.dir, "forge-token")}},
		Registry: w.images, Timeout: w.timeout, Now: w.clock.Now, Log: slog.New(slog.NewTextHandler(w.log, nil)),
	}
}

// start starts or restarts the service, with the state of a file.
func (w *fixture) start(stateFile string) {
	w.t.Helper()
	if w.server != nil {
		w.server.Close()
	}
	config := w.config()
	config.StateFile = stateFile
	s, err := newHandler(config)
	if err != nil {
		w.t.Fatal(err)
	}
	if w.limit != 0 {
		s.evaluator.reports.timeout = w.limit
	}
	if slow, ok := w.images.(*slowRegistry); ok && w.limit == 0 {
		s.evaluator.reports.withTimeout = slow.withTimeout
	}
	w.server = httptest.NewServer(s.routes())
	w.t.Cleanup(w.server.Close)
	w.url = w.server.URL
}

// build pushes the image of a pull request's commit, as CI does, and returns its digest.
func (w *fixture) build(number int, sha string) string {
	w.t.Helper()
	digest := w.registry.Image(w.t, "shop/web")
	w.registry.Tag(w.t, "shop/web", fmt.Sprintf("pr-%d-%s", number, sha[:8]), digest)
	return digest
}

// open opens a pull request with an image.
func (w *fixture) open(p scmtest.Pull) (digest string) {
	w.t.Helper()
	if p.Updated.IsZero() {
		p.Updated = w.clock.Now()
	}
	w.forge.Add(p)
	p = w.forge.Pull(p.Number)
	return w.build(p.Number, p.Commits[len(p.Commits)-1])
}

// push adds a commit to a pull request.
func (w *fixture) push(number int, sha string) {
	w.forge.Change(number, func(p *scmtest.Pull) { p.Commits = append(p.Commits, sha) })
}

// forcePush replaces all commits of a pull request.
func (w *fixture) forcePush(number int, sha string) {
	w.forge.Change(number, func(p *scmtest.Pull) { p.Commits = []string{sha} })
}

// request sends a request to the service.
func (w *fixture) request(method, path, token, body string) (status int, answer string) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return response.StatusCode, string(content)
}

// execute requests a ladder's rows after cached lists have expired.
func (w *fixture) execute(name string) (status int, answer string) {
	w.t.Helper()
	w.clock.pass(listTTL + time.Second)
	return w.request(http.MethodPost, "/api/v1/getparams.execute", bearer,
		fmt.Sprintf(`{"applicationSetName": "shop-previews", "input": {"parameters": {"ladder": %q}}}`, name))
}

// rows returns the rows of ladder shop.
func (w *fixture) rows() []row {
	w.t.Helper()
	status, answer := w.execute("shop")
	if status != http.StatusOK {
		w.t.Fatalf("%d: %s", status, answer)
	}
	var parsed struct {
		Output struct {
			Parameters []row `json:"parameters"`
		} `json:"output"`
	}
	if err := json.Unmarshal([]byte(answer), &parsed); err != nil || parsed.Output.Parameters == nil {
		w.t.Fatalf("%v of %s", err, answer)
	}
	return parsed.Output.Parameters
}

// running returns the digest of image web by the preview's name.
func (w *fixture) running() map[string]string {
	w.t.Helper()
	running := map[string]string{}
	for _, r := range w.rows() {
		running[r.Name] = r.Images["web"]
	}
	return running
}

// report returns the report of ladder shop, by number.
func (w *fixture) report() map[int]Preview {
	w.t.Helper()
	w.clock.pass(listTTL + time.Second)
	status, answer := w.request(http.MethodGet, "/previews?ladder=shop", bearer, "")
	var parsed struct {
		Ladders []Report `json:"ladders"`
	}
	if err := json.Unmarshal([]byte(answer), &parsed); err != nil || status != http.StatusOK || len(parsed.Ladders) != 1 {
		w.t.Fatalf("%d, %v: %s", status, err, answer)
	}
	all := map[int]Preview{}
	for _, p := range parsed.Ladders[0].Previews {
		all[p.Number] = p
	}
	return all
}

// wantError checks that the response is an error, which leaves previews as they are.
func (w *fixture) wantError(name string, wantStatus int, want string) {
	w.t.Helper()
	status, answer := w.execute(name)
	var document struct {
		Error string `json:"error"`
	}
	switch err := json.Unmarshal([]byte(answer), &document); {
	case status != wantStatus:
		w.t.Errorf("%d: %s; want %d", status, answer, wantStatus)
	case err != nil || !strings.Contains(document.Error, want) || document.Error == "":
		w.t.Errorf("%s; want an error with %q", answer, want)
	case strings.Contains(answer, scmtest.Token) || strings.Contains(answer, bearer):
		w.t.Errorf("the answer shows a token: %s", answer)
	}
}

// registryFunc responds in ways that no real registry does.
type registryFunc func(ctx context.Context, repository, tag string) (string, error)

func (f registryFunc) Digest(ctx context.Context, repository, tag string) (string, error) {
	return f(ctx, repository, tag)
}
