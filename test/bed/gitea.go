package bed

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"regexp"
	"strings"
	"time"

	"github.com/envladder/envladder/test/programs"
)

// Gitea is a running Gitea with an administrator.
type Gitea struct {
	URL      string
	User     string
	Password string
	// Token is an API token with every scope.
	Token   string
	Process *Running

	bed    *Bed
	path   string
	config string
}

// startGitea starts Gitea and creates the administrator.
func (b *Bed) startGitea(ctx context.Context) error {
	begin := time.Now()
	var port int
	if err := freePorts(&port); err != nil {
		return err
	}
	g := &Gitea{
		URL: "http://" + loopback(port), User: "bed", Password: secret(),
		bed: b, config: b.path("gitea", "app.ini"),
	}
	for _, step := range []func(context.Context) error{g.prepare, g.start, g.createAdmin} {
		if err := step(ctx); err != nil {
			return fmt.Errorf("starting Gitea: %w", err)
		}
	}
	b.Gitea = g
	b.part("gitea", begin)
	return nil
}

// prepare builds Gitea and writes its configuration.
func (g *Gitea) prepare(ctx context.Context) (err error) {
	if g.path, err = g.bed.Program(ctx, "gitea"); err != nil {
		return err
	}
	// Gitea reads templates and other static files from its module.
	module, err := programs.ModuleDir(ctx, "gitea")
	if err != nil {
		return err
	}
	account, err := user.Current()
	if err != nil {
		return err
	}
	dir := g.bed.path("gitea")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	port := g.URL[strings.LastIndex(g.URL, ":")+1:]
	config := fmt.Sprintf(giteaConfig, account.Username, dir, port, g.URL+"/", module)
	return os.WriteFile(g.config, []byte(config), 0o600)
}

// giteaConfig turns off everything that tests don't need. The fast hash is sufficient for
// passwords that exist for minutes.
const giteaConfig = `APP_NAME = bed
RUN_MODE = prod
RUN_USER = %[1]s
WORK_PATH = %[2]s
I_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true

[server]
PROTOCOL = http
HTTP_ADDR = 127.0.0.1
HTTP_PORT = %[3]s
ROOT_URL = %[4]s
STATIC_ROOT_PATH = %[5]s
DISABLE_SSH = true
OFFLINE_MODE = true

[database]
DB_TYPE = sqlite3
PATH = %[2]s/gitea.db

[repository]
ROOT = %[2]s/repositories
DEFAULT_BRANCH = main

[security]
INSTALL_LOCK = true
PASSWORD_HASH_ALGO = pbkdf2_v1

[service]
DISABLE_REGISTRATION = true

[webhook]
ALLOWED_HOST_LIST = loopback

[indexer]
ISSUE_INDEXER_TYPE = db
REPO_INDEXER_ENABLED = false

[actions]
ENABLED = false

[cron]
ENABLED = false

[log]
MODE = console
LEVEL = Warn
`

// start starts the process.
func (g *Gitea) start(ctx context.Context) (err error) {
	g.Process, err = g.bed.run(ctx, turnService, Process{
		Name: "gitea", Path: g.path, Args: []string{"web", "--config", g.config},
		Ready: httpOK(http.DefaultClient, g.URL+"/api/healthz"),
	})
	return err
}

// createAdmin creates the administrator and an access token.
func (g *Gitea) createAdmin(ctx context.Context) error {
	_, err := g.command(ctx, "admin", "user", "create", "--admin", "--must-change-password=false",
		"--username", g.User, "--password", g.Password, "--email", g.User+"@bed.example")
	if err != nil {
		return err
	}
	out, err := g.command(ctx, "admin", "user", "generate-access-token",
		"--username", g.User, "--token-name", "bed", "--scopes", "all", "--raw")
	if err != nil {
		return err
	}
	// Gitea also logs to standard output, before the token.
	if g.Token = accessToken.FindString(out); g.Token == "" {
		return errors.New("creating an access token: no token in Gitea's output")
	}
	return nil
}

// accessToken matches a line that is an access token.
var accessToken = regexp.MustCompile(`(?m)^[0-9a-f]{40}$`)

// command runs a command of Gitea. Its arguments contain a password, so errors show only the
// first three.
func (g *Gitea) command(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, g.path, append(args[:3:3], append([]string{"--config", g.config}, args[3:]...)...)...)
	cmd.Env = g.bed.env()
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("running gitea %q: %w: %s", args[:3], err, bytes.TrimSpace(errOut.Bytes()))
	}
	return strings.TrimSpace(out.String()), nil
}

// An APIError is an unsuccessful response of an API.
type APIError struct {
	Status int
	Body   string
}

func (e *APIError) Error() string {
	return fmt.Sprintf("%d %s: %s", e.Status, http.StatusText(e.Status), e.Body)
}

// API calls Gitea's API as administrator. path is the path after /api/v1; in and out are JSON
// and may be nil.
func (g *Gitea) API(ctx context.Context, method, path string, in, out any) error {
	header := http.Header{"Authorization": {"token " + g.Token}}
	return callJSON(ctx, method, g.URL+"/api/v1"+path, header, in, out)
}

// callJSON calls an API with JSON.
func callJSON(ctx context.Context, method, url string, header http.Header, in, out any) error {
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("encoding a request: %w", err)
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return err
	}
	if header != nil {
		req.Header = header
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	// The limit is far above any response of these APIs.
	data, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return fmt.Errorf("reading %s %q: %w", method, url, err)
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("calling %s %q: %w", method, url, &APIError{resp.StatusCode, strings.TrimSpace(string(data))})
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(data, out); err != nil {
		return fmt.Errorf("decoding %s %q: %w", method, url, err)
	}
	return nil
}

// hasStatus reports whether err is an APIError with the status.
func hasStatus(err error, status int) bool {
	var api *APIError
	return errors.As(err, &api) && api.Status == status
}

// secret returns a random word.
func secret() string {
	var data [16]byte
	_, _ = rand.Read(data[:]) // never fails
	return hex.EncodeToString(data[:])
}
